"""The heartbeat to the outside: a watchdog elsewhere that hears nothing any more knows that MozDef is down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from mozdef_core.event import now_us
from mozdef_core.options import Secret

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0


@dataclass(slots=True)
class Beats:
    """What came of it; ``held_back`` counts the minutes in which the watermark stood still."""

    sent: int = 0
    failed: int = 0
    held_back: int = 0
    last_error: str = ""


class HeartbeatUrl:
    """Calls an address once a minute, as long as what is received is also stored.

    :param watermark: returns up to when everything received is stored, microseconds since 1970.
    """

    def __init__(
        self,
        url: Secret,
        watermark: Callable[[int], int],
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._url = url
        self._watermark = watermark
        self._timeout_s = timeout_s
        self._clock = clock
        self._last_us = 0
        self.beats = Beats()

    def __call__(self) -> None:
        """Call the address if the watermark has moved since the last call; a failure is counted, and told of once."""
        present_us = self._watermark(self._clock())
        if present_us <= self._last_us:
            self.beats.held_back += 1
            return
        self._last_us = present_us
        try:
            httpx.get(self._url.reveal(), timeout=self._timeout_s).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not self.beats.last_error:
                log.warning("the heartbeat did not arrive: %s", _described(error))
            self.beats.failed += 1
            self.beats.last_error = _described(error)
            return
        self.beats.sent += 1
        self.beats.last_error = ""

    def snapshot(self) -> dict[str, Any]:
        """Return what came of it, without the address, which may hold a key."""
        beats = self.beats
        return {
            "sent": beats.sent,
            "failed": beats.failed,
            "held_back": beats.held_back,
            "last_error": beats.last_error,
        }


def _described(error: Exception) -> str:
    """Return what went wrong without the address."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"the answer was {error.response.status_code}"
    return type(error).__name__
