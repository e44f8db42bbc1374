"""Reads what sshd, su and directory servers write (on_event)."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from mozdef_core import Change, Event, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_linux.find_ip import FindIP
from mozdef_linux.ldap import Ldap
from mozdef_linux.sshd import read_sshd
from mozdef_linux.su import read_su

__all__ = ["FindIP", "Ldap", "Linux"]

SSHD: Final = frozenset({"sshd", "sshd-session", "sshd-auth"})


class Linux:
    """Turns the messages of login daemons into fields."""

    class Options(PluginOptions):
        """It has none."""

    order: ClassVar[int] = 5
    applies_to: ClassVar[dict[str, frozenset[str]]] = {"program": SSHD | {"su"}}

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        """Read the summary; an sshd event always gets ``details.program`` = ``sshd``."""
        program = event.program.lower()
        summary = event.text("summary")
        found: dict[str, Any] = {}
        if program in SSHD:
            found = read_sshd(summary)
            if event.get("details.program") != "sshd":
                found["program"] = "sshd"
        elif program == "su":
            found = read_su(summary)
        return Change({f"details.{name}": value for name, value in found.items()}) if found else None
