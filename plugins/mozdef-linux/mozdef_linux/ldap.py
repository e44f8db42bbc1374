"""What the shippers of directory servers' logs send: who changed an entry, and over which connection (on_event)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from mozdef_core import Change, Event, hookimpl
from mozdef_core import Options as PluginOptions

_MAIL: Final = re.compile(r"(?:^|[,\s])mail=([^,\s]+@[^,\s]+)", re.IGNORECASE)


class Ldap:
    """Names the person behind a change of the directory, where the actor's name holds a mail address."""

    class Options(PluginOptions):
        """It has none."""

    order: ClassVar[int] = 5
    applies_to: ClassVar[dict[str, frozenset[str]]] = {
        "category": frozenset({"ldap", "ldapChange"}),
        "program": frozenset({"ldap-humanizer"}),
        "tag": frozenset({"ldap-humanizer"}),
    }

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        """Set ``details.email`` and ``details.username`` from ``details.actor``, and the source if none was sent."""
        fields: dict[str, Any] = {}
        removed: tuple[str, ...] = ()
        if not event.exists("source"):
            fields["source"] = "ldap"
        tls = event.get("details.tls")
        if tls is not None and event.text("category").lower() == "ldap":
            fields["details.tls_encrypted"] = tls
            removed = ("details.tls",)
        address = mail_address(event.text("details.actor"))
        if address is not None:
            fields["details.email"] = address
            fields["details.username"] = address.rpartition("@")[0]
        return Change(fields, removed) if fields else None


def mail_address(actor: str) -> str | None:
    """Return the address in the part ``mail=<address>`` of a name such as ``mail=ines@lab.example,ou=people``."""
    found = _MAIL.search(actor)
    return found[1] if found is not None else None
