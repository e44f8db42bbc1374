"""Notification: what people are told of alerts, one by one or several in one message."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from mozdef_core.alert import Alert, Occasion, Severity
from mozdef_core.event import isoformat

CHAT_LIMIT: Final = 450
"""A message in a chat has at most so many characters (detections.md D2)."""
LISTED: Final = 100
"""So many alerts of a digest are in its details one by one; the others are counted there."""

_URGENCY: Final = {severity: place for place, severity in enumerate(Severity)}
_WORDS: Final = {
    Occasion.RAISED: "",
    Occasion.EXTENDED: "more of: ",
    Occasion.ACKNOWLEDGED: "acknowledged: ",
    Occasion.CLOSED: "closed: ",
    Occasion.RECOVERED: "recovered: ",
    Occasion.REPEATED: "still open: ",
}


class Note(NamedTuple):
    """One alert of a digest, and what happened to it."""

    alert: Alert
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class Digest(Alert):
    """Several alerts that are told in one message; a notifier may treat it as any other alert.

    Its severity is that of the most urgent, its summary says how many there are and begins to name them, and its
    details list them. A notifier that has room for more looks at ``notes``.

    :param notes: the alerts, the one whose last event is oldest first.
    :param late: their last events are older than ``notify.act_within``, as after an outage.
    """

    notes: Sequence[Note] = ()
    late: bool = False

    @property
    def title(self) -> str:
        """How many alerts of which severity there are: ``12 alerts (2 CRITICAL, 10 WARNING)``."""
        counts = Counter(note.alert.severity for note in self.notes)
        parts = (f"{counts[severity]} {severity.value}" for severity in Severity if counts[severity])
        text = f"{len(self.notes)} alerts ({', '.join(parts)})"
        return f"{text}, told late" if self.late else text


def digest(notes: Iterable[Note], channel: str, key: str, created_us: int, *, late: bool = False) -> Digest:
    """Return several alerts as one.

    :param key: makes the id: the same alerts under the same key are the same digest.
    """
    ordered = sorted(notes, key=lambda note: (note.alert.last, note.alert.id, note.occasion))
    alerts = [note.alert for note in ordered]
    made = Digest(
        rule="digest",
        summary="",
        first=min(alert.first for alert in alerts),
        last=alerts[-1].last,
        severity=min((alert.severity for alert in alerts), key=_URGENCY.__getitem__),
        category="digest",
        tags=tuple(dict.fromkeys(tag for alert in alerts for tag in alert.tags)),
        count=sum(alert.count for alert in alerts),
        details={
            "alerts": [_entry(note) for note in ordered[:LISTED]],
            "more": max(0, len(ordered) - LISTED),
        },
        channel=channel,
        notify=True,
        id=hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=13).hexdigest(),
        created_us=created_us,
        notes=tuple(ordered),
        late=late,
    )
    urgent = sorted(ordered, key=lambda note: _URGENCY[note.alert.severity])
    named = "; ".join(headline(*note) for note in urgent[:20])
    return replace(made, summary=f"{made.title}: {named}"[:2_000])


def _entry(note: Note) -> dict[str, object]:
    alert = note.alert
    return {
        "id": alert.id,
        "occasion": note.occasion.value,
        "rule": alert.rule,
        "severity": alert.severity.value,
        "summary": alert.summary,
        "count": alert.count,
        "last_seen": isoformat(alert.last.us),
    }


def headline(alert: Alert, occasion: Occasion = Occasion.RAISED) -> str:
    """Return one line for people: severity, what happened to the alert, and its summary.

    Line breaks and characters that cannot be seen, such as those that turn the direction of writing, become blanks.
    """
    if isinstance(alert, Digest):
        return one_line(alert.summary)
    return one_line(f"[{alert.severity.value}] {_WORDS[occasion]}{alert.summary}")


def one_line(text: str) -> str:
    """Return a text without line breaks and without characters that cannot be seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def brief(alert: Alert, occasion: Occasion = Occasion.RAISED, link: str = "", limit: int = CHAT_LIMIT) -> str:
    """Return a headline for a chat, cut at a number of characters, with a link that is never cut.

    :param link: address of the alert's page, on a line of its own; "" for none.
    """
    tail = f"\n{link}" if link else ""
    if len(tail) >= limit:
        tail = ""
    text, room = headline(alert, occasion), limit - len(tail)
    return (text if len(text) <= room else text[: room - 1] + "…") + tail
