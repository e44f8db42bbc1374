"""Impossible travel: somebody was in two places between which nobody can have gone in the time."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from mozdef_alerts.geomodel.asn_movement import AsnMovement
from mozdef_alerts.geomodel.locality import Hop, Locality, hops, kept, updated
from mozdef_core import (
    Alert,
    Duration,
    Event,
    Exists,
    Field,
    ListOption,
    Options,
    Query,
    QueryString,
    Severity,
    StateRule,
    Window,
    hookimpl,
)

BEGUN: Final = "begun"
_USER: Final = "user:"
_USERNAME: Final = "details.username"
_ADDRESS: Final = "details.sourceipaddress"
_MICROSECOND: Final = timedelta(microseconds=1)


class Whitelist(Options):
    """Whom the rule does not look at."""

    users: ListOption = Field(ListOption(), description="user names, or @list")
    cidrs: ListOption = Field(
        ListOption(), description="networks that users may come from, IPv4 and IPv6, or @list"
    )


class AsnMovementOptions(Options):
    """The factor that looks at the operators of the networks."""

    database: Path = Field(description="a database in MaxMind's format, such as GeoLite2-ASN.mmdb")


class Factors(Options):
    """What may change the severity of an alert."""

    asn_movement: AsnMovementOptions | None = Field(
        None, description="whether the networks have different operators; unset: it is not looked at"
    )


class GeomodelLocation(StateRule["GeomodelLocation.Options"]):
    """A user was in two places between which nobody can have travelled in the time."""

    class Options(StateRule.Options):
        """Options in the table ``[alerts.geomodel_location]``."""

        query: str = Field("tags:auth0", description="search string of the events that tell where a user is")
        search_window: Duration = Field(timedelta(minutes=5), description="how far the first run looks back")
        asn_movement_severity: Severity = Field(
            Severity.DEBUG, description="severity if the networks have different operators"
        )
        valid_duration_days: float = Field(1, gt=0, description="for how many days a place is remembered")
        radius_kilometres: float = Field(50, gt=0, description="how far around a place it is the same place")
        speed_kmh: float = Field(1_000, gt=0, description="how fast one can travel")
        whitelist: Whitelist = Field(Whitelist(), description="users and networks that are left out")
        factors: Factors = Field(Factors(), description="what may change the severity")

    severity: ClassVar[Severity] = Severity.INFO
    category: ClassVar[str] = "geomodel"
    tags: ClassVar[Sequence[str]] = ("geomodel",)
    attack: ClassVar[Sequence[str]] = ("T1078",)
    needs: ClassVar[Sequence[str]] = ("geoip",)
    group_for: ClassVar[timedelta] = timedelta(hours=1)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._query = self._condition()
        chosen = options.factors.asn_movement
        self._asn_movement = AsnMovement(chosen.database) if chosen is not None else None

    def _condition(self) -> Query:
        allowed = self.options.whitelist
        query = QueryString(self.options.query) & Exists(_USERNAME)
        for field, values in ((_USERNAME, allowed.users), (_ADDRESS, allowed.cidrs)):
            if values:
                query &= ~values.condition(field)
        return query

    @property
    def warm_up(self) -> timedelta:
        """For so long places are remembered."""
        return timedelta(days=self.options.valid_duration_days)

    def close(self) -> None:
        """Close the database of the factor."""
        if self._asn_movement is not None:
            self._asn_movement.close()

    @hookimpl
    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        """Look where each user of the fresh events has been, and remember it, alert or not."""
        seen: dict[str, list[Event]] = {}
        for event in self._events(window):
            user = event.get(_USERNAME)
            if isinstance(user, str) and user:
                seen.setdefault(user, []).append(event)
        known = window.memory.get_many([_USER + user for user in seen])
        since_us = window.end_us - self.warm_up // _MICROSECOND
        alerts = []
        for user, events in seen.items():
            stored = kept(known.get(_USER + user, ()), since_us)
            radius = self.options.radius_kilometres
            places = [place for event in events if (place := Locality.of(event, radius)) is not None]
            places.sort(key=lambda place: place.lastaction_us)
            latest = sorted(stored, key=lambda place: place.lastaction_us)[-1:]
            found = hops([*latest, *places], self.options.speed_kmh)
            remembered = [asdict(place) for place in updated(stored, places)]
            window.memory.set(_USER + user, remembered or None)
            if found:
                alerts.append(self._alert(user, events, found))
        return alerts

    def _events(self, window: Window) -> Iterable[Event]:
        """Yield the events that have arrived since the last run; the first run looks back."""
        if window.memory.get(BEGUN) is None:
            window.memory.set(BEGUN, window.start_us)
            for event in window.search(self._query, before=self.options.search_window):
                if event.detection_us >= window.start_us:
                    break
                yield event
        yield from window.fresh(self._query)

    def _alert(self, user: str, events: Sequence[Event], found: Sequence[Hop]) -> Alert:
        address = found[-1].destination.sourceipaddress
        details: dict[str, Any] = {
            "username": user,
            "hops": [{"origin": _told(hop.origin), "destination": _told(hop.destination)} for hop in found],
            "sourceipaddress": address,
            **_versioned(address),
            "factors": [],
        }
        severity = self.options.severity or self.severity
        if self._asn_movement is not None:
            ends = [end.sourceipaddress for hop in found for end in (hop.origin, hop.destination)]
            factor = self._asn_movement(ends)
            if factor:
                details["factors"].append(factor)
                severity = self.options.asn_movement_severity
        summary = f"{user}: {'; '.join(hop.text for hop in found)}"
        return replace(self.raised(events, (_USERNAME, user), summary, details), severity=severity)


def _told(place: Locality) -> Mapping[str, Any]:
    """Return a locality as an alert's details tell it."""
    observed = datetime.fromtimestamp(place.lastaction_us / 1_000_000, UTC)
    return {
        "ip": place.sourceipaddress,
        "city": place.city,
        "country": place.country,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "observed": observed.isoformat(timespec="microseconds"),
        "geopoint": f"{place.latitude},{place.longitude}",
    }


def _versioned(address: str) -> Mapping[str, str]:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return {}
    return {f"sourceipv{version}address": address}
