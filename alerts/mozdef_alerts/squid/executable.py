"""Programs that the proxy did not let through (detections.md D29)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

from mozdef_alerts.squid.proxied import DENIED, MOST, ProxiedRule
from mozdef_core import Field, Group, Items, Query, Regexp

_FRONT: Final = r"(?:[a-z][a-z0-9+.-]*://[^/?#]*|[^/?#]*[^/?#:])?"
"""Scheme and host, or a host alone: what stands before the path, and may itself end in ``.sh``."""


class ProxyDropExecutable(ProxiedRule["ProxyDropExecutable.Options"]):
    """The proxy refused to let somebody download a program."""

    class Options(ProxiedRule.Options):
        """Options in the table ``[alerts.proxy_drop_executable]``."""

        extensions: Items = Field(
            ["exe", "sh", "py", "rb", "bin"], description="what the names of programs end in, behind the dot"
        )

    attack: ClassVar[Sequence[str]] = ("T1105", "T1204.002")

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without an extension."""
        return None if self.options.extensions else "extensions is empty"

    def condition(self) -> Query:
        """A refused request whose path, without query and fragment, ends in one of the extensions."""
        ends = "|".join(re.escape(extension.lstrip(".")) for extension in self.options.extensions)
        path = rf"{_FRONT}/[^?#]*\.(?:{ends})(?:[?#].*)?"
        return DENIED & Regexp("details.destination", path, case_insensitive=True)

    def summary(self, group: Group) -> str:
        """Who, and what they asked for."""
        return f"{group.key} was refused executables: {group.listed('details.destination', MOST)}"
