"""When a rule looks: at an interval, at the times that five crontab fields name, or as events arrive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from mozdef_core.options import span

STREAM: Final = "stream"
"""The schedule of a rule that is run over each batch of events as it arrives."""

_EXPECTED: Final = "expected an interval such as 60s or five crontab fields"
_DAYS_OF: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEK: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART: Final = re.compile(r"(?:(\*)|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:/([0-9]+))?")


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    names: Mapping[str, int]


_FIELDS: Final = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 6, {name: number for number, name in enumerate(_WEEK)}),
)


def read_schedule(text: str) -> timedelta | str:
    """Return a schedule: an interval, or ``stream``, or five crontab fields in lower case with single blanks.

    Crontab fields are minute, hour, day of the month, month, day of the week (0 is Sunday), each ``*``, a number, a
    name such as ``mon``, ``a-b``, any of these lists with commas, ``*/n`` or ``a-b/n``; all five must hold.

    :raises ValueError: with what is wrong and what would be right.
    """
    words = text.lower().split()
    if words == [STREAM]:
        return STREAM
    if len(words) == len(_FIELDS):
        found = [_numbers(word, field) for word, field in zip(words, _FIELDS, strict=True)]
        days, months = found[2], found[3]
        if not any(day <= _DAYS_OF[month - 1] for day in days for month in months):
            raise ValueError(f"{text!r} never comes: no such month has such a day")
        return " ".join(words)
    try:
        interval = span(text)
    except ValueError:
        raise ValueError(f"{_EXPECTED}, got {text!r}") from None
    if interval < timedelta(seconds=1):
        raise ValueError(f"{_EXPECTED}, of a second or more, got {text!r}")
    return interval


def check_schedule(text: str) -> str:
    """Return the text of a schedule of any rule.

    :raises ValueError: it is none.
    """
    read_schedule(text)
    return text


def refuse_stream(text: str | None) -> str | None:
    """Return the text of the schedule of a rule that looks at spans of time.

    :raises ValueError: it is ``stream``.
    """
    if text is not None and read_schedule(text) == STREAM:
        raise ValueError(f"stream: only event rules can run on the stream; {_EXPECTED}")
    return text


def _numbers(word: str, field: _Field) -> set[int]:
    """Return the numbers that one crontab field names."""
    found: set[int] = set()
    for part in word.split(","):
        form = _PART.fullmatch(part)
        if form is None:
            raise ValueError(f"{field.name}: expected '*', a number, 'a-b' or '*/n', got {part!r}")
        star, first, last, step = form.groups()
        if step is not None and (int(step) == 0 or (star is None and last is None)):
            raise ValueError(
                f"{field.name}: expected a step of 1 or more behind '*' or a range, got {part!r}"
            )
        start = field.least if star else _number(first, field)
        stop = field.most if star else _number(last or first, field)
        if stop < start:
            raise ValueError(f"{field.name}: expected a range that rises, got {part!r}")
        found.update(range(start, stop + 1, int(step or 1)))
    return found


def _number(text: str, field: _Field) -> int:
    number = field.names.get(text, -1) if not text.isdigit() else int(text)
    if not field.least <= number <= field.most:
        named = f" or a name such as {next(iter(field.names))}" if field.names else ""
        raise ValueError(f"{field.name}: expected {field.least} to {field.most}{named}, got {text!r}")
    return number
