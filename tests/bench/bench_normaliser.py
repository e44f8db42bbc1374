"""What the normaliser costs: microseconds per event and stage, and events per second.

Run it as ``python tests/bench/bench_normaliser.py``; it needs no service. The events are what syslog-ng's
``$(format-json)`` sends (about 600 bytes), an event in MozDef's own form, and a syslog-ng event whose message is
itself JSON. The best of several rounds is printed, since other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable

import orjson

from mozdef_core.event import now_us
from mozdef_core.normalise import EntranceSettings, Normaliser, limit, parse_json
from mozdef_core.normalise.keys import clean_object
from mozdef_core.normalise.problems import Problems
from mozdef_core.ports import Item, Origin

BATCH = 500


def syslog_ng(number: int) -> dict[str, object]:
    """Return what syslog-ng sends for a failed login, about 600 bytes."""
    return {
        "fromhost_ip": "127.0.0.1",
        "PROGRAM": "sshd",
        "PRIORITY": "info",
        "PID": str(4_000 + number),
        "MESSAGE": f"Failed password for invalid user user{number} from 203.0.113.9 port {40_000 + number} ssh2",
        "MSGID": "-",
        "ISODATE": f"2026-11-24T02:{number % 60:02d}:00.{number:06d}+00:00",
        "HOST": f"web{number % 20}.lab.example",
        "FACILITY": "authpriv",
        "DATE": "Nov 24 02:00:00",
        "SEQNUM": str(number),
        "TAGS": "src.s_net,.source.s_net",
        "LEGACY_MSGHDR": f"sshd[{4_000 + number}]: ",
        "HOST_FROM": "relay1.lab.example",
        "SOURCE": "s_net",
        "fields": {"environment": "production", "team": "platform", "rack": 17, "cluster": "eu1"},
    }


def native(number: int) -> dict[str, object]:
    """Return an event as this project's own client sends it."""
    return {
        "timestamp": f"2026-11-24T03:59:{number % 60:02d}.2+02:00",
        "hostname": "pay2.lab.example",
        "processname": "ledgerd",
        "processid": 7102,
        "severity": "NOTICE",
        "category": "account update",
        "source": "auditlog",
        "summary": f"ines changed the payout account of shop {number}",
        "tags": ["payments", "audit"],
        "details": {
            "username": "ines",
            "sourceipaddress": "2001:db8:40::9",
            "sourceport": 51544,
            "shop": number,
        },
    }


def wrapped(number: int) -> dict[str, object]:
    """Return a syslog-ng event whose message is a JSON record."""
    record = orjson.dumps(
        {"user": f"user{number}", "action": "login", "at": "02:00:00", "ok": False}
    ).decode()
    return {**syslog_ng(number), "MESSAGE": record}


def best_us(work: Callable[[], object], rounds: int) -> float:
    """Return the least time of one item of a batch, in microseconds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best / BATCH * 1e6


def main() -> None:
    """Print one table per kind of event."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=20)
    rounds = arguments.parse_args().rounds
    normaliser, settings = Normaliser("siem1.example", 1), EntranceSettings()
    origin = Origin(name="http", kind="http", endpoint="events")
    gc.freeze()
    for make in (syslog_ng, native, wrapped):
        raws = [orjson.dumps(make(number)) for number in range(BATCH)]
        received = now_us()
        items = [Item("0" * 26, received, origin, raw) for raw in raws]
        decoded = [parse_json(raw) for raw in raws]
        objects = [value for value in decoded if isinstance(value, dict)]
        events = [
            normaliser.normalise(value, item, settings) for value, item in zip(decoded, items, strict=True)
        ]
        whole = best_us(
            lambda items=items: [
                limit(normaliser.normalise(parse_json(item.raw), item, settings)) for item in items
            ],
            rounds,
        )
        print(f"{make.__name__}: {len(raws[0])} bytes, {whole:.1f} us an event, {1e6 / whole:,.0f} events/s")
        stages: dict[str, Callable[[], object]] = {
            "orjson alone": lambda raws=raws: [orjson.loads(raw) for raw in raws],
            "parse_json": lambda raws=raws: [parse_json(raw) for raw in raws],
            "keys, within normalise": lambda objects=objects: [
                clean_object(value, Problems()) for value in objects
            ],
            "normalise": lambda decoded=decoded, items=items: [
                normaliser.normalise(value, item, settings)
                for value, item in zip(decoded, items, strict=True)
            ],
            "limit": lambda events=events: [limit(event) for event in events],
        }
        for name, work in stages.items():
            print(f"  {name:<24}{best_us(work, rounds):7.2f} us")


if __name__ == "__main__":
    main()
