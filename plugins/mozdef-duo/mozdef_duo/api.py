"""The Admin API of Duo: signed questions, and pages of a log."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from mozdef_duo.answers import BusyError, call
from mozdef_duo.settings import DuoOptions, Log

Parameters = Mapping[str, Sequence[str]]

PAGE: Final = 1_000
"""Records on a page: the most that Duo gives."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log is read, and what its records are known by.

    :param unit_ms: what ``mintime`` counts, in milliseconds.
    :param listed: the member of the answer that holds the records; empty where the answer is the list of them, and
        then the next page is what has happened since the last record.
    :param id: the member of a record that is its id; empty where it has none.
    """

    path: str
    unit_ms: int
    listed: str = ""
    id: str = ""


PLACES: Final[Mapping[Log, Place]] = {
    "administration": Place("/admin/v1/logs/administrator", 1_000),
    "authentication": Place("/admin/v2/logs/authentication", 1, "authlogs", "txid"),
    "telephony": Place("/admin/v2/logs/telephony", 1, "items", "telephony_id"),
}


def canonical(parameters: Parameters) -> str:
    """Return parameters as they are signed: each name and value escaped, sorted, joined like a query."""
    pairs = sorted((quote(name, "~"), quote(value, "~")) for name in parameters for value in parameters[name])
    return "&".join(f"{name}={value}" for name, value in pairs)


def sign(key: str, moment: str, method: str, host: str, path: str, query: str) -> str:
    """Return the signature of a question: the HMAC-SHA1 of its five parts, a line each, as Duo's manual says."""
    lines = "\n".join((moment, method.upper(), host.lower(), path, query))
    return hmac.new(key.encode(), lines.encode(), "sha1").hexdigest()


class Api:
    """Asks for records, the oldest first.

    :param options: whom to ask, and as whom.
    """

    def __init__(self, options: DuoOptions) -> None:
        self._options = options
        self._url = options.url or f"https://{options.host}"
        self._client = httpx.Client(timeout=options.timeout_s, trust_env=False)

    def page(self, place: Place, since_ms: int) -> list[Any]:
        """Return the first page of a log that has no pages of its own: the records since a time, at most 1,000.

        :raises BusyError: come back later.
        :raises RefusedError: the operator has to do something.
        """
        found = self._ask(place.path, {"mintime": [str(since_ms // place.unit_ms)]})
        if not isinstance(found, list):
            raise BusyError(f"{self._url}{place.path} answered with something that is no list")
        return found

    def pages(self, place: Place, since_ms: int, until_ms: int) -> Iterator[list[Any]]:
        """Yield the records of a span of time, page by page.

        :raises BusyError: come back later.
        :raises RefusedError: the operator has to do something.
        """
        span = {
            "mintime": [str(since_ms)],
            "maxtime": [str(until_ms)],
            "limit": [str(PAGE)],
            "sort": ["ts:asc"],
        }
        offset: list[str] = []
        while True:
            found = self._ask(place.path, {**span, "next_offset": offset} if offset else span)
            records = found.get(place.listed) if isinstance(found, dict) else None
            if not isinstance(records, list):
                raise BusyError(f"{self._url}{place.path} answered without a list of {place.listed}")
            yield records
            following = _offset(found)
            if not following or following == offset:
                return
            offset = following

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _ask(self, path: str, parameters: Parameters) -> Any:
        options, query = self._options, canonical(parameters)
        moment = format_datetime(datetime.now(UTC))
        signature = sign(options.secret_key.reveal(), moment, "GET", options.host, path, query)
        credentials = base64.b64encode(f"{options.integration_key}:{signature}".encode()).decode()
        headers = {"Date": moment, "Authorization": f"Basic {credentials}"}
        answer = call(
            self._client, self._client.build_request("GET", f"{self._url}{path}?{query}", headers=headers)
        )
        if not isinstance(answer, dict) or answer.get("stat") != "OK":
            raise BusyError(f"{self._url}{path} answered with something that is not OK")
        return answer.get("response")


def _offset(answer: Mapping[str, Any]) -> list[str]:
    """Return where the next page begins, as Duo says; empty after the last."""
    metadata = answer.get("metadata")
    following = metadata.get("next_offset") if isinstance(metadata, dict) else None
    if not following:
        return []
    return [str(part) for part in following] if isinstance(following, list) else [str(following)]
