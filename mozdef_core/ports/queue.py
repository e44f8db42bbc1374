"""The queue port: accepted items, and where they wait for a worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an item came in: the part of ``mozdef.input`` that all items of one request share.

    :param name: name of the entrance, the key of its settings, such as ``events`` or ``syslog``.
    :param kind: ``http``, ``syslog``, ``file``, ...
    :param decoder: which decoder reads the raw bytes: ``json``, ``cef``, or one that an input brings.
    :param endpoint: last part of the address, for HTTP; the application for ``/custom/<application>``.
    :param index: index name that an Elasticsearch client gave.
    :param peer: address of the sender.
    :param token: label of the token used, never its value.
    """

    name: str
    kind: str
    decoder: str = "json"
    endpoint: str | None = None
    index: str | None = None
    peer: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a sender submitted, as it came, with the id that its event will have.

    :param received_us: received time in microseconds since 1970.
    :param sender_id: what identifies it within its entrance (event-format.md section 6.3), or None.
    :param refusal: code and reason when the entrance has refused it and it is only kept as a dead letter.
    :param replay_of: id of the dead letter that it is a replay of, or None.
    :param fields: what the entrance adds to the decoded item where the sender has not set it, by dotted name.
    """

    id: str
    received_us: int
    origin: Origin
    raw: bytes = field(repr=False)
    sender_id: str | None = None
    refusal: tuple[str, str] | None = None
    replay_of: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


class PutResult(NamedTuple):
    """What became of the items of one ``put``: the id of each in order, and how many were repeats.

    A repeat (its sender id was seen from that entrance before) is not stored again; it gets the first one's id.
    """

    ids: Sequence[str]
    duplicates: int


class Delivery(NamedTuple):
    """A batch in the hands of a consumer.

    :param token: what the queue knows it by.
    :param redelivered: whether it may have been delivered before, so that its events may be stored already.
    """

    token: str
    items: Sequence[Item]
    redelivered: bool


class QueueDepth(NamedTuple):
    """How much waits: items, bytes on disk, and the received time of the oldest one (None when empty)."""

    items: int
    size_bytes: int
    limit_bytes: int
    oldest_us: int | None


class Queue(ABC):
    """Where accepted items wait for a worker. What ``put`` has returned for survives ``kill -9`` and power loss.

    Instances may be used from several threads. Several processes may use one queue.
    """

    @abstractmethod
    def put(self, items: Sequence[Item]) -> PutResult:
        """Keep the items, all or none; when this returns they are on stable storage.

        :raises QueueFullError: the limit in bytes is reached.
        :raises QueueUnavailableError: it cannot be written, such as on a full disk.
        """

    @abstractmethod
    def take(self, most: int, wait_s: float) -> list[Delivery]:
        """Take whole batches, oldest first, until they hold at least ``most`` items or no more wait.

        Batches of a consumer that has died come again. What this consumer has taken and neither acknowledged
        nor put back is not given out twice while it lives.

        :param wait_s: how long to wait for the first batch; an empty list after that.
        :raises QueueUnavailableError: it cannot be read.
        """

    @abstractmethod
    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Forget batches whose items are safe elsewhere."""

    @abstractmethod
    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Give batches back, to be delivered again in their old place."""

    @abstractmethod
    def depth(self) -> QueueDepth:
        """Return how much waits, taken but unacknowledged batches included."""

    @abstractmethod
    def close(self) -> None:
        """Give up what this consumer holds and release files and connections."""
