"""The records of the audit daemon as text: ``type=... msg=audit(time:serial): key=value ...``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_HEADER: Final = re.compile(
    r"(?:node=(?P<node>\S+) )?type=(?P<type>[A-Za-z0-9_\[\]]+) "
    r"msg=audit\((?P<time>\d{1,11}(?:\.\d{1,9})?):(?P<serial>\d{1,20})\): ?",
    re.ASCII,
)
_FIELD: Final = re.compile(
    r"""([A-Za-z][\w-]*(?:\[\d+\])?)=(?:"([^"]*)"|'([^']*)'|(\{[^}]*\})|([^\s\x1d\ufffd'"]*))""", re.ASCII
)
_INNER: Final = re.compile(r"msg='(.*)'(?=[\s\x1d\ufffd]*(?:[A-Z]|$))", re.DOTALL)
_HEX: Final = re.compile(r"(?:[0-9A-F]{2})+", re.ASCII)
_PART: Final = re.compile(r"a(\d+)(?:\[\d+\])?", re.ASCII)
_ENCODED: Final = frozenset(
    {
        "acct",
        "cmd",
        "comm",
        "cwd",
        "data",
        "dir",
        "exe",
        "key",
        "name",
        "new-disk",
        "old-disk",
        "path",
        "proctitle",
    }
)
"""Fields whose value is in hexadecimal where it holds a blank, a quote or worse."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    :ivar fields: as they stand there, decoded; those inside ``msg='...'`` are among them.
    :ivar names: what the daemon has added in capitals: the names of users and system calls.
    """

    type: str
    fields: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """The records of one serial.

    :ivar time: in seconds since 1970, as text.
    """

    serial: str
    time: str
    node: str
    records: list[Record]


def read_group(text: str) -> Group | None:
    """Return the records that a text consists of, None where it does not begin with one.

    Only what has the time and serial of the first is a record of its own: values come from those who are audited.
    """
    first = _HEADER.match(text)
    if first is None:
        return None
    identity = first.group("time", "serial")
    more = (head for head in _HEADER.finditer(text, first.end()) if head.group("time", "serial") == identity)
    heads = [first, *more]
    ends = [*(head.start() for head in heads[1:]), len(text)]
    records = [_read(head["type"], text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]
    return Group(first["serial"], first["time"], first["node"] or "", records)


def _read(kind: str, text: str) -> Record:
    record = Record(kind.upper())
    inner = _INNER.search(text)
    if inner is not None:  # what the sender of a record wrote, behind what the kernel says of the sender
        text = f"{text[: inner.start()]} {inner[1]} {text[inner.end() :]}"
    executed = record.type == "EXECVE"
    for name, double, single, braced, bare in _FIELD.findall(text):
        value = double or single or braced
        if bare:
            value = _decoded(bare) if name in _ENCODED or (executed and _PART.fullmatch(name)) else bare
        (record.names if name.isupper() else record.fields).setdefault(name, value)
    return record


def _decoded(text: str) -> str:
    if not _HEX.fullmatch(text):
        return text
    return bytes.fromhex(text).rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")


def command_line(fields: dict[str, str]) -> str:
    """Return the arguments of a record EXECVE as one line; long ones come in several pieces."""
    pieces: dict[int, list[str]] = {}
    for name, value in fields.items():
        match = _PART.fullmatch(name)
        if match is not None:
            pieces.setdefault(int(match[1]), []).append(value)
    return " ".join("".join(pieces[position]) for position in sorted(pieces))
