"""Puts the addresses of source and destination of every event into one form (on_event)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from mozdef_core import Change, Event, Field, Problem, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_ip.reading import Reading, read

_BALANCER: Final = "cluster_client_ip"
_FORWARDED: Final = "http_x_forwarded_for"
_SHOWN: Final = 200


class _Side(NamedTuple):
    """The fields of one end of a connection, by their last names under ``details``."""

    name: str
    address: str
    port: str
    families: Mapping[int, str]
    aliases: tuple[str, ...]


_SOURCE, _DESTINATION = _SIDES = tuple(
    _Side(
        name,
        f"{name}ipaddress",
        f"{name}port",
        {version: f"{name}ipv{version}address" for version in (4, 6)},
        aliases,
    )
    for name, aliases in (("source", ("src", "srcip")), ("destination", ("dst", "dstip")))
)
_OTHERS: Final = frozenset({_BALANCER, _FORWARDED, *(name for side in _SIDES for name in side.aliases)})
_CONCERNED: Final = _OTHERS.union(side.address for side in _SIDES)


class IP:
    """Cleans addresses, finds them under other names, and removes what is none.

    An event without addresses costs a look at the names of its details, one with clean addresses a look-up of each.
    """

    class Options(PluginOptions):
        """Options in the table ``[plugin.ip]``."""

        trust_cluster_client_ip: bool = Field(
            True,
            description="whether `cluster_client_ip`, which a load balancer sets, wins over the source address sent; "
            "false: it is used only where there is no other",
        )

    order: ClassVar[int] = 15

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        """Set what can be read and remove what is no address; an event that is in order is left alone."""
        details = event.body.get("details")
        if not isinstance(details, dict) or _CONCERNED.isdisjoint(details):
            return None
        if _OTHERS.isdisjoint(details) and _are_clean(details):
            found = dict(_families(details))
            return Change(found) if found else None
        change = _Changes(details)
        given = change.clean(_SOURCE)
        trusted = _first(details.get(_BALANCER))
        if trusted.version and (self.options.trust_cluster_client_ip or not given):
            change.replace(_SOURCE, trusted, given)
        elif not given:
            change.replace(_SOURCE, _first(details.get(_FORWARDED), forwarded=True), given)
        change.clean(_DESTINATION)
        return change.made()


def _are_clean(details: Mapping[str, Any]) -> bool:
    """Return whether all addresses are written as they should be, as nearly always."""
    for side in _SIDES:
        value = details.get(side.address)
        if value is not None and (not value or value.__class__ is not str or read(value).address != value):
            return False
    return True


def _families(details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is to be set beside clean addresses."""
    for side in _SIDES:
        value = details.get(side.address)
        if value is not None:
            name = side.families[read(value).version]
            if details.get(name) != value:
                yield f"details.{name}", value


class _Changes:
    """What becomes of the details of one event."""

    __slots__ = ("_details", "_problems", "_removed", "_set")

    def __init__(self, details: Mapping[str, Any]) -> None:
        self._details = details
        self._set: dict[str, Any] = {}
        self._removed: list[str] = []
        self._problems: list[Problem] = []

    def made(self) -> Change | None:
        """Return the change, None where there is none."""
        if not self._set and not self._removed and not self._problems:
            return None
        fields = {f"details.{name}": value for name, value in self._set.items()}
        return Change(fields, [f"details.{name}" for name in self._removed], problems=self._problems)

    def clean(self, side: _Side) -> str | list[str] | None:
        """Read the address field of a side, else its aliases, and return the address or addresses; None for none."""
        value = self._details.get(side.address)
        alone = not isinstance(value, list)
        readings = self._read(side, value)
        if not readings:
            others = (_first(self._details.get(alias)) for alias in side.aliases)
            readings, alone = [reading for reading in others if reading.version][:1], True
        if not readings:
            if value is not None and value != []:
                self._removed.append(side.address)
            return None
        self._put(side, readings, alone=alone)
        return readings[0].address if alone else [reading.address for reading in readings]

    def replace(self, side: _Side, reading: Reading, given: str | list[str] | None) -> None:
        """Put another address in place of the one given, if it is one, and keep that as the proxy's."""
        if not reading.version or given == reading.address:
            return
        if given is not None:
            self._set["proxyipaddress"] = given
        other = side.families[10 - reading.version]
        self._set.pop(other, None)
        if other in self._details:
            self._removed.append(other)
        if side.address in self._removed:
            self._removed.remove(side.address)
        self._set.pop(side.port, None)  # it was that of the address given
        self._put(side, [reading], alone=True)

    def _read(self, side: _Side, value: Any) -> list[Reading]:
        """Return the addresses in the address field, and refuse what else there is."""
        readings = []
        for each in value if isinstance(value, list) else [value]:
            reading = read(each) if isinstance(each, str) else Reading()
            if reading.version:
                readings.append(reading)
            elif each is not None:
                self._refuse(side, each, reading)
        return readings

    def _refuse(self, side: _Side, value: Any, reading: Reading) -> None:
        """Note that a value is no address; a name is kept where names belong."""
        text = f"expected an address, got {value!r}"[:_SHOWN]
        self._problems.append(Problem("ip-invalid", text, f"details.{side.address}"))
        if reading.name:
            self._default(side.name, reading.name)
            self._port(side, reading)

    def _put(self, side: _Side, readings: list[Reading], *, alone: bool) -> None:
        addresses = [reading.address for reading in readings]
        self._change(side.address, addresses[0] if alone else addresses)
        for version, name in side.families.items():
            of_family = [reading.address for reading in readings if reading.version == version]
            if of_family:
                self._change(name, of_family[0] if alone else of_family)
        self._port(side, readings[0])

    def _port(self, side: _Side, reading: Reading) -> None:
        if reading.port is not None:
            self._default(side.port, reading.port)

    def _change(self, name: str, value: Any) -> None:
        if self._details.get(name) != value or name in self._set:
            self._set[name] = value

    def _default(self, name: str, value: Any) -> None:
        if self._details.get(name) in (None, "") and name not in self._set:
            self._set[name] = value


def _first(value: Any, *, forwarded: bool = False) -> Reading:
    """Return what the first entry of another field says.

    :param forwarded: the entries stand in one text, with commas between them.
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, str):
        return Reading()
    return read(value.partition(",")[0] if forwarded else value)
