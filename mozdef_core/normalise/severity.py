"""Severity and facility: words and numbers to RFC 5424's names (event-format.md section 5.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LEVELS: Final = ("EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
FACILITIES: Final = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip

_WORDS: Final[Mapping[str, str]] = {
    word: level
    for level, words in {
        "EMERGENCY": "emergency emerg panic",
        "ALERT": "alert",
        "CRITICAL": "critical crit fatal",
        "ERROR": "error err failure high",
        "WARNING": "warning warn medium audit_failure",
        "NOTICE": "notice note low",
        "INFO": "info information informational inform normal default audit_success",
        "DEBUG": "debug trace verbose fine finer finest",
    }.items()
    for word in words.split()
}
_TENS: Final = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL", 60: "EMERGENCY"}
_BUNYAN: Final = {10: "DEBUG", 20: "DEBUG", 30: "INFO", 40: "WARNING", 50: "ERROR", 60: "CRITICAL"}
_NXLOG: Final = {1: "DEBUG", 2: "INFO", 3: "WARNING", 4: "ERROR", 5: "CRITICAL"}


def whole(value: Any) -> int | None:
    """Return a number that may be written as text; None where it is no whole number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if len(text) < 20 and text.lstrip("+-").isdigit() and text.isascii() else None
    return None


def read_severity(name: str, value: Any, *, bunyan: bool = False) -> str | None:
    """Return the level that a value means under the name that it was sent by; None when it means none.

    :param bunyan: whether ``level`` is on the scale of the Bunyan logger.
    """
    if isinstance(value, str):
        level = _WORDS.get(value) or _WORDS.get(value.strip().lower())
        if level is not None:
            return level
    number = whole(value)
    if number is None:
        return None
    if name == "severityvalue":
        return _NXLOG.get(number)
    if name == "level":
        if number in _TENS:
            return (_BUNYAN if bunyan else _TENS)[number]
    elif name == "priority" and 8 <= number <= 191:  # a syslog PRI
        return LEVELS[number % 8]
    return LEVELS[number] if 0 <= number < len(LEVELS) else None


def read_facility(value: Any) -> str | None:
    """Return the name of a facility; a number from 0 to 23 becomes its name."""
    number = whole(value)
    if number is not None and 0 <= number < len(FACILITIES):
        return FACILITIES[number]
    return None
