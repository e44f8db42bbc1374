"""The messages of su, as pam_unix and the shadow suite's su write them."""

from __future__ import annotations

from typing import Any, Final

from mozdef_linux.patterns import form, read

_SESSION: Final = (
    r"(?P<status>\S+) for user (?P<username>\S+?)(?:\(uid=\d+\))?"
    r"(?: by (?P<originuser>\S*?)(?:\(uid=(?P<uid>\d+)\))?)?"
)
_SWITCH: Final = r"(?P<username>.*)\) (?P<originuser>\S+) on (?P<device>\S+)"

_FORMS: Final = (
    form("pam_unix(su:session): session ", _SESSION),
    form("pam_unix(su-l:session): session ", _SESSION),
    form("FAILED SU (to ", _SWITCH, success=False),
    form("(to ", _SWITCH, success=True),
)


def read_su(message: str) -> dict[str, Any]:
    """Return the fields of one message, without the ``details.`` in front; empty when it says nothing known."""
    return read(message, _FORMS)
