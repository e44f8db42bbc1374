"""What a list holds, made to be asked for one value at a time: a million members cost what ten do, a look-up."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv6Address
from typing import Final, NamedTuple, TypeAlias

from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar
from mozdef_core.query.addresses import read_address, write_address
from mozdef_core.query.values import fold, spellings, spelt_boolean, spelt_number

NEVER_US: Final = 2**63 - 1
"""When a member without an end expires."""

_V4_FIRST: Final = 0xFFFF << 32
_V4_BITS: Final = 32
_V6_BITS: Final = 128
_MAPPED_BITS: Final = 96

Entry: TypeAlias = tuple[str, int | None]
"""A member and when it expires, in microseconds since 1970; None is never."""


class Members(ABC):
    """The members of a list at one moment. It never changes, so threads share it.

    A member counts for events that were received before it expires.
    """

    def __init__(self, size: int, first_expiry_us: int) -> None:
        self.size = size
        self.first_expiry_us = first_expiry_us

    @abstractmethod
    def expiry_us(self, value: Scalar) -> int:
        """Return when the member that a value is expires, :data:`NEVER_US` for never, 0 when it is none."""

    @abstractmethod
    def has_text(self, text: str) -> bool:
        """Return whether a text is a member, expired or not."""

    def has(self, value: Scalar) -> bool:
        """Return whether a value is a member, expired or not."""
        return self.expiry_us(value) > 0

    @abstractmethod
    def entries(self) -> Iterator[tuple[str, int]]:
        """Yield the members with their expiry."""


class TextMembers(Members):
    """Texts that are compared whole; a number or boolean is a member if a text that spells it is.

    :param ignore_case: they are compared ignoring case.
    """

    def __init__(self, entries: Iterable[Entry], *, ignore_case: bool = False) -> None:
        self.ignore_case = ignore_case
        self._lasting: set[str] = set()
        self._expiring: dict[str, int] = {}
        known: dict[int, int] = {}
        for text, expires_us in entries:
            key = fold(text) if ignore_case else text
            if expires_us is None or expires_us == NEVER_US:
                self._lasting.add(key)
            elif expires_us > self._expiring.get(key, 0):
                self._expiring[key] = known.setdefault(expires_us, expires_us)  # many share one moment
        size = len(self._lasting) + sum(key not in self._lasting for key in self._expiring)
        super().__init__(size, min(known, default=NEVER_US))
        self._scalars: list[str] | None = None

    def has_text(self, text: str) -> bool:
        """Return whether a text is a member, expired or not."""
        if self.ignore_case:
            text = fold(text)
        return text in self._lasting or text in self._expiring

    def expiry_us(self, value: Scalar) -> int:
        """Return when the member that a value equals expires; see :meth:`Members.expiry_us`."""
        found = 0
        for text in spellings(value):
            key = fold(text) if self.ignore_case else text
            if key in self._lasting:
                return NEVER_US
            found = max(found, self._expiring.get(key, 0))
        return found

    def entries(self) -> Iterator[tuple[str, int]]:
        """Yield the members with their expiry."""
        yield from ((text, NEVER_US) for text in self._lasting)
        yield from (item for item in self._expiring.items() if item[0] not in self._lasting)

    @property
    def scalar_texts(self) -> list[str]:
        """The members that spell a number or a boolean; found out once."""
        if self._scalars is None:
            self._scalars = [
                text
                for text, _ in self.entries()
                if spelt_number(text) is not None or spelt_boolean(text) is not None
            ]
        return self._scalars


class Network(NamedTuple):
    """An address or network: the bits that its addresses begin with, how many they are, and of how many."""

    bits: int
    length: int
    width: int

    def __str__(self) -> str:
        """Return it in CIDR notation, an address alone."""
        number = self.bits << (self.width - self.length)
        if self.width == _V4_BITS:
            number |= _V4_FIRST
        text = write_address(number)
        return text if self.length == self.width else f"{text}/{self.length}"


def read_network(text: str) -> Network:
    """Return an address or network; host bits may be set, and one in IPv4's mapped form is IPv4.

    :raises QueryError: it is neither.
    """
    address, slash, prefix = text.partition("/")
    try:
        packed, width = socket.inet_pton(socket.AF_INET, address), _V4_BITS
    except (OSError, ValueError):
        packed, width = _packed_v6(text, address), _V6_BITS
    number, length = int.from_bytes(packed), width
    if slash:
        if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 and int(prefix) <= width):
            raise _no_network(text)
        length = int(prefix)
    if width == _V6_BITS and length >= _MAPPED_BITS and number >> _V4_BITS == _V4_FIRST >> _V4_BITS:
        number, width, length = number & 0xFFFFFFFF, _V4_BITS, length - _MAPPED_BITS
    return Network(number >> (width - length), length, width)


def _packed_v6(text: str, address: str) -> bytes:
    try:
        return IPv6Address(address.partition("%")[0]).packed
    except ValueError:
        raise _no_network(text) from None


def _no_network(text: str) -> QueryError:
    return QueryError(f"expected an address or a network such as 192.0.2.0/24, got {text!r}")


class _Table(NamedTuple):
    """IPv4 networks of one length: their bits in rising order, and their expiries unless none expires."""

    shift: int
    bits: array[int]
    expiries: array[int] | None

    def expiry_us(self, number: int) -> int:
        key = number >> self.shift
        place = bisect_left(self.bits, key)
        if place == len(self.bits) or self.bits[place] != key:
            return 0
        return NEVER_US if self.expiries is None else self.expiries[place]


class NetworkMembers(Members):
    """Addresses and networks; a text is a member if it is an address that lies in one.

    IPv4 takes four bytes a member, twelve with an expiry. An address is looked up once for each length of network
    that there is, at most 33 times for IPv4 and 129 times for IPv6.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        found: dict[tuple[int, int], dict[int, int]] = {}
        first_us = NEVER_US
        for text, expires_us in entries:
            network = read_network(text)
            until_us = NEVER_US if expires_us is None else expires_us
            first_us = min(first_us, until_us)
            table = found.setdefault((network.width, network.length), {})
            if until_us > table.get(network.bits, 0):
                table[network.bits] = until_us
        super().__init__(sum(map(len, found.values())), first_us)
        self._v4 = [
            _table(_V4_BITS - length, found[width, length])
            for width, length in sorted(found, reverse=True)
            if width == _V4_BITS
        ]
        self._v6: Mapping[int, dict[int, int]] = {
            _V6_BITS - length: found[width, length]
            for width, length in sorted(found, reverse=True)
            if width == _V6_BITS
        }

    def has_text(self, text: str) -> bool:
        """Return whether a text is an address in one of them, expired or not."""
        number = read_address(text)
        return number is not None and self._look_up(number, any_will_do=True) > 0

    def expiry_us(self, value: Scalar) -> int:
        """Return when the last of the members that an address lies in expires; see :meth:`Members.expiry_us`."""
        number = read_address(value) if isinstance(value, str) else None
        return 0 if number is None else self._look_up(number, any_will_do=False)

    def _look_up(self, number: int, *, any_will_do: bool) -> int:
        latest_us = 0
        if number >> _V4_BITS == _V4_FIRST >> _V4_BITS:
            low = number & 0xFFFFFFFF
            for table in self._v4:
                latest_us = max(latest_us, table.expiry_us(low))
                if latest_us and any_will_do:
                    break
            return latest_us
        for shift, known in self._v6.items():
            latest_us = max(latest_us, known.get(number >> shift, 0))
            if latest_us and any_will_do:
                break
        return latest_us

    def entries(self) -> Iterator[tuple[str, int]]:
        """Yield the members with their expiry, in CIDR notation."""
        for table in self._v4:
            for place, bits in enumerate(table.bits):
                expiry_us = NEVER_US if table.expiries is None else table.expiries[place]
                yield str(Network(bits, _V4_BITS - table.shift, _V4_BITS)), expiry_us
        for shift, known in self._v6.items():
            for bits, expiry_us in known.items():
                yield str(Network(bits, _V6_BITS - shift, _V6_BITS)), expiry_us


def _table(shift: int, found: dict[int, int]) -> _Table:
    bits = array("I", sorted(found))
    if all(expiry_us == NEVER_US for expiry_us in found.values()):
        return _Table(shift, bits, None)
    return _Table(shift, bits, array("q", [found[one] for one in bits]))


Make: TypeAlias = Callable[[Iterable[Entry]], Members]

KINDS: Final[Mapping[str, Make]] = {
    "addresses": NetworkMembers,
    "hosts": lambda entries: TextMembers(entries, ignore_case=True),
    "users": TextMembers,
    "hashes": lambda entries: TextMembers(entries, ignore_case=True),
    "texts": TextMembers,
}
"""The types of lists, and what holds the members of each. Host names and hashes are compared ignoring case."""
