"""How fast the SQLite queue takes and gives: ``python tests/bench/bench_queue.py [events]``."""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from mozdef_core.drivers.queue_sqlite import SqliteQueue
from mozdef_core.event import new_ids, now_us
from mozdef_core.ports import Item, Origin

BATCH = 500
THREADS = 32
IDLE_S = 3
ORIGIN = Origin("events", "http", endpoint="events", peer="127.0.0.1", token="bench")


def make(count: int, chance: random.Random, senders: str = "") -> list[Item]:
    """Return items of about 400 bytes, with sender ids when given what those begin with."""
    moment = now_us()
    return [
        Item(item_id, moment, ORIGIN, orjson.dumps(event(chance)), f"{senders}{number}" if senders else None)
        for number, item_id in enumerate(new_ids(moment, count))
    ]


def event(chance: random.Random) -> dict[str, object]:
    """Return an event as a log shipper sends it."""
    address = ".".join(str(chance.randrange(256)) for _ in range(4))
    return {
        "timestamp": "2026-03-29T01:59:58.200000+00:00", "hostname": f"db{chance.randrange(99)}.lab.example",
        "category": "authentication", "severity": "NOTICE", "tags": ["payments", "audit"], "processname": "sshd",
        "summary": f"Failed password for root from {address} port {chance.randrange(65536)} ssh2",
        "details": {"sourceipaddress": address, "trace": chance.randbytes(16).hex(), "region": "eu1"},
    }  # fmt: skip


def timed(label: str, count: int, work: Callable[[], object]) -> None:
    """Do the work and print how fast it was."""
    cpu_s, began_s = time.process_time(), time.perf_counter()
    work()
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    print(f"{label:<44}{count / wall_s:>10,.0f} events/s {cpu_s / count * 1e6:>8.2f} us CPU an event")


def drain(queue: SqliteQueue) -> None:
    """Take and acknowledge all that waits."""
    while deliveries := queue.take(BATCH, 0):
        queue.acknowledge(deliveries)


def singles(queue: SqliteQueue, items: list[Item]) -> None:
    """Put the items one by one, from many threads."""

    def put(part: list[Item]) -> None:
        for item in part:
            queue.put([item])

    threads = [threading.Thread(target=put, args=(items[start::THREADS],)) for start in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", nargs="?", type=int, default=100_000)
    count = parser.parse_args().events // BATCH * BATCH
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as directory:
        queue = SqliteQueue(SqliteQueue.Options(), Path(directory) / "queue.db")
        for label, senders in (("batches of 500", ""), ("batches of 500 with sender ids", "s")):
            batches = [
                make(BATCH, chance, f"{senders}{n}-" if senders else "") for n in range(count // BATCH)
            ]
            timed(f"put, {label}", count, lambda batches=batches: [queue.put(batch) for batch in batches])  # type: ignore[misc]
            depth = queue.depth()
            print(f"{'':<44}{depth.size_bytes / depth.items:>10.1f} bytes on disk an event")
            timed(f"take and acknowledge, {label}", count, lambda: drain(queue))
        few = make(count // 5, chance)
        timed(f"put, single events of {THREADS} threads", len(few), lambda: singles(queue, few))
        timed("take and acknowledge, single events", len(few), lambda: drain(queue))
        cpu_s = time.process_time()
        queue.take(1, IDLE_S)
        print(f"{'idle, waiting':<44}{(time.process_time() - cpu_s) / IDLE_S * 100:>10.2f} % of a core")
        queue.close()


if __name__ == "__main__":
    main()
