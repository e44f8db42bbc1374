"""How fast the embedded store writes and answers: ``python tests/bench/bench_store.py [events] [batch]``."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.event import Event, isoformat, new_ids
from mozdef_core.query.model import (
    All,
    Exists,
    Match,
    MatchPhrase,
    Query,
    Range,
    Search,
    Subnet,
    Term,
    Wildcard,
)

BASE_US = 1_790_000_000_000_000
WORDS = [
    "accepted",
    "failed",
    "password",
    "publickey",
    "from",
    "port",
    "ssh2",
    "invalid",
    "user",
    "session",
    "opened",
    "root",
]


def make(count: int, start: int, chance: random.Random) -> list[Event]:
    """Return events of about 950 bytes with 14 details out of 200 names, a hundred microseconds apart."""
    events = []
    for number, event_id in enumerate(new_ids(BASE_US + start * 100, count)):
        us = BASE_US + (start + number) * 100
        address = f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
        time_text = isoformat(us)
        details = {
            "username": f"user{chance.randrange(1000)}",
            "sourceipaddress": address,
            "sourceport": chance.randrange(65_536),
            "program": "sshd",
            "success": chance.random() < 0.5,
            "msgid": f"{chance.getrandbits(48):x}",
            "eventsourceipaddress": f"192.0.2.{chance.randrange(255)}",
            "authmethod": "password",
            "sourceipgeolocation": {
                "country_code": "PT",
                "city": "Lisboa",
                "latitude": 38.7,
                "longitude": -9.1,
            },
            f"key{chance.randrange(200)}": f"value{chance.randrange(10_000)}",
            f"number{chance.randrange(200)}": chance.randrange(1000),
        }
        body = {
            "timestamp": time_text,
            "utctimestamp": time_text,
            "receivedtimestamp": isoformat(us + 300_000),
            "hostname": f"host{chance.randrange(200)}.example.com",
            "processname": "sshd",
            "processid": str(chance.randrange(30_000)),
            "severity": "INFO",
            "category": chance.choice(["syslog", "authentication", "bro"]),
            "source": "authpriv",
            "summary": f"{' '.join(chance.choices(WORDS, k=10))} {address} {chance.randrange(65_536)}",
            "tags": ["payments", "audit"],
            "type": "event",
            "details": details,
            "mozdefhostname": "siem1.example",
            "mozdef": {
                "plugins": ["linux", "geoip"],
                "problems": [],
                "defaulted": ["type"],
                "input": {"name": "syslog", "kind": "syslog", "peer": "192.0.2.1"},
                "worker": {"host": "siem1.example", "process": 1},
            },
        }
        events.append(Event(event_id, body))
    return events


def memory_mb(kind: str) -> int:
    """Return this process's memory of a kind (``Rss``, ``Pss``, ``Private_Dirty``) in megabytes."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) // 1024
    return 0


def clocked(action: Callable[[], object], times: int = 5) -> tuple[float, object]:
    """Return the best time in milliseconds, and what came back."""
    best = float("inf")
    answer: object = None
    for _ in range(times):
        start = time.perf_counter()
        answer = action()
        best = min(best, time.perf_counter() - start)
    return best * 1000, answer


def show_memory(label: str) -> None:
    print(f"{label:<40} Pss {memory_mb('Pss'):>4} MB, private {memory_mb('Private_Dirty'):>4} MB")


def bench_idle(path: Path) -> None:
    """Print what an idle store holds of memory."""
    show_memory("before opening")
    store = TantivyStore(TantivyStore.Options(), path, "writer")
    show_memory("open for writing, nothing written")
    store.write(make(100, 0, random.Random(2)))
    show_memory("after 100 events")
    store.close()


def bench_writing(store: TantivyStore, count: int, batch: int) -> None:
    """Print what writing costs."""
    chance = random.Random(1)
    wall = cpu = 0.0
    longest = 0.0
    raw_bytes = 0
    for start in range(0, count, batch):
        events = make(min(batch, count - start), start, chance)
        raw_bytes += sum(len(orjson.dumps(event.body)) for event in events[:10]) * len(events) // 10
        before, before_cpu = time.perf_counter(), time.process_time()
        store.write(events)
        took = time.perf_counter() - before
        wall, cpu, longest = wall + took, cpu + time.process_time() - before_cpu, max(longest, took)
    print(f"{count} events of {raw_bytes // count} bytes, {batch} a call, each call durable when it returned")
    print(
        f"  {count / wall:,.0f} events/s, {wall / count * 1e6:.1f} us an event "
        f"(CPU of all threads {cpu / count * 1e6:.1f} us)"
    )
    print(
        f"  longest call {longest * 1000:.0f} ms; {store.status().size_bytes / count:.0f} bytes an event on disk"
    )


def bench_queries(store: TantivyStore, sample: Event) -> None:
    """Print how long questions take, warm."""
    address = sample.body["details"]["sourceipaddress"]
    message_id = sample.body["details"]["msgid"]
    questions: dict[str, Query] = {
        "everything": All(),
        "one address": Term("details.sourceipaddress", address),
        "one value of a kind": Term("details.msgid", message_id),
        "a network": Subnet("details.sourceipaddress", ["10.1.0.0/16"]),
        "two words": Match("summary", "failed password"),
        "a phrase": MatchPhrase("summary", "failed password"),
        "a word anywhere": Match("*", f"user{sample.body['processid'][:2]}"),
        "a pattern": Wildcard("details.username", "user1?5"),
        "a pattern on words": Wildcard("summary", "pub*ey"),
        "a pattern anywhere": Wildcard("*", "user1?5"),
        "a range of numbers": Range("details.sourceport", gte=1000, lt=2000),
        "a key exists": Exists("details.key7"),
        "and, not": Term("category", "bro") & ~Term("details.success", True),
        "a range of numbers that are text": Range("processid", gte=1000, lt=1100),
    }
    print(f"{'query, milliseconds':<36}{'newest 50':>10}{'count':>10}{'found':>10}")
    for name, query in questions.items():
        newest, _ = clocked(lambda query=query: store.search(Search(query)), 3)  # type: ignore[misc]
        counting, found = clocked(lambda query=query: store.count(query), 1)  # type: ignore[misc]
        print(f"{name:<36}{newest:>10.1f}{counting:>10.1f}{found!s:>10}")
    print(f"{'by id':<36}{clocked(lambda: store.get(sample.id))[0]:>10.1f}")
    unknown = new_ids(BASE_US, 500)
    print(f"{'500 unknown ids':<36}{clocked(lambda: store.known(unknown))[0]:>10.1f}")


def main() -> None:
    """Write events to a fresh store and ask it questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=int, nargs="?", default=100_000)
    parser.add_argument("batch", type=int, nargs="?", default=5_000)
    chosen = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="bench-store-"))
    try:
        bench_idle(directory / "idle")
        store = TantivyStore(TantivyStore.Options(), directory / "store", "writer")
        bench_writing(store, chosen.events, chosen.batch)
        show_memory("after writing")
        bench_queries(store, store.search(Search(size=1)).events[0])
        store.close()
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
