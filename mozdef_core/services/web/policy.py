"""Policy: what the HTTP entrances accept, how they answer, and how a request is refused as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from mozdef_core.errors import MozdefError

MEBIBYTE: Final = 1024 * 1024


class RefusalError(MozdefError):
    """The request is answered with an error and nothing of it is accepted.

    :param status: HTTP status.
    :param code: machine code, such as ``unsupported-encoding``.
    :param reason: a sentence that says what was wrong and what would be right.
    :param retry_after_s: for 429 and 503, after how many seconds another try makes sense.
    :param raw: what had been read, when it should be kept as a dead letter.
    """

    def __init__(
        self, status: int, code: str, reason: str, *, retry_after_s: float | None = None, raw: bytes = b""
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.raw = raw


@dataclass(frozen=True, slots=True)
class Limits:
    """The hard limits of event-format.md section 5.10; what is beyond them is refused."""

    body_bytes: int = 32 * MEBIBYTE
    item_bytes: int = MEBIBYTE
    items: int = 10_000
    depth: int = 100


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """In what time bodies must arrive, and how much memory they may take together.

    :param body_bytes: most bytes of one body, as it is sent.
    :param timeout_s: how long a body may take; what has arrived of it buys more time at ``rate_bytes_s``.
    :param memory_bytes: most bytes of all bodies that are being read or worked on.
    """

    body_bytes: int = 32 * MEBIBYTE
    timeout_s: float = 10.0
    rate_bytes_s: int = 4096
    memory_bytes: int = 256 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class EntrancePolicy:
    """How one entrance treats its senders.

    :param open: whether it takes events without a token although the listener can be reached from outside.
    :param partial_status: status of the answer when some items were refused: 400, or 200 for shippers that
        would send the whole batch again, or drop it, on 400.
    :param keep_rejected: whether refused items are kept as dead letters.
    :param rate_limit: events per second that one token, or without one its address, may submit to one process; 0
        for no limit, None for what :class:`WebSettings` says of tokens.
    :param rate_burst: how many may come at once; None for ``burst_s`` times the rate.
    """

    open: bool = False
    partial_status: int = 400
    keep_rejected: bool = True
    rate_limit: int | None = None
    rate_burst: int | None = None


DEFAULT_POLICIES: Final[Mapping[str, EntrancePolicy]] = MappingProxyType(
    {
        "events": EntrancePolicy(),
        "custom": EntrancePolicy(),
        "nxlog": EntrancePolicy(partial_status=200),
        "bulk": EntrancePolicy(partial_status=200),
        "cef": EntrancePolicy(partial_status=200),
    }
)
"""The entrances by name. People and API clients post to ``events`` and ``custom``; shippers to the others."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Everything that decides about a request.

    :param loopback: whether the listener can be reached from this machine only; then no token is needed.
    :param rate_per_s: events per second that one token may submit to one process where the entrance says nothing
        else, 0 for no limit.
    :param burst_s: how many seconds' worth of events may come at once.
    :param client_certificates: whether every connection has shown a client certificate that was verified.
    """

    loopback: bool = True
    limits: Limits = field(default_factory=Limits)
    entrances: Mapping[str, EntrancePolicy] = field(default_factory=lambda: DEFAULT_POLICIES)
    rate_per_s: int = 20_000
    burst_s: int = 10
    client_certificates: bool = False

    @property
    def needs_tokens(self) -> bool:
        """Whether there is an entrance that takes nothing without a token."""
        trusted = self.loopback or self.client_certificates
        return not trusted and not all(policy.open for policy in self.entrances.values())
