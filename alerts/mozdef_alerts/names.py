"""Names of addresses, by reverse look-ups that never hold a rule up (detections.md A3.12)."""

from __future__ import annotations

import queue
import re
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

Lookup = Callable[[str], str | None]
"""Returns the name of an address, None where it has none; it may take as long as it likes, and raise OSError."""

_THREADS: Final = 4
_WAITING: Final = 256
_KEPT_S: Final = 3_600.0
_NONE_KEPT_S: Final = 300.0
_REFILL_S: Final = 60.0
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63})*", re.ASCII
)


def reverse(address: str) -> str | None:
    """Ask the system's resolver.

    :raises OSError: it does not know, or cannot be reached.
    """
    return socket.gethostbyaddr(address)[0]


class Names:
    """What addresses are called. Nothing is asked before the first address is wanted.

    Threads in the background ask, and what they learn is kept for an hour, that there is no name for five minutes.
    Whoever wants names gets those known by then: all calls of a minute together wait for one limit at most, so that a
    name server that is slow costs names and never alerts. A name comes from whoever owns the address: one with other
    characters than host names have is as good as none.

    :param lookup: asks for one name; None never to ask.
    :param limit_s: how many seconds are waited at most.
    :param most: so many addresses are kept.
    :param clock: the time in seconds, which only ever rises.
    """

    def __init__(
        self,
        lookup: Lookup | None = reverse,
        *,
        limit_s: float = 1.0,
        most: int = 4_096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._limit_s = limit_s
        self._most = most
        self._clock = clock
        self._changed = threading.Condition()
        self._kept: OrderedDict[str, tuple[str | None, float]] = OrderedDict()
        self._pending: set[str] = set()
        self._questions: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads = 0
        self._patience_s = limit_s
        self._refilled_s = clock()

    def known(self, addresses: Iterable[str]) -> Mapping[str, str]:
        """Return the names that are known, or become known within the limit, by address."""
        if self._lookup is None:
            return {}
        wanted = list(dict.fromkeys(addresses))
        with self._changed:
            for address in wanted:
                self._ask(address)
            self._wait(set(wanted))
            found = {address: self._kept[address][0] for address in wanted if address in self._kept}
        return {address: name for address, name in found.items() if name is not None}

    def shown(self, addresses: Iterable[str]) -> str:
        """Return addresses as a summary says them: with commas between, each with its name in parentheses if known."""
        wanted = list(addresses)
        found = self.known(wanted)
        return ", ".join(
            f"{address} ({found[address]})" if address in found else address for address in wanted
        )

    def close(self) -> None:
        """Ask nothing any more; a question that is being asked is not waited for."""
        with self._changed:
            self._lookup = None
            for _ in range(self._threads):
                self._questions.put(None)
            self._threads = 0

    def _ask(self, address: str) -> None:
        """Have one address looked up, unless it is known or too many wait already."""
        kept = self._kept.get(address)
        if address in self._pending or (kept is not None and kept[1] > self._clock()):
            return
        if len(self._pending) >= _WAITING:
            return
        self._pending.add(address)
        self._questions.put(address)
        if self._threads < min(_THREADS, len(self._pending)):
            self._threads += 1
            threading.Thread(target=self._work, name=f"names-{self._threads}", daemon=True).start()

    def _wait(self, wanted: set[str]) -> None:
        """Wait for answers while there is patience left; it comes back within a minute."""
        began = self._clock()
        refill_s = (began - self._refilled_s) / _REFILL_S * self._limit_s
        self._patience_s = min(self._limit_s, self._patience_s + refill_s)
        self._refilled_s = began
        answered = self._changed.wait_for(lambda: not wanted & self._pending, self._patience_s)
        spent_s = self._clock() - began
        self._patience_s = max(0.0, self._patience_s - spent_s) if answered else 0.0

    def _work(self) -> None:
        while (address := self._questions.get()) is not None:
            lookup = self._lookup
            name = None if lookup is None else _asked(lookup, address)
            with self._changed:
                self._keep(address, name)
                self._pending.discard(address)
                self._changed.notify_all()

    def _keep(self, address: str, name: str | None) -> None:
        self._kept[address] = (name, self._clock() + (_NONE_KEPT_S if name is None else _KEPT_S))
        self._kept.move_to_end(address)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


def _asked(lookup: Lookup, address: str) -> str | None:
    """Return the name if there is one that a host can have, which is not just the address again."""
    try:
        name = lookup(address)
    except (OSError, UnicodeError):
        return None
    bare = (name or "").removesuffix(".")
    return bare if bare != address and _NAME.fullmatch(bare) else None
