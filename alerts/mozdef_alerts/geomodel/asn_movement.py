"""The factor that somebody has moved between networks of different operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


class System(NamedTuple):
    """The autonomous system of an address."""

    ip: str
    asn: int | None
    organization: str


class AsnMovement:
    """Looks up autonomous systems in a database in MaxMind's format, such as GeoLite2-ASN; opened with the first look.

    :raises ValueError: the package that reads such databases is not installed, or there is no such file.
    """

    def __init__(self, database: Path) -> None:
        self._maxminddb = _reader()
        if not database.is_file():
            raise ValueError(f"factors.asn_movement.database: expected a file, got {database}")
        self._database = database
        self._open: Any = None

    def __call__(self, addresses: Sequence[str]) -> Mapping[str, Any]:
        """Return the pairs of neighbours in different systems as ``asn_hops``; nothing when there is none.

        Addresses without a system are left out.
        """
        if self._open is None:
            self._open = self._maxminddb.open_database(self._database)
        found = [system for address in dict.fromkeys(addresses) if (system := self._system(address))]
        moves = [
            {"origin": one._asdict(), "destination": other._asdict()}
            for one, other in pairwise(found)
            if one.organization != other.organization
        ]
        return {"asn_hops": moves} if moves else {}

    def _system(self, address: str) -> System | None:
        record = self._open.get(address)
        if not isinstance(record, dict) or not record.get("autonomous_system_organization"):
            return None
        number = record.get("autonomous_system_number")
        return System(address, number, str(record["autonomous_system_organization"]))

    def close(self) -> None:
        """Close the database."""
        if self._open is not None:
            self._open.close()


def _reader() -> ModuleType:
    """Import what reads the database: only a site that uses this factor needs it."""
    try:
        import maxminddb
    except ImportError as error:
        raise ValueError("factors.asn_movement needs the package maxminddb: mozdef-alerts[asn]") from error
    return maxminddb
