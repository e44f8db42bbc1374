"""Adds country, city and network of source and destination addresses (enrich)."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

from mozdef_core import Change, Event, Field, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_geoip.database import Database

SIDES: Final = (
    ("details.sourceipaddress", "details.sourceip"),
    ("details.destinationipaddress", "details.destinationip"),
)
REMEMBERED: Final = 65_536
"""So many addresses keep their answer, until a database changes."""


class GeoIP:
    """Looks up the addresses of an event in databases of the MaxMind format."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.geoip]``."""

        database: Path | None = Field(None, description="city or country database, a .mmdb file")
        asn_database: Path | None = Field(None, description="network (AS) database, a .mmdb file")

    order: ClassVar[int] = 20

    def __init__(self, options: Options) -> None:
        self.options = options
        self._city = Database(options.database)
        self._asn = Database(options.asn_database)
        self._look_up = lru_cache(maxsize=REMEMBERED)(self._fields)

    @property
    def inactive(self) -> str | None:
        """Why nothing can be looked up; None while at least one database is open."""
        if self._city.problem is None or self._asn.problem is None:
            return None
        return "; ".join(dict.fromkeys((self._city.problem, self._asn.problem)))

    @hookimpl
    def enrich(self, event: Event) -> Change | None:
        """Add what is known about the first source and the first destination address."""
        if self._city.renewed() | self._asn.renewed():
            self._look_up.cache_clear()
        found: dict[str, Any] = {}
        for field, prefix in SIDES:
            address = event.get(field)
            if isinstance(address, list):
                address = next(iter(address), None)
            if isinstance(address, str):
                found.update({prefix + name: value for name, value in self._look_up(address).items()})
        return Change(found) if found else None

    def _fields(self, text: str) -> Mapping[str, Any]:
        """Return the fields of one address by the last part of their name; empty when nothing is known."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return {}
        if not address.is_global or address.is_multicast or address.is_reserved:
            return {}
        fields: dict[str, Any] = {}
        place = self._city.get(address)
        if place is not None:
            location = _location(place)
            if location:
                fields["geolocation"] = location
            point = location.get("latitude"), location.get("longitude")
            if all(isinstance(number, int | float) and math.isfinite(number) for number in point):
                fields["geopoint"] = f"{point[0]},{point[1]}"
        network = self._asn.get(address)
        if network is not None:
            asn = {
                "number": network.get("autonomous_system_number"),
                "organization": network.get("autonomous_system_organization"),
            }
            asn = {name: value for name, value in asn.items() if value is not None}
            if asn:
                fields["asn"] = asn
        return fields

    def close(self) -> None:
        """Close the databases."""
        self._city.close()
        self._asn.close()


def _location(place: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of ``…geolocation`` that a record of a city or country database holds."""

    def name(part: str) -> Any:
        return _member(_member(place.get(part), "names"), "en")

    region = _member((place.get("subdivisions") or [None])[0], "iso_code")
    city = name("city")
    where = place.get("location")
    metro = f"{city}, {region}" if city and region else city
    members = {
        "city": city,
        "continent": _member(place.get("continent"), "code"),
        "country_code": _member(place.get("country"), "iso_code"),
        "country_name": name("country"),
        "dma_code": _member(where, "metro_code"),
        "latitude": _member(where, "latitude"),
        "longitude": _member(where, "longitude"),
        "metro_code": metro,
        "postal_code": _member(place.get("postal"), "code"),
        "region_code": region,
        "time_zone": _member(where, "time_zone"),
    }
    return {member: value for member, value in members.items() if value is not None}


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
