"""The guard of the IP block list: what must never be blocked, since it would hurt more than it helps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, TypeAlias

from mozdef_core.casework.list_values import canonical
from mozdef_core.errors import QueryError
from mozdef_core.query.members import read_network

Network: TypeAlias = IPv4Network | IPv6Network

WIDEST: Final = {4: 16, 6: 32}
"""No network with a shorter prefix is blocked."""

_PRIVATE: Final = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "private, shared by carriers"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link local"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/8", "reserved, the unspecified address and loopback among it"),
    ("64:ff9b::/96", "the translation of IPv4"),
    ("64:ff9b:1::/48", "the private translation of IPv4"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link local"),
    ("fec0::/10", "private, of old"),
    ("ff00::/8", "multicast"),
)
"""The registries of special addresses at IANA (RFC 6890), without the networks for documentation, which harm nobody."""


class BlockGuard:
    """Decides whether an address or network may be blocked.

    :param networks: that are never blocked.
    :param file: holds more of them, one a line, ``#`` before a comment; read again when it has changed.
    :param own: the addresses of this machine; to block them one must confirm it.
    """

    def __init__(
        self, networks: Iterable[str] = (), file: Path | None = None, own: Iterable[str] = ()
    ) -> None:
        self._private = [(ip_network(text), words) for text, words in _PRIVATE]
        self._listed = [_network(text) for text in networks]
        self._own = [_network(text) for text in own]
        self._file = file
        self._read: tuple[tuple[int, int], Sequence[Network]] | None = None

    def check(self, text: str, *, own: Iterable[str] = (), confirmed: bool = False) -> str:
        """Return an address or network as it stands on the list.

        :param own: further addresses that are one's own, such as where the person sits.
        :param confirmed: own addresses are meant.
        :raises ValueError: it must not be blocked, or is none; the sentence says why.
        """
        value = canonical("addresses", text)
        network = _network(value)
        if network.prefixlen < WIDEST[network.version]:
            raise ValueError(
                f"{value}: expected a network of at most /{WIDEST[network.version]}, this one is wider"
            )
        for other, words in self._private:
            if _touch(network, other):
                raise ValueError(f"{value}: cannot be blocked, since {other} is {words}")
        for other in [*self._listed, *self._from_file()]:
            if _touch(network, other):
                raise ValueError(f"{value}: cannot be blocked, since {other} is on the white list")
        for other in [*self._own, *map(_network, own)]:
            if not confirmed and _touch(network, other):
                raise ValueError(f"{value}: is or holds {other.network_address}, an address of your own")
        return value

    def _from_file(self) -> Sequence[Network]:
        if self._file is None:
            return ()
        try:
            state = self._file.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if self._read is None or self._read[0] != stamp:
                lines = self._file.read_text(encoding="utf-8").splitlines()
                texts = (line.partition("#")[0].strip() for line in lines)
                self._read = (stamp, [_network(text) for text in texts if text])
        except (OSError, UnicodeDecodeError, QueryError) as error:
            raise ValueError(
                f"nothing is blocked while the white list {self._file} cannot be read: {error}"
            ) from error
        return self._read[1]


def _network(text: str) -> Network:
    return ip_network(str(read_network(text)))


def _touch(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
