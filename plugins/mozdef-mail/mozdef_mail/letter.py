"""The letter: one alert or several as plain text and as HTML, in which nothing of an event is taken for markup."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Final

from mozdef_core import Alert, Digest, Note, Occasion, headline

SUBJECT_LIMIT: Final = 200
VALUE_LIMIT: Final = 2_000
SAMPLES: Final = 5

Linked = tuple[Note, str]
"""An alert with what happened to it, and the address of its page or ""."""


def letter(
    alert: Alert,
    occasion: Occasion,
    notes: Sequence[Linked],
    *,
    sender: str,
    to: Sequence[str],
    prefix: str,
    delivery: str,
) -> EmailMessage:
    """Return a message whose id is made from the delivery, so that the same one sent again is known to be the same.

    :param alert: the alert or digest; ``notes`` are what it is about.
    """
    message = EmailMessage(policy=SMTP)
    subject = alert.title if isinstance(alert, Digest) else headline(alert, occasion)
    message["Subject"] = cut(f"{visible(prefix)} {subject}".strip(), SUBJECT_LIMIT)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(datetime.now(UTC))
    digest = hashlib.sha256(delivery.encode(errors="surrogatepass")).hexdigest()[:40]
    message["Message-ID"] = f"<{digest}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(plain(notes), cte="quoted-printable")
    message.add_alternative(page(notes), subtype="html", cte="quoted-printable")
    return message


def plain(notes: Sequence[Linked]) -> str:
    """Return the letter as text."""
    parts = []
    for note, link in notes:
        lines = [
            headline(*note),
            *(f"  {name}: {value}" for name, value in rows(note, link, whole=len(notes) == 1)),
        ]
        parts.append("\n".join(lines))
    return encodable("\n\n".join(parts) + "\n")


def page(notes: Sequence[Linked]) -> str:
    """Return the letter as HTML."""
    parts = ["<!DOCTYPE html><html><body>"]
    for note, link in notes:
        parts.append(f"<h3>{escape(headline(*note))}</h3><table>")
        for name, value in rows(note, link, whole=len(notes) == 1):
            shown = escape(value)
            if name in ("page", "what to do") and value.startswith(("https://", "http://")):
                shown = f'<a href="{escape(value, quote=True)}">{shown}</a>'
            parts.append(f"<tr><td>{escape(name)}</td><td>{shown}</td></tr>")
        parts.append("</table>")
    return encodable("\n".join([*parts, "</body></html>"]))


def rows(note: Note, link: str, *, whole: bool) -> Iterator[tuple[str, str]]:
    """Yield what is told of an alert, each with its name; of one among many less."""
    alert = note.alert
    if link:
        yield "page", link
    yield "rule", visible(alert.rule)
    if alert.group is not None:
        yield visible(alert.group[0]), visible(alert.group[1])
    yield "events", str(alert.count)
    yield "last seen", moment(alert.last.us)
    if not whole:
        return
    yield "first seen", moment(alert.first.us)
    yield from ((name, value) for name, value in _more(alert) if value)
    for name, value in alert.details.items():
        yield visible(str(name)), visible(value if isinstance(value, str) else json.dumps(value, default=str))
    for event in alert.events[:SAMPLES]:
        yield f"event {moment(event.time_us)}", visible(event.text("summary"))


def _more(alert: Alert) -> Iterator[tuple[str, str]]:
    yield "category", visible(alert.category)
    yield "tags", visible(", ".join(alert.tags))
    yield "ATT&CK", visible(", ".join(alert.attack))
    yield "what to do", visible(alert.url)
    yield "errors", visible("; ".join(alert.errors))


def moment(us: int) -> str:
    """Return a time for people."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def visible(text: str) -> str:
    """Return a text as one line of characters that can be seen, cut where it is very long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return cut(line, VALUE_LIMIT)


def cut(text: str, limit: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
