"""The Management API of Auth0: a token, and pages of the log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx

from mozdef_auth0.answers import BusyError, RefusedError, call
from mozdef_auth0.settings import Auth0Options

_EARLY_S: Final = 60
"""A token is renewed so long before it ends."""
_UNAUTHORIZED: Final = 401


class Api:
    """Asks for records, the oldest first.

    Records are asked for by checkpoint: what has a higher log id than the last one, in the order of log ids, which
    Auth0 keeps such that late records are not passed over.

    :param options: whom to ask, and as whom.
    """

    def __init__(self, options: Auth0Options) -> None:
        self._options = options
        self._url = options.url or f"https://{options.domain}"
        self._client = httpx.Client(timeout=options.timeout_s, trust_env=False)
        self._token = ""
        self._until_s = 0.0

    def first(self, since: str) -> list[Any]:
        """Return the first record of the log since a time, in a list; an empty list while there is none.

        :param since: ISO 8601.
        :raises BusyError: come back later.
        :raises RefusedError: the operator has to do something.
        """
        question = {"q": f"date:[{since} TO *]", "sort": "date:1", "per_page": str(self._options.take)}
        found = self._ask({**question, "page": "0"})
        return [min(found, key=_order)] if found else []

    def after(self, log_id: str) -> list[Any]:
        """Return the records after one, at most ``take``; an empty list at the end.

        :raises BusyError: come back later.
        :raises RefusedError: the operator has to do something.
        """
        return self._ask({"from": log_id, "take": str(self._options.take)})

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _ask(self, question: Mapping[str, str]) -> list[Any]:
        try:
            found = self._call(question)
        except RefusedError as error:
            if error.status != _UNAUTHORIZED:
                raise
            self._token = ""  # it may have been revoked, or the clocks differ
            found = self._call(question)
        if not isinstance(found, list):
            raise BusyError(f"{self._url}/api/v2/logs answered with something that is no list")
        return found

    def _call(self, question: Mapping[str, str]) -> Any:
        headers = {"Authorization": f"Bearer {self._valid_token()}"}
        url = f"{self._url}/api/v2/logs"
        return call(self._client, self._client.build_request("GET", url, params=question, headers=headers))

    def _valid_token(self) -> str:
        if self._token and time.monotonic() < self._until_s:
            return self._token
        options = self._options
        application = {
            "grant_type": "client_credentials",
            "client_id": options.client_id,
            "client_secret": options.client_secret.reveal(),
            "audience": f"https://{options.domain}/api/v2/",
        }
        asked_s = time.monotonic()
        request = self._client.build_request("POST", f"{self._url}/oauth/token", json=application)
        answer = call(self._client, request)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not token or not isinstance(token, str):
            raise BusyError(f"{self._url}/oauth/token answered without a token")
        lasts_s = answer.get("expires_in")
        self._token = token
        self._until_s = asked_s + (lasts_s - _EARLY_S if isinstance(lasts_s, int | float) else _EARLY_S)
        return token


def id_of(record: object) -> str | None:
    """Return the log id of a record, None where it has none."""
    if not isinstance(record, dict):
        return None
    found = record.get("_id") or record.get("log_id")
    return found if isinstance(found, str) else None


def _order(record: object) -> tuple[bool, int, str]:
    """Return what sorts records as their log ids do, those without one last."""
    found = id_of(record)
    return found is None, len(found or ""), found or ""
