"""Reading: the bodies of requests in the server's event loop, where a sender that stalls holds no thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mozdef_core.services.web.body import too_large
from mozdef_core.services.web.policy import BodyLimits, RefusalError

_WHOLE_BYTES: Final = 64 * 1024
"""So small a body is read in one step, which costs half as much as two; it comes with the head, mostly."""
_SWEEP_S: Final = 0.5
_DRAIN_S: Final = 5.0
_RETRY_S: Final = 5


class Incoming(Protocol):
    """The body of a request as Granian's RSGI hands it out: whole, or in pieces.

    A whole one is read by a call, which raises a RuntimeError when it was cut short. Pieces are begun with ``aiter``;
    one empty piece ends them, and more of them an error or trailers.
    """

    def __call__(self) -> Awaitable[bytes]:
        """Read it whole."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Begin to read it in pieces; once."""

    def __anext__(self) -> Awaitable[bytes]:
        """Read the next piece."""


@dataclass(slots=True, eq=False)
class _Reading:
    """A body on its way.

    :param size_bytes: how much is held for it.
    :param refusal: why it is given up.
    """

    task: asyncio.Task[Any]
    began_s: float
    size_bytes: int = 0
    refusal: RefusalError | None = None


class Bodies:
    """Reads bodies, each within its time and all within a share of memory. Belongs to one event loop.

    A body must have arrived whole after ``timeout_s``, but each ``rate_bytes_s`` of it that have arrived buy one
    second more; so one that stalls is given up soon, and a large one on a slow line is not. A small body, which is
    not watched piece by piece, has this credit and its memory from the start. Time is looked at twice a second while
    there is a body to wait for, and costs nothing per request.

    When memory runs out the body that has been on its way for longest is given up: a sender that delivers at once is
    never that one, so those that stall cannot keep it out.
    """

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._readings: dict[_Reading, None] = {}  # oldest first
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def snapshot(self) -> dict[str, int]:
        """Return how many bodies are on their way, and how many bytes of bodies are held."""
        return {"reading": len(self._readings), "held_bytes": self._held_bytes}

    async def read(self, environ: Mapping[str, Any], incoming: Incoming) -> bytes:
        """Read one body; its bytes count as held until :meth:`release`.

        :param environ: of the request, for the length that it announces.
        :raises RefusalError: 408 too slow, 413 too large, 503 no memory left, 400 cut short or no length. After 413
            there may be more of the body; see :func:`hear_out`.
        """
        announced = announced_length(environ)
        if announced == 0:
            return b""
        task = asyncio.current_task()
        assert task is not None
        reading = _Reading(task, time.monotonic())
        self._readings[reading] = None
        if self._timer is None:
            self._sweep_later()
        try:
            if announced is not None and announced <= min(_WHOLE_BYTES, self._limits.body_bytes):
                body = await self._whole(reading, announced, incoming)
            else:
                # Who waits for "100 Continue" sends nothing before the first piece is asked for.
                body = await self._pieces(reading, announced, incoming, patient="HTTP_EXPECT" in environ)
            if reading.refusal is not None:
                raise asyncio.CancelledError
        except BaseException as error:
            self._let_go(reading)
            if reading.refusal is None or not isinstance(error, asyncio.CancelledError):
                raise
            task.uncancel()
            raise reading.refusal from None
        finally:
            del self._readings[reading]
        return body

    async def _whole(self, reading: _Reading, announced: int, incoming: Incoming) -> bytes:
        self._hold(reading, announced)
        try:
            body = await incoming()
        except RuntimeError:  # what Granian's ProtocolClosed and ProtocolError are
            raise _incomplete("before it was whole") from None
        if len(body) < announced:
            raise _incomplete(f"after {len(body)} of {announced} bytes")
        return body

    async def _pieces(
        self, reading: _Reading, announced: int | None, incoming: Incoming, *, patient: bool
    ) -> bytes:
        limit_bytes = self._limits.body_bytes
        large = announced is not None and announced > limit_bytes
        if large and patient:
            raise too_large(limit_bytes)
        pieces = aiter(incoming)
        if large:
            raise too_large(limit_bytes)
        body = bytearray()  # and not a list: a piece may be of one byte
        while piece := await _next(pieces):
            if reading.size_bytes + len(piece) > limit_bytes:
                raise too_large(limit_bytes)
            self._hold(reading, len(piece))
            body += piece
        if announced is not None and len(body) < announced:
            raise _incomplete(f"after {len(body)} of {announced} bytes")
        if await _next(pieces) is not None:
            raise _incomplete("before its last chunk, or in trailers, which are not taken")
        return bytes(body)

    def _hold(self, reading: _Reading, size_bytes: int) -> None:
        """Count what has arrived; when it is more than may be held, the oldest body goes.

        :raises RefusalError: that is this one.
        """
        reading.size_bytes += size_bytes
        self._held_bytes += size_bytes
        while self._held_bytes > self._limits.memory_bytes:
            oldest = next(one for one in self._readings if one.size_bytes and one.refusal is None)
            oldest.refusal = RefusalError(
                503,
                "busy",
                f"the bodies of requests take more than {self._limits.memory_bytes} bytes of memory; send it again",
                retry_after_s=_RETRY_S,
            )
            self._let_go(oldest)
            if oldest is reading:
                raise oldest.refusal
            oldest.task.cancel()

    def _let_go(self, reading: _Reading) -> None:
        self.release(reading.size_bytes)
        reading.size_bytes = 0

    def release(self, size_bytes: int) -> None:
        """Note that a body is no longer held."""
        self._held_bytes -= size_bytes

    def _sweep_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(
            min(_SWEEP_S, self._limits.timeout_s / 4), self._sweep
        )

    def _sweep(self) -> None:
        """Give the bodies up whose time is over."""
        now_s = time.monotonic()
        for reading in self._readings:
            elapsed_s = now_s - reading.began_s
            allowed_s = self._limits.timeout_s + reading.size_bytes / self._limits.rate_bytes_s
            if reading.refusal is None and elapsed_s > allowed_s:
                reading.refusal = RefusalError(
                    408,
                    "slow-body",
                    f"the body did not arrive whole within {elapsed_s:.0f} s; it must within "
                    f"{self._limits.timeout_s:g} s and one more for each {self._limits.rate_bytes_s} bytes of it",
                )
                reading.task.cancel()
        if self._readings:
            self._sweep_later()
        else:
            self._timer = None


def announced_length(environ: Mapping[str, Any]) -> int | None:
    """Return Content-Length, 0 without one, None when the body is chunked.

    :raises RefusalError: it is no number.
    """
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return None
    text = environ.get("CONTENT_LENGTH") or "0"
    if not (text.isascii() and text.isdigit()):
        raise RefusalError(400, "invalid-length", f"Content-Length {text!r} is not a number")
    return int(text)


def _incomplete(where: str) -> RefusalError:
    return RefusalError(400, "incomplete-body", f"the body ends {where}")


async def _next(pieces: Incoming | AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece, None when there is none.

    Python 3.11 crashes on ``anext`` with a default of what Granian awaits.
    """
    try:
        return await pieces.__anext__()
    except StopAsyncIteration:
        return None


async def hear_out(incoming: Incoming) -> None:
    """Read on for a moment and forget it, after the answer: a sender that still writes would not see it otherwise.

    To be called only when no piece is being waited for; Granian would wait for that one in the event loop.
    """
    try:
        async with asyncio.timeout(_DRAIN_S):
            while await _next(incoming):
                pass
    except TimeoutError:
        pass
