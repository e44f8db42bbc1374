"""The locality: where somebody was and when, and whether one can get from one to another in the time between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import asin, ceil, cos, radians, sin, sqrt
from typing import Any, Final

from mozdef_core import Event

EARTH_RADIUS_KM: Final = 6_373.0
_GEO: Final = "details.sourceipgeolocation"


@dataclass(frozen=True, slots=True)
class Locality:
    """Where somebody was.

    :param lastaction_us: when last, microseconds since 1970.
    :param radius: how far around in km it is the same place.
    """

    sourceipaddress: str
    city: str
    country: str
    latitude: float
    longitude: float
    lastaction_us: int
    radius: float

    @classmethod
    def of(cls, event: Event, radius: float) -> Locality | None:
        """Return where an event comes from; None when a part of that is not known. Zero degrees are a place."""
        address = event.get("details.sourceipaddress")
        city, country = event.get(f"{_GEO}.city"), event.get(f"{_GEO}.country_code")
        latitude, longitude = _degrees(event, "latitude", 90), _degrees(event, "longitude", 180)
        if not (address and city and country) or latitude is None or longitude is None:
            return None
        return cls(str(address), str(city), str(country), latitude, longitude, event.detection_us, radius)

    @property
    def place(self) -> str:
        """City and country, as a summary says them."""
        return f"{self.city},{self.country}"

    def distance_km(self, other: Locality) -> float:
        """Return the great-circle distance by the haversine formula."""
        lat_a, lat_b = radians(self.latitude), radians(other.latitude)
        half_lat, half_long = (lat_b - lat_a) / 2, radians(other.longitude - self.longitude) / 2
        chord = sin(half_lat) ** 2 + cos(lat_a) * cos(lat_b) * sin(half_long) ** 2
        return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))

    def reaches(self, other: Locality, speed_kmh: float) -> bool:
        """Return whether one gets to another in the time between, from rim to rim of the two places."""
        speed_ms = speed_kmh / 3.6
        needed_s = self.distance_km(other) * 1_000 / speed_ms
        needed_s -= ceil(1_000 * min(self.radius, other.radius) / speed_ms)
        return needed_s <= abs(other.lastaction_us - self.lastaction_us) / 1_000_000

    def near(self, other: Locality) -> bool:
        """Return whether both are the same place."""
        return self.distance_km(other) <= min(self.radius, other.radius)


@dataclass(frozen=True, slots=True)
class Hop:
    """A way that nobody can have gone."""

    origin: Locality
    destination: Locality

    @property
    def text(self) -> str:
        """From where to where, how far, and in what time."""
        minutes = abs(self.destination.lastaction_us - self.origin.lastaction_us) / 60_000_000
        distance = self.origin.distance_km(self.destination)
        return f"{self.origin.place} → {self.destination.place}, {distance:.2f} km in {minutes:.2f} minutes"


def hops(localities: Sequence[Locality], speed_kmh: float) -> Sequence[Hop]:
    """Return the impossible ways between neighbours."""
    return [Hop(one, other) for one, other in pairwise(localities) if not one.reaches(other, speed_kmh)]


def updated(stored: Iterable[Locality], seen: Iterable[Locality]) -> Sequence[Locality]:
    """Return what is known afterwards: one that is near a known one takes its place if it is later, others are new."""
    known = list(stored)
    for locality in seen:
        near = [place for place, other in enumerate(known) if locality.near(other)]
        if not near:
            known.append(locality)
            continue
        place = min(near, key=lambda place: locality.distance_km(known[place]))
        if locality.lastaction_us > known[place].lastaction_us:
            known[place] = locality
    return known


def kept(stored: Iterable[Mapping[str, Any]], since_us: int) -> Sequence[Locality]:
    """Return localities as they are remembered, without those that are too old."""
    found = (Locality(**each) for each in stored)
    return [locality for locality in found if locality.lastaction_us >= since_us]


def _degrees(event: Event, name: str, most: int) -> float | None:
    value = event.get(f"{_GEO}.{name}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
        return None
    return float(value)
