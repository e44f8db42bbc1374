"""The scan: what the rules about scans from inside have in common (detections.md D23 to D25)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, TypeVar

from mozdef_alerts.addresses import Addresses, within
from mozdef_alerts.names import Names, reverse
from mozdef_alerts.zeek.notice import in_log
from mozdef_core import AggregationRule, Field, Group, Query, Severity, Term


class ScanOptions(AggregationRule.Options):
    """What every rule about scans accepts."""

    source_in: Addresses = Field(
        ["10.0.0.0/8"], description="addresses, networks and ranges a-b that are inside"
    )
    source_not_in: Addresses = Field([], description="addresses, networks and ranges a-b that never alert")
    resolve_names: bool = Field(True, description="whether the summary says what the address is called")


ScanOptionsType = TypeVar("ScanOptionsType", bound=ScanOptions)


class ScanRule(AggregationRule[ScanOptionsType]):
    """A sensor noticed that somebody inside scans others.

    :cvar note: the type of the notice.
    :cvar what: what is said of the scanner.
    :ivar names: what addresses are called.
    """

    note: ClassVar[str]
    what: ClassVar[str]
    by = "details.sourceipaddress"
    window = timedelta(minutes=1)
    threshold = 1
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "nsm"
    needs: ClassVar[Sequence[str]] = ("bro",)

    def __init__(self, options: ScanOptionsType) -> None:
        super().__init__(options)
        self.names = Names(reverse if options.resolve_names else None)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing where nobody is inside."""
        return None if self.options.source_in else "source_in is empty"

    def condition(self) -> Query:
        """The notice, about somebody inside who is not excepted."""
        options, source = self.options, "details.sourceipaddress"
        inside = within(source, options.source_in) & ~within(source, options.source_not_in)
        return in_log("notice") & Term("details.note", self.note) & inside

    def summary(self, group: Group) -> str:
        """Who, with the name of the host if it has one."""
        return f"{self.what} by {self.names.shown([group.key])}"

    def close(self) -> None:
        """Look up no more names."""
        self.names.close()
