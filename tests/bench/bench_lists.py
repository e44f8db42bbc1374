"""What a condition on a list costs an event, in memory and in a store, for lists of ten to a million members.

Run it as ``python -m tests.bench.bench_lists [--events N]``. Times are CPU time; memory is what holding the list adds.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.event import Event, isoformat, now_us
from mozdef_core.query import evaluate
from mozdef_core.query.lists import Listed
from mozdef_core.query.members import KINDS, Entry

SIZES = (10, 1_000, 100_000, 1_000_000)
ASKED = 20_000
ADDRESS, HASH = "details.sourceipaddress", "details.sha256"


def address(draw: random.Random) -> str:
    """Return a public-looking address."""
    return f"{draw.randrange(1, 224)}.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}"


def members(kind: str, size: int, draw: random.Random) -> list[Entry]:
    """Return the entries of a list."""
    if kind == "hashes":
        return [(f"{draw.getrandbits(256):064x}", None) for _ in range(size)]
    if kind == "networks":
        return [
            (f"{address(draw)}/{draw.choice([16, 20, 22, 23, 24, 25, 28, 32])}", None) for _ in range(size)
        ]
    until_us = now_us() + 3_600_000_000 if kind == "expiring addresses" else None
    return [(address(draw), until_us) for _ in range(size)]


def events(count: int, draw: random.Random) -> list[Event]:
    """Return events from many addresses, with a hash each."""
    now = now_us()
    found = []
    for number in range(count):
        text = isoformat(now - number)
        body = {"utctimestamp": text, "receivedtimestamp": text, "timestamp": text, "summary": "x", "category": "bench",
                "details": {"sourceipaddress": address(draw), "sha256": f"{draw.getrandbits(256):064x}"},
                "mozdef": {"defaulted": []}}  # fmt: skip
        found.append(Event(f"{number:026d}", body))
    return found


def cpu_us(action: Callable[[Event], object], asked: list[Event]) -> float:
    """Return the least CPU time of a call, over several rounds."""
    best = float("inf")
    for _ in range(5):
        begun = time.process_time()
        for event in asked:
            action(event)
        best = min(best, time.process_time() - begun)
    return best / len(asked) * 1e6


def resident_mb() -> float:
    """Return the memory of this process."""
    status = Path("/proc/self/smaps_rollup").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


def in_memory(asked: list[Event]) -> None:
    """Print what a test costs in memory."""
    print(f"{'list':<20}{'members':>10}{'us an event':>13}{'ratio':>8}{'MB':>8}{'load s':>8}")
    for kind in ("hashes", "addresses", "expiring addresses", "networks"):
        field = HASH if kind == "hashes" else ADDRESS
        first = None
        for size in SIZES:
            entries = members(kind, size, random.Random(7))
            gc.collect()
            before = resident_mb()
            begun = time.process_time()
            listed = KINDS["hashes" if kind == "hashes" else "addresses"](iter(entries))
            took_s = time.process_time() - begun
            held = resident_mb() - before
            cost = cpu_us(evaluate.compile(Listed(field, "it", listed)), asked)
            first = first or cost
            print(
                f"{kind:<20}{size:>10,}{cost:>13.2f}{cost / first:>8.2f}{held:>8.1f}{took_s:>8.2f}",
                flush=True,
            )
            del listed, entries


def in_store(count: int) -> None:
    """Print what a count costs a tantivy store."""
    with tempfile.TemporaryDirectory() as folder:
        store = TantivyStore(TantivyStore.Options(), Path(folder) / "events", "writer")
        made = events(count, random.Random(3))
        for start in range(0, count, 5_000):
            store.write(made[start : start + 5_000])
        store.refresh()
        print(f"\n{count:,} events in tantivy, each with an address and a hash of its own")
        print(f"{'list':<20}{'members':>10}{'found':>10}{'seconds':>10}")
        for kind, field in (("hashes", HASH), ("addresses", ADDRESS), ("networks", ADDRESS)):
            for size in SIZES:
                listed = KINDS["hashes" if kind == "hashes" else "addresses"](
                    members(kind, size, random.Random(7))
                )
                begun = time.process_time()
                found = store.count(Listed(field, "it", listed))
                print(f"{kind:<20}{size:>10,}{found:>10,}{time.process_time() - begun:>10.3f}", flush=True)
        store.close()


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    count = parser.parse_args().events
    in_memory(events(ASKED, random.Random(5)))
    in_store(count)


if __name__ == "__main__":
    main()
