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
VERIFIED: Final = "tls"
"""What stands in the place of a token's label for who has shown a client certificate instead."""
REMEMBERED_S: Final = 2
"""How long an answer about a token holds; so a revoked token works at most two seconds longer."""
_MOST: Final = 10_000

Verify = Callable[[str, str], str | None]
"""Returns the label of the token with this secret, None when there is none; PermissionError when it lacks the scope."""

_REFUSALS: Final = {
    401: ("unauthorized", "the token is unknown, expired or revoked"),
    403: ("forbidden", "the token is not for {scope}; 'mozdef tokens create --scope {scope}' makes one"),
}


class Access:
    """Decides about each request; threads may share it.

    :param verify: looks a token up, at the cost of a query.
    """

    def __init__(self, settings: WebSettings, verify: Verify) -> None:
        self._settings = settings
        self._verify = verify
        self._known: dict[tuple[str, bytes], tuple[float, str | int]] = {}
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def label(self, environ: Mapping[str, Any], policy: EntrancePolicy) -> str | None:
        """Return the label of the request's token; None when it has none and needs none.

        Where client certificates are asked for, the server has verified one before there is a request; which one it
        does not tell, so all that have no token have the label ``tls``.

        A page in somebody's browser may write to a loopback address, too: what names an Origin needs a token.

        :raises RefusalError: 401 without or with an unknown token, 403 when the token may not write events.
        """
        secret = token_of(environ.get("HTTP_AUTHORIZATION", ""))
        found = 401 if secret is None else self._look_up(secret, SCOPE)
        if isinstance(found, str):
            return found
        verified = self._settings.client_certificates
        if verified or self._settings.loopback or policy.open:
            if environ.get("HTTP_ORIGIN"):
                raise RefusalError(403, "forbidden", "a request from a web page needs a token")
            return VERIFIED if verified else None
        raise _refusal(secret, found, SCOPE)

    def require(self, environ: Mapping[str, Any], scope: str) -> str:
        """Return the label of the request's token, without which nobody gets through, not even on loopback.

        :raises RefusalError: 401 without or with an unknown token, 403 when the token has not the scope.
        """
        secret = token_of(environ.get("HTTP_AUTHORIZATION", ""))
        found = 401 if secret is None else self._look_up(secret, scope)
        if isinstance(found, int):
            raise _refusal(secret, found, scope)
        return found

    def _look_up(self, secret: str, scope: str) -> str | int:
        """Return the label of a token, or the status that it is refused with."""
        key = scope, hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        now_s = time.monotonic()
        with self._lock:
            known = self._known.get(key)
        if known is not None and known[0] > now_s:
            return known[1]
        found: str | int
        try:
            found = self._verify(secret, scope) or 401
        except PermissionError:
            found = 403
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (now_s + REMEMBERED_S, found)
        return found

    def charge(
        self, entrance: str, policy: EntrancePolicy, label: str | None, peer: str | None, count: int
    ) -> None:
        """Count events against the rate of a token at an entrance; of an address where there is no token.

        A client certificate counts as a token, for each address.

        A request that is larger than the burst gets through when the whole burst is left.

        :raises RefusalError: 429 when it has sent more than it may.
        """
        rate = policy.rate_limit
        if rate is None:
            rate = self._settings.rate_per_s if label is not None else 0
        if not rate:
            return
        most = float(policy.rate_burst or rate * self._settings.burst_s)
        named = label is not None and label != VERIFIED
        who = f"the token {label!r}" if named else f"the address {peer or 'unknown'}"
        key = (entrance, who)
        now_s = time.monotonic()
        with self._lock:
            left, then_s = self._buckets.get(key, (most, now_s))
            left = min(most, left + (now_s - then_s) * rate)
            wanted = min(count, most)
            within = left >= wanted
            if len(self._buckets) >= _MOST and key not in self._buckets:
                self._forget_buckets()
            self._buckets[key] = (left - count if within else left, now_s)
        if within:
            return
        raise RefusalError(
            429,
            "rate-limited",
            f"{who} may send {rate} events a second to /{entrance}, and {most:.0f} at once",
            retry_after_s=(wanted - left) / rate,
        )

    def _forget_buckets(self) -> None:
        """Forget whoever has sent nothing for longest: half of them all."""
        by_age = sorted(self._buckets.items(), key=lambda pair: pair[1][1])
        self._buckets = dict(by_age[len(by_age) // 2 :])


def _refusal(secret: str | None, status: int, scope: str) -> RefusalError:
    """Return how a request is refused that has no token, or none that may do this."""
    if secret is None:
        option = "" if scope == SCOPE else f" --scope {scope}"
        reason = f"a token is required as 'Authorization: Bearer <token>'; 'mozdef tokens create{option}' makes one"
        return RefusalError(401, "unauthorized", reason)
    code, reason = _REFUSALS[status]
    return RefusalError(status, code, reason.format(scope=scope))


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
