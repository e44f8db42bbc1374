"""What the answers of a web service mean: read on, come back later, or call the operator."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import orjson

from mozdef_core import MozdefError

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S: Final = 300.0
LONGEST_ASKED_S: Final = 3_600.0
"""A service that asks for more patience than this is asked again after it nevertheless."""

_LATER: Final = frozenset({408, 425, 429})
"""Answers below 500 after which another try makes sense."""


class BusyError(MozdefError):
    """The service cannot answer now.

    :param retry_after_s: what it asks for; None when it does not say.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RefusedError(MozdefError):
    """The service will not answer this question however often it is asked; the operator has to do something.

    :param status: of the answer.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


def call(client: httpx.Client, request: httpx.Request) -> Any:
    """Ask and return the JSON of the answer.

    :raises BusyError: there is no answer, or none that can be used.
    :raises RefusedError: the service refuses.
    """
    where = str(request.url.copy_with(query=None))
    try:
        answer = client.send(request)
    except httpx.HTTPError as error:
        raise BusyError(f"{where}: {type(error).__name__}: {error}") from error
    if answer.is_success:
        try:
            return orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            raise BusyError(f"{where} answered with something that is no JSON: {error}") from error
    reason = f"{where} answered {answer.status_code}"
    if answer.status_code in _LATER or answer.is_server_error:
        raise BusyError(reason, asked_wait_s(answer.headers))
    raise RefusedError(f"{reason}: {_said(answer.content)}", answer.status_code)


def _said(content: bytes) -> str:
    """Return what the service says is wrong, which holds no secret of ours."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return "no reason given"
    names = ("message", "message_detail")
    said = [str(document[name]) for name in names if isinstance(document, dict) and document.get(name)]
    return "; ".join(said)[:300] or "no reason given"


def asked_wait_s(headers: httpx.Headers) -> float | None:
    """Return the seconds that Retry-After (RFC 9110 10.2.3) or X-RateLimit-Reset asks for, None without either."""
    for name, is_moment in (("Retry-After", False), ("X-RateLimit-Reset", True)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            number = float(text)
            wait_s = number - time.time() if is_moment else number
        except ValueError:
            try:
                wait_s = parsedate_to_datetime(text).timestamp() - time.time()
            except ValueError:
                continue
        if wait_s == wait_s:
            return min(max(0.0, wait_s), LONGEST_ASKED_S)
    return None


def wait_s(failures: int, asked_s: float | None) -> float:
    """Return how long to wait after so many failures in a row.

    It doubles each time, up to five minutes, less up to half of it by chance, so that many who wait do not come back
    together; what the service asks for is the least.

    :param failures: 1 after the first.
    """
    doubled_s = min(FIRST_WAIT_S * 2.0 ** min(failures - 1, 30), LONGEST_WAIT_S)
    return max(doubled_s * random.uniform(0.5, 1.0), asked_s or 0.0)  # noqa: S311  # not a secret
