"""Members of a record: found and moved whether they are written with dots or nested."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

_CONNECTION: Final = (
    ("id.orig_h", "sourceipaddress"),
    ("id.orig_p", "sourceport"),
    ("id.resp_h", "destinationipaddress"),
    ("id.resp_p", "destinationport"),
)
_UNKNOWN: Final = "unknown"


def take(record: dict[str, Any], path: str) -> Any:
    """Remove a member and return its value, None where there is none; an object that is left empty goes too."""
    if path in record:
        return record.pop(path)
    head, dot, rest = path.partition(".")
    inner = record.get(head) if dot else None
    if not isinstance(inner, dict) or rest not in inner:
        return None
    value = inner.pop(rest)
    if not inner:
        del record[head]
    return value


def rename_connection(record: dict[str, Any]) -> None:
    """Give the ends of the connection the names that they have in every event."""
    for path, name in _CONNECTION:
        value = take(record, path)
        if value is not None:
            record[name] = as_port(value) if name.endswith("port") else value


def as_port(value: Any) -> Any:
    """Return a port that was written as text as a number, anything else as it is."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        return int(value) if int(value) <= 65_535 else value
    return value


def first(value: Any) -> Any:
    """Return the first element of a list, None of an empty one, and anything else as it is."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def address_version(value: Any) -> int | None:
    """Return 4 or 6 for an address, None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return ip_address(value).version
    except ValueError:
        return None


class Parts(Mapping[str, str]):
    """The parts of a summary by name, as text: ``unknown`` where the record lacks one.

    ``flow`` is where a connection came from and went to; of a list the first element counts.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record

    def __getitem__(self, name: str) -> str:
        """Return one part."""
        if name == "flow":
            return f"{self['sourceipaddress']} -> {self['destinationipaddress']}:{self['destinationport']}"
        value = first(self._record.get(name))
        if value is None or isinstance(value, dict | list):
            return _UNKNOWN
        return str(value).lower() if isinstance(value, bool) else str(value)

    def __iter__(self) -> Any:
        """Yield the names of the record's members."""
        return iter(self._record)

    def __len__(self) -> int:
        """Return the number of the record's members."""
        return len(self._record)
