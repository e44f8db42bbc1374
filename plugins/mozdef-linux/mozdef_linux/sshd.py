"""The messages of OpenSSH's server.

Forms follow the log calls of OpenSSH 7 to 10 and of pam_unix. A user name comes from the network and may hold
anything, so it reaches up to the last "from <address> port <number>", never to the first.
"""

from __future__ import annotations

import re
from typing import Any, Final

from mozdef_linux.patterns import form, read

_PEER: Final = r"(?P<address>\S+) port (?P<sourceport>\d+)"
_USER: Final = r"(?P<invaliduser>invalid user )?(?P<username>.*)"
_REPEATED: Final = re.compile(r"message repeated (\d+) times: \[ ?(.*?) ?\]", re.DOTALL)
_PREAUTH: Final = " [preauth]"

_FORMS: Final = (
    form(
        "Accepted ",
        rf"(?P<authmethod>\S+) for (?P<username>.*) from {_PEER}(?: ssh2)?"
        r"(?:: (?P<keytype>\S+) (?P<keyfingerprint>\S+)(?: .*)?)?",
        authstatus="Accepted",
        success=True,
    ),
    form(
        "Failed ",
        rf"(?P<authmethod>\S+) for {_USER} from {_PEER}(?: ssh2)?(?:: .*)?",
        authstatus="Failed",
        success=False,
    ),
    form("Invalid user ", rf"(?:(?P<username>.*) )?from {_PEER}", success=False, invaliduser=True),
    form("Invalid user ", r"(?:(?P<username>.*) )?from (?P<address>\S+)", success=False, invaliduser=True),
    form(
        "pam_unix(sshd:session): session ",
        r"(?P<status>opened|closed) for user (?P<username>\S+?)(?:\(uid=\d+\))?(?: by .*)?",
    ),
    form(
        "pam_unix(sshd:auth): authentication failure;",
        r".*? rhost=(?P<address>\S*)(?:\s+user=(?P<username>.*))?",
        success=False,
    ),
    form("Postponed ", rf"(?P<authmethod>\S+) for (?:invalid user )?(?P<username>.*) from {_PEER}(?: .*)?"),
    form(
        "Starting session: ",
        r"(?P<sessiontype>\S+)(?: \([^)]*\))?(?: on (?P<device>\S+))?(?: '(?P<command>.*)')?"
        rf" for (?P<username>.*) from {_PEER}(?: id \d+)?",
    ),
    form("input_userauth_request: invalid user ", r"(?P<username>.*)", invaliduser=True),
    form(
        "Received disconnect from ",
        rf"{_PEER}:(?P<disconnectcode>\d+): ?(?P<disconnecttext>.*)",
    ),
    form("Received disconnect from ", r"(?P<address>\S+): (?P<disconnectcode>\d+): ?(?P<disconnecttext>.*)"),
    *(
        form(beginning, rf"(?:(?:(?:invalid|authenticating) )?user (?P<username>.*) )?{_PEER}")
        for beginning in ("Connection closed by ", "Connection reset by ", "Disconnected from ")
    ),
    form(
        "error: maximum authentication attempts exceeded for ",
        rf"(?:invalid user )?(?P<username>.*) from {_PEER}(?: ssh2)?",
        success=False,
    ),
)


def read_sshd(message: str) -> dict[str, Any]:
    """Return the fields of one message, without the ``details.`` in front; empty when it says nothing known."""
    repeated = _REPEATED.fullmatch(message)
    if repeated is not None:
        return {**read_sshd(repeated[2]), "repeated": int(repeated[1])}
    fields = read(message.removesuffix(_PREAUTH), _FORMS)
    if str(fields.get("keytype", "")).startswith("RSA"):
        fields["rsakeyfingerprint"] = fields["keyfingerprint"]
    return fields
