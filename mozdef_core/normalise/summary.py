"""The summary: one readable line (event-format.md section 5.8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mozdef_core.normalise.details import look_up
from mozdef_core.normalise.tags import as_text

_BREAKS: Final = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_FALLBACKS: Final = ("message", "msg", "event.original", "eventname", "action")
_MEMBERS: Final = 5
_LONGEST: Final = 256


def one_line(text: str) -> str:
    """Return a text on one line: line breaks as blanks, other control characters as U+FFFD, trimmed."""
    if not text.isprintable():
        text = _CONTROLS.sub("\ufffd", _BREAKS.sub(" ", text))
    return text.strip()


def fallback(details: Mapping[str, Any]) -> str:
    """Return a summary made of the details; empty when they hold nothing to show."""
    for path in _FALLBACKS:
        value = look_up(details, path)
        if isinstance(value, str) and one_line(value):
            return one_line(value)
    shown = [
        f"{name}={as_text(value)}"
        for name, value in details.items()
        if value is not None and not isinstance(value, dict | list)
    ]
    return one_line(" ".join(shown[:_MEMBERS])[:_LONGEST])
