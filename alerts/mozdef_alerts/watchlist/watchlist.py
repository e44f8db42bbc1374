"""A term of the watch list was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from pydantic import field_validator

from mozdef_core import (
    Alert,
    Event,
    EventRule,
    Field,
    Options,
    RuleOptions,
    Severity,
    WatchEntry,
    WatchList,
    Window,
    hookimpl,
)

USERS: Final = ("details.username", "details.originaluser", "details.originuser", "details.user")
OWN_ENTRANCE: Final = "mozdef"
_SUMMARY_TERM: Final = 200


class Watched(Options):
    """A term that is always watched for."""

    content: str = Field(min_length=2, description="the term")
    kind: str = Field("", description="ip, network, domain, text or query; empty: what it looks like")
    subdomains: bool = Field(False, description="of a domain: what lies below it counts as well")

    def entry(self) -> WatchEntry:
        """Return it as an entry.

        :raises ValueError: it cannot be watched for.
        """
        made = WatchEntry.of("", self.content, self.kind, subdomains=self.subdomains)
        return made._replace(id=f"option:{made.content}")


class Watchlist(EventRule["Watchlist.Options"]):
    """Somebody watches for a term, kept with ``mozdef watch``, and it occurs in an event."""

    class Options(RuleOptions):
        """Options in the table ``[alerts.watchlist]``."""

        always: list[Watched] = Field(
            [],
            description="terms that are watched for besides those that people keep: content, kind, subdomains",
        )

        @field_validator("always")
        @classmethod
        def _usable(cls, value: list[Watched]) -> list[Watched]:
            for each in value:
                each.entry()
            return value

    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "watchlist"
    tags: ClassVar[Sequence[str]] = ("watchtarget",)
    attack: ClassVar[Sequence[str]] = ("T1071",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._always = WatchList()
        self._always.replace([each.entry() for each in options.always])
        self._kept: WatchList | None = None

    def condition(self) -> Any:
        """There is no query: each entry is looked for in its own way."""
        return None

    def use_watch_list(self, watch: WatchList) -> None:
        """Take the watch list that people keep; called once, when the process starts."""
        self._kept = watch

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Raise one alert for each entry that occurs in an event, but for events of MozDef's own."""
        return [alert for event in window if not _own(event) for alert in self._found(event)]

    def _found(self, event: Event) -> Iterable[Alert]:
        for entry in self._always.find(event):
            yield self._about(event, entry)
        if self._kept is not None:
            for entry in self._kept.find(event):
                self._kept.hit(entry, event.received_us)
                yield self._about(event, entry)

    def _about(self, event: Event, entry: WatchEntry) -> Alert:
        term = entry.content[:_SUMMARY_TERM]
        details = {**self.details(event), "watchterm": entry.content, "watchentry": entry.id}
        summary = f"{term} was seen: {self.summary(event)}"
        return replace(
            self._alert(event), summary=summary[:2_000], details=details, group=("watchentry", entry.id)
        )

    def summary(self, event: Event) -> str:
        """Who it was, from where, and on which host."""
        address, host = self.value(event, "details.sourceipaddress"), self.value(event, "hostname")
        return f"user {self._user(event) or 'unknown'}, source address {address}, host {host}"

    def details(self, event: Event) -> Mapping[str, Any]:
        """The user and the source address, as far as they are known."""
        found = {"username": self._user(event), "sourceipaddress": event.get("details.sourceipaddress")}
        return {name: value for name, value in found.items() if value}

    @staticmethod
    def _user(event: Event) -> Any:
        return next((value for path in USERS if (value := event.get(path))), None)


def _own(event: Event) -> bool:
    """Return whether MozDef wrote an event itself, such as its audit trail: no sender can say so."""
    return bool(event.get("mozdef.input.name") == OWN_ENTRANCE)
