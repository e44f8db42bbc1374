"""The notice of a sensor: what all rules have in common that pass one on, or look at several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from mozdef_core import Event, EventRule, ListOption, Query, RuleOptions, Term, Terms

OptionsType = TypeVar("OptionsType", bound=RuleOptions)


def in_log(name: str) -> Query:
    """Return the condition that an event is a record of one of Zeek's logs, such as ``notice``."""
    return Terms("category", ("bro", "zeek")) & Term("source", name)


class NoticeRule(EventRule[OptionsType]):
    """A sensor raised a notice of some type.

    :cvar notes: the types of notices, such as ``SSH::Password_Guessing``.
    """

    notes: ClassVar[Sequence[str]] = ()
    needs: ClassVar[Sequence[str]] = ("bro",)

    def condition(self) -> Query:
        """A notice of one of the types."""
        return in_log("notice") & self.wanted.condition("details.note")

    @property
    def wanted(self) -> ListOption:
        """The types that are looked for; override it where an option says so."""
        return ListOption(self.notes)

    def summary(self, event: Event) -> str:
        """The sensor, and what its notice tells."""
        return f"{self.value(event, 'hostname')}: {self.value(event, 'summary')}"
