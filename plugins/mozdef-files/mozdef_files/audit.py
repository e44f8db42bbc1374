"""Records of the Linux audit daemon: the lines of one serial belong together and become one item."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from mozdef_files.line import LONGEST, Cut, Line

WITHIN_S: Final = 2.0
"""The records of one serial arrive within this time."""

_RECORD: Final = re.compile(rb"((?:node=\S+ )?)type=(\S+) msg=audit\((\d{1,11})((?:\.\d+)?:\d+)\):")
_BEFORE: Final = 200
"""A shipper may put so many bytes in front of a record."""
_LAST: Final = frozenset({b"PROCTITLE", b"EOE"})


@dataclass(slots=True)
class _Group:
    """The lines of one serial so far; a line that is no record is a group of its own.

    :ivar complete: whether its last record is here.
    """

    time_s: int
    lines: list[Line] = field(default_factory=list)
    complete: bool = False


def join_records(cut: Cut, offset: int, *, quiet: bool, full: bool) -> Cut:
    """Make one line of the records of each serial, and leave those for later of which more may come.

    A group is complete with its last record, or when a record of two seconds later has come. Everything from the
    first line of one that is not is left in the stream.

    :param offset: where what was cut begins in the stream.
    :param quiet: nothing has come for a while, so nothing more will.
    :param full: no more lines can be cut at a time, so that waiting for more would be in vain.
    """
    groups = _grouped(cut.lines)
    end = offset + cut.size_bytes
    until = end if quiet else _first_open(groups, end)
    if full and cut.lines and until <= cut.lines[0].offset:
        until = end
    lines = [_joined(group) for group in groups if group.lines[0].offset < until]
    return Cut(lines, until - offset)


def _grouped(lines: list[Line]) -> list[_Group]:
    groups: dict[object, _Group] = {}
    for line in lines:
        match = _RECORD.search(line.raw, 0, _BEFORE + 300)
        if match is None or match.start() > _BEFORE:
            groups[line.offset] = _Group(0, [line], complete=True)
            continue
        node, kind, seconds, rest = match.groups()
        group = groups.setdefault((node, seconds, rest), _Group(int(seconds)))
        if sum(len(one.raw) for one in group.lines) + len(line.raw) > LONGEST // 2:
            groups[line.offset] = _Group(0, [line], complete=True)
            continue
        group.lines.append(line)
        group.complete = group.complete or kind in _LAST
    return list(groups.values())


def _first_open(groups: list[_Group], end: int) -> int:
    """Return where the first group begins that is not complete, or that reaches beyond the beginning of such a one."""
    latest_s = max((group.time_s for group in groups), default=0)
    until = min(
        (
            group.lines[0].offset
            for group in groups
            if not group.complete and latest_s - group.time_s < WITHIN_S
        ),
        default=end,
    )
    for group in reversed(groups):  # groups stand in the order of their first lines
        if group.lines[0].offset < until <= group.lines[-1].offset:
            until = group.lines[0].offset
    return until


def _joined(group: _Group) -> Line:
    if len(group.lines) == 1:
        return group.lines[0]
    return Line(group.lines[0].offset, b"\n".join(line.raw for line in group.lines))
