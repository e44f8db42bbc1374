"""The sender: posts batches of events, and comes back when the server is busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

import httpx
import orjson

from mozdef_core.errors import MozdefError

MOST_ERRORS: Final = 100
MOST_WAIT_S: Final = 60


class SendError(MozdefError):
    """The server cannot be reached, or does not take events from us at all."""


class Sender:
    """Sends to ``/events`` of one server.

    :param form: ``json``, ``text``, or ``auto``: a line that begins with ``{`` is JSON.
    :param category: of events made of text.
    :param ids: what the sender ids of the events begin with; the number of the line and a hash of it follow. By
        them the server knows again what it has, when a request whose answer was lost is sent once more. None
        leaves it to the events themselves.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        form: str = "json",
        category: str = "",
        ids: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)
        self._form = form
        self._category = category
        self._ids = ids
        self._sleep = sleep
        self.accepted = self.rejected = self.duplicates = 0
        self.errors: list[dict[str, Any]] = []

    def send(self, lines: Sequence[tuple[int, bytes]]) -> None:
        """Send numbered lines as one request; returns when the server has taken what it takes of them.

        :raises SendError: with what to do about it.
        """
        if not lines:
            return
        body = b"\n".join(self._event(number, line) for number, line in lines)
        answer = self._post(body)
        try:
            document = answer.json()
        except ValueError:
            raise SendError(
                f"{answer.url} answered {answer.status_code} with something that is not JSON"
            ) from None
        if answer.status_code not in (200, 400, 413):
            reasons = "; ".join(error.get("reason", "") for error in document.get("errors", []))
            raise SendError(f"{answer.url} answered {answer.status_code}: {reasons}")
        self.accepted += document["accepted"]
        self.rejected += document["rejected"]
        self.duplicates += document.get("duplicates", 0)
        for error in document.get("errors", [])[: MOST_ERRORS - len(self.errors)]:
            line = lines[min(error["index"], len(lines) - 1)][0]
            self.errors.append({"line": line, "code": error["code"], "reason": error["reason"]})

    def _event(self, number: int, line: bytes) -> bytes:
        if self._form == "json" or (self._form == "auto" and line.lstrip()[:1] == b"{"):
            return line if self._ids is None else _with_id(line, self._id(number, line))
        event = {"message": line.decode("utf-8", "replace")}
        if self._category:
            event["category"] = self._category
        if self._ids is not None:
            event["event_id"] = self._id(number, line)
        return orjson.dumps(event)

    def _id(self, number: int, line: bytes) -> str:
        """Return a sender id; the hash keeps what a rotated file has in the same place from counting as a repeat."""
        return f"{self._ids}:{number}:{blake2b(line, digest_size=8).hexdigest()}"

    def _post(self, body: bytes) -> httpx.Response:
        """Post until there is an answer other than "come back later"; the pauses grow up to a minute."""
        wait_s, failures = 1.0, 0
        while True:
            try:
                answer = self._client.post(
                    "/events", content=body, headers={"Content-Type": "application/json"}
                )
            except httpx.HTTPError as error:
                failures += 1
                if failures > 5:
                    raise SendError(
                        f"{self._client.base_url}: {error}; is 'mozdef serve' running, and is --url right?"
                    ) from error
            else:
                if answer.status_code not in (429, 503):
                    return answer
                failures = 0
                wait_s = max(wait_s, _seconds(answer.headers.get("Retry-After", "")))
            self._sleep(min(wait_s, MOST_WAIT_S))
            wait_s = min(wait_s * 2, MOST_WAIT_S)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _with_id(line: bytes, sender_id: str) -> bytes:
    """Return a JSON object with a sender id before its members; one of its own comes later and so wins.

    The line is not parsed, so that numbers stay as they are written and what is wrong with it is the server's to say.
    """
    text = line.strip()
    if not text.startswith(b"{"):
        return line
    member = b'{"event_id":' + orjson.dumps(sender_id)
    inner = text[1:].lstrip()
    return member + (inner if inner.startswith(b"}") else b"," + inner)


def _seconds(header: str) -> float:
    """Return the seconds of a Retry-After header; a date there, as some proxies write, counts as a second."""
    return float(header) if header.isdecimal() else 1.0
