"""The events that the contract of the stores writes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from mozdef_core.event import Event, isoformat, microseconds, new_ids

BASE_US: Final = microseconds(datetime(2026, 3, 29, 12, 0, 0, 250_000, tzinfo=UTC))
"""The event time of most events of the contract."""

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US


def stored_event(
    us: int = BASE_US, /, *, received_us: int | None = None, event_id: str | None = None, **fields: Any
) -> Event:
    """Return an event as the normaliser leaves it, with these top-level fields.

    :param us: event time in microseconds since 1970.
    :param received_us: time of reception, a second later when None.
    :param event_id: its id, a new one when None.
    """
    received = us + SECOND_US if received_us is None else received_us
    body: dict[str, Any] = {
        "timestamp": isoformat(us),
        "utctimestamp": isoformat(us),
        "receivedtimestamp": isoformat(received),
        "category": "test",
        "source": "contract",
        "hostname": "db4.lab.example",
        "processname": "ledgerd",
        "processid": "7102",
        "severity": "INFO",
        "summary": "nothing to see",
        "tags": [],
        "details": {},
        "type": "event",
        "mozdefhostname": "siem1.example",
        "mozdef": {"plugins": [], "problems": [], "defaulted": []},
    }
    body.update(fields)
    return Event(new_ids(received, 1)[0] if event_id is None else event_id, body)


LONG: Final = "A" * 70_000
"""More than the 64 KB that some engines index of one value."""

ZOO: Final[Mapping[str, Mapping[str, Any]]] = {
    "port number": {"details": {"port": 443}},
    "port digits": {"details": {"port": "443"}},
    "port float": {"details": {"port": 443.0}},
    "port list": {"details": {"port": [80, "443"]}},
    "port other": {"details": {"port": 4430}},
    "port word": {"details": {"port": "https"}},
    "flag true": {"details": {"flag": True}},
    "flag name": {"details": {"flag": "true"}},
    "flag shout": {"details": {"flag": "TRUE"}},
    "flag one": {"details": {"flag": 1}},
    "flag false": {"details": {"flag": False}},
    "zone nested": {"details": {"net": {"zone": "dmz"}}},
    "zone dotted": {"details": {"net.zone": "dmz"}},
    "zone whole": {"details.net.zone": "dmz"},
    "zone other": {"details": {"net": {"zone": "lan"}, "zone": "dmz"}},
    "parts": {
        "details": {"parts": [{"name": "door"}, {"name": ["wheel", "axle"]}], "nested": [["x"], ["y", 7]]}
    },
    "mixed text": {"details": {"mixed": "seven"}},
    "mixed number": {"details": {"mixed": 7}},
    "mixed float": {"details": {"mixed": 7.5}},
    "mixed boolean": {"details": {"mixed": True}},
    "mixed object": {"details": {"mixed": {"seven": 7}}},
    "mixed list": {"details": {"mixed": ["seven", 7, None]}},
    "size negative": {"details": {"size": -5}},
    "size zero": {"details": {"size": 0}},
    "size ten": {"details": {"size": 10}},
    "size fraction": {"details": {"size": 10.5}},
    "size digits": {"details": {"size": "11"}},
    "size word": {"details": {"size": "large"}},
    "size greatest": {"details": {"size": 2**63 - 1}},
    "size least": {"details": {"size": -(2**63)}},
    "size exact": {"details": {"size": 2**53 + 1}},
    "address ten": {"details": {"sourceipaddress": "10.1.2.3"}},
    "address ten high": {"details": {"sourceipaddress": "10.255.0.1"}},
    "address test": {"details": {"sourceipaddress": "192.0.2.7"}},
    "address six": {"details": {"sourceipaddress": "2001:db8:40::9"}},
    "address six other": {"details": {"sourceipaddress": "2001:db9::1"}},
    "address broken": {"details": {"sourceipaddress": "10.1.2"}},
    "address list": {"details": {"sourceipaddress": ["192.0.2.200", "10.1.2.4"]}},
    "client ten": {"details": {"client": "10.9.9.9"}},
    "maybe null": {"details": {"maybe": None}},
    "maybe empty list": {"details": {"maybe": []}},
    "maybe list of null": {"details": {"maybe": [None, None]}},
    "maybe list": {"details": {"maybe": [None, "x"]}},
    "maybe empty text": {"details": {"maybe": ""}},
    "maybe false": {"details": {"maybe": False}},
    "maybe zero": {"details": {"maybe": 0}},
    "maybe object": {"details": {"maybe": {"inner": 1}}},
    "host defaulted": {
        "hostname": "UNKNOWN",
        "mozdef": {"defaulted": ["hostname"], "problems": [], "plugins": []},
    },
    "summary failed": {"summary": "Failed password for root from 10.1.2.3 port 22 ssh2", "tags": ["text"]},
    "summary reversed": {"summary": "the password check FAILED again", "tags": ["text"]},
    "summary pam": {"summary": "Accepted keyboard-interactive/pam for ines", "tags": ["text"]},
    "summary underscore": {"summary": "call of ldap_count_entries on host.example", "tags": ["text"]},
    "summary unicode": {"summary": "ÄRGER: Größe 王小明 überschritten", "tags": ["text"]},
    "user": {"details": {"username": "ines"}},
    "user capital": {"details": {"username": "Ines"}},
    "user accent": {"details": {"username": "INÉS"}},
    "user mail": {"details": {"username": "ines@lab.example"}},
    "user chinese": {"details": {"username": "王小明"}},
    "user star": {"details": {"username": "a*b"}},
    "user question": {"details": {"username": "a?b"}},
    "user backslash": {"details": {"username": "LAB\\ines"}},
    "user slash": {"details": {"username": "a/b"}},
    "user quote": {"details": {"username": 'a"b'}},
    "user lines": {"details": {"username": "first\nsecond"}},
    "user blank": {"details": {"username": "two words"}},
    "date zulu": {"details": {"when": "2026-03-29T10:00:00Z"}},
    "date offset": {"details": {"when": "2026-03-29T10:00:00+00:00"}},
    "date fraction": {"details": {"when": "2026-03-29T10:00:00.000000+00:00"}},
    "date day": {"details": {"when": "2026-03-29"}},
    "date list": {"details": {"when": ["2026-03-29T10:00:00Z", "never"]}},
    "key blank": {"details": {"a key": "1"}},
    "key odd": {"details": {'schlüssel:"x"\\': "1"}},
    "key deep dots": {"details": {"a.b": {"c.d": "1"}}},
    "key case": {"details": {"Key": "1"}},
    "long x": {"details": {"blob": LONG + "x"}},
    "long y": {"details": {"blob": LONG + "y"}},
    "long summary": {"summary": f"start {LONG} end", "tags": ["text", "long"]},
}
"""Named events; each differs from a plain one in a single respect."""
