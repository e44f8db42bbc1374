"""Access: which token a request carries, whether it may write events, and how many."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from mozdef_core.services.web.policy import EntrancePolicy, RefusalError, WebSettings

SCOPE: Final = "events:write"
REMEMBERED_S: Final = 2
"""How long an answer about a token holds; so a revoked token works at most two seconds longer."""
_MOST: Final = 10_000

Verify = Callable[[str, str], str | None]
"""Returns the label of the token with this secret, None when there is none; PermissionError when it lacks the scope."""

_REFUSALS: Final = {
    401: ("unauthorized", "the token is unknown, expired or revoked"),
    403: ("forbidden", f"the token is not for {SCOPE}; make one with 'mozdef tokens create'"),
}


class Access:
    """Decides about each request; threads may share it.

    :param verify: looks a token up, at the cost of a query.
    """

    def __init__(self, settings: WebSettings, verify: Verify) -> None:
        self._settings = settings
        self._verify = verify
        self._known: dict[bytes, tuple[float, str | int]] = {}
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def label(self, environ: Mapping[str, Any], policy: EntrancePolicy) -> str | None:
        """Return the label of the request's token; None when it has none and needs none.

        A page in somebody's browser may write to a loopback address, too: what names an Origin needs a token.

        :raises RefusalError: 401 without or with an unknown token, 403 when the token may not write events.
        """
        secret = token_of(environ.get("HTTP_AUTHORIZATION", ""))
        found = 401 if secret is None else self._look_up(secret)
        if isinstance(found, str):
            return found
        if self._settings.loopback or policy.open:
            if environ.get("HTTP_ORIGIN"):
                raise RefusalError(403, "forbidden", "a request from a web page needs a token")
            return None
        if secret is None:
            reason = (
                "a token is required as 'Authorization: Bearer <token>'; 'mozdef tokens create' makes one"
            )
            raise RefusalError(401, "unauthorized", reason)
        raise RefusalError(found, *_REFUSALS[found])

    def _look_up(self, secret: str) -> str | int:
        """Return the label of a token, or the status that it is refused with."""
        key = hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        now_s = time.monotonic()
        with self._lock:
            known = self._known.get(key)
        if known is not None and known[0] > now_s:
            return known[1]
        found: str | int
        try:
            found = self._verify(secret, SCOPE) or 401
        except PermissionError:
            found = 403
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (now_s + REMEMBERED_S, found)
        return found

    def charge(self, label: str | None, count: int) -> None:
        """Count events against a token's rate.

        :raises RefusalError: 429 when it has sent more than it may.
        """
        rate = self._settings.rate_per_s
        if label is None or not rate:
            return
        now_s = time.monotonic()
        most = float(rate * self._settings.burst_s)
        with self._lock:
            left, then_s = self._buckets.get(label, (most, now_s))
            left = min(most, left + (now_s - then_s) * rate)
            if left < min(count, most):
                self._buckets[label] = (left, now_s)
                wait_s = (min(count, most) - left) / rate
                raise RefusalError(
                    429,
                    "rate-limited",
                    f"the token {label!r} may send {rate} events a second",
                    retry_after_s=wait_s,
                )
            self._buckets[label] = (left - count, now_s)


def token_of(header: str) -> str | None:
    """Return the token of an Authorization header in the forms that senders use; None without one.

    Bearer (RFC 6750), ``Splunk <token>``, Basic with the token as its password (RFC 7617), and Elasticsearch's
    ``ApiKey``, which is the Base64 of ``id:key``.
    """
    kind, _, value = header.strip().partition(" ")
    kind, value = kind.lower(), value.strip()
    if not value:
        return None
    if kind in ("bearer", "splunk"):
        return value
    if kind in ("basic", "apikey"):
        try:
            decoded = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            return value
        return decoded.partition(":")[2] or decoded
    return value
