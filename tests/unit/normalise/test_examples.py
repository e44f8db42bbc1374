"""Both examples of event-format.md section 1.3."""

from __future__ import annotations

from datetime import datetime

import orjson

from mozdef_core.event import microseconds
from mozdef_core.normalise import EntranceSettings, Normaliser, parse_json
from mozdef_core.ports import Item, Origin

NORMALISER = Normaliser("siem1.example", 1)
ORIGIN = Origin(name="http", kind="http", endpoint="events")
SETTINGS = EntranceSettings()


def at(text):
    return microseconds(datetime.fromisoformat(text))


def normalise(decoded, received="2025-01-01T00:00:02.410221+00:00", settings=SETTINGS, **item):
    raw = orjson.dumps(decoded) if isinstance(decoded, dict) else decoded
    decoded = parse_json(raw) if isinstance(decoded, bytes) else decoded
    return NORMALISER.normalise(decoded, Item("0" * 26, at(received), ORIGIN, raw, **item), settings)


def test_a_ragged_event_becomes_what_the_page_says():
    raw = (
        '{"Host": "gw-7.lab.example", "Program": "vaultd", "PID": "[881]", "Level": "warn", "@timestamp": 1735689599123'
        ","
        '"Message": "seal key rotated by svc-rotate", "Tags": "vault, keys", "details.duration_float": "0.42",'
        '"fields": {"KeyID": "k-20"}, "Cluster": "eu1", "cluster": "eu1b"}'
    )
    event = normalise(raw.encode())
    assert event.body == {
        "timestamp": "2024-12-31T23:59:59.123000+00:00",
        "utctimestamp": "2024-12-31T23:59:59.123000+00:00",
        "receivedtimestamp": "2025-01-01T00:00:02.410221+00:00",
        "hostname": "gw-7.lab.example",
        "processname": "vaultd",
        "processid": "881",
        "severity": "WARNING",
        "summary": "seal key rotated by svc-rotate",
        "category": "UNKNOWN",
        "source": "UNKNOWN",
        "type": "event",
        "tags": ["vault", "keys"],
        "details": {"program": "vaultd", "duration_float": 0.42, "keyid": "k-20", "cluster": ["eu1", "eu1b"]},
        "mozdefhostname": "siem1.example",
        "mozdef": {
            "plugins": [],
            "problems": [{"code": "key-collision", "field": "cluster"}],
            "defaulted": ["category", "source"],
            "input": {"name": "http", "kind": "http", "endpoint": "events"},
            "worker": {"host": "siem1.example", "process": 1},
        },
    }


def test_a_complete_event_needs_no_help():
    sent = {
        "timestamp": "2026-03-29T03:59:58.2+02:00",
        "hostname": "pay2.lab.example",
        "processname": "ledgerd",
        "processid": 7102,
        "severity": "NOTICE",
        "category": "account update",
        "source": "auditlog",
        "summary": "ines changed the payout account of shop 17",
        "tags": ["payments", "audit"],
        "details": {
            "username": "ines",
            "sourceipaddress": "2001:db8:40::9",
            "sourceport": 51544,
            "shop": 17,
            "oldaccount": "…4410",
            "newaccount": "…9923",
            "success": True,
        },
    }
    event = normalise(sent, received="2026-03-29T02:00:00.004120+00:00")
    expected = {
        **sent,
        "timestamp": "2026-03-29T01:59:58.200000+00:00",
        "utctimestamp": "2026-03-29T01:59:58.200000+00:00",
        "receivedtimestamp": "2026-03-29T02:00:00.004120+00:00",
        "processid": "7102",
        "type": "event",
        "mozdefhostname": "siem1.example",
    }
    book = event.body.pop("mozdef")
    assert event.body == expected
    assert book["problems"] == []
    assert book["defaulted"] == []
    assert book["utcoffset"] == 120
