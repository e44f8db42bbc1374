"""The address in a line that no reader knows: its first word that is one (on_event)."""

from __future__ import annotations

import ipaddress
from typing import ClassVar, Final

from mozdef_core import Change, Event, Field, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_linux.patterns import clean_address

_LOGGERS: Final = (
    "action actions asyncserver banmanager database datedetector failmanager filter filtergamin filterpoll "
    "filterpyinotify filtersystemd ipdns jail jails jailthread observer server ticket transmitter utils"
)
"""The parts of fail2ban that log under a name of their own, such as ``fail2ban.actions``."""
PROGRAMS: Final = frozenset(
    {"sshd", "sshd-session", "sshd-auth", "fail2ban", *(f"fail2ban.{name}" for name in _LOGGERS.split())}
)
_AROUND: Final = "\"'`,;()[]<>{}"


class FindIP:
    """Takes the first address in the text for the source, where nobody else has found one."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.find_ip]``."""

        programs: list[str] = Field(
            [], description="programs whose lines are read, besides sshd and fail2ban"
        )

    order: ClassVar[int] = 6

    def __init__(self, options: Options) -> None:
        self.options = options
        self.applies_to = {"program": PROGRAMS.union(options.programs)}

    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        """Set ``details.sourceipaddress`` unless something stands there."""
        if event.exists("details.sourceipaddress"):
            return None
        address = first_address(event.text("summary"))
        return Change({"details.sourceipaddress": address}) if address is not None else None


def first_address(text: str) -> str | None:
    """Return the first word that is an address, None where there is none.

    ``0.0.0.0`` and ``::`` are addresses to listen on, not to come from, and are passed over.
    """
    for word in text.split():
        bare = word.strip(_AROUND)
        if ":" not in bare and "." not in bare:
            continue
        address = clean_address(bare) or clean_address(bare.removesuffix(":").strip(_AROUND))
        if address is not None and not ipaddress.ip_address(address).is_unspecified:
            return address
    return None
