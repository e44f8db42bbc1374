"""How fast events are found: ``python -m tests.bench.bench_search [events] [--server elasticsearch=URL]``.

Writes the events of tests/bench/corpus.py to a fresh embedded store, and to servers if any are named, and asks each
store the same questions in turn, each time with other values. Prints median and 95th percentile in milliseconds, and
beside each server's median how many times that of the embedded store it is, and the embedded store's median of CPU
time, which means more on a machine that has other work. Answers are compared: a figure only stands where all stores
said the same. With ``--keep DIR`` what was written stays, and is not written again.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozdef_core import discovery
from mozdef_core.aggregation import aggregate
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.event import Event, new_ids
from mozdef_core.ports import EventStore
from mozdef_core.query.aggregations import Aggregation, DateHistogram, TermsAgg
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
from tests.bench.bench_store import memory_mb
from tests.bench.corpus import DAY_US, DAYS, FIRST_US, HOSTS, RARE, USERS, WORDS, Corpus
from tests.bench.processes import held_mb, processor_s

BATCH = 5_000
HOUR_US = DAY_US // 24
ROUNDS = 30
EVERYTHING = All()


@dataclass(frozen=True)
class Question:
    """One kind of question; ``ask`` makes a function that asks it, with values by chance."""

    name: str
    ask: Callable[[random.Random, list[Event]], Callable[[EventStore], Any]]


def newest(
    query: Query, between: tuple[int | None, int | None] = (None, None), size: int = 50
) -> Callable[[EventStore], Any]:
    """Return a function that asks for the newest events."""
    return lambda store: [event.id for event in store.search(Search(query, between, size=size)).events]


def summary(
    aggregation: Aggregation, query: Query = EVERYTHING, between: tuple[int | None, int | None] = (None, None)
) -> Callable[[EventStore], Any]:
    """Return a function that asks for an aggregation."""
    return lambda store: aggregate(store, {"it": aggregation}, query, between)["it"]


def span(chance: random.Random, length_us: int) -> tuple[int, int]:
    """Return a span of this length somewhere in the data."""
    start = FIRST_US + chance.randrange(DAYS * DAY_US - length_us)
    return start, start + length_us


def sampled(chance: random.Random, samples: list[Event], path: str) -> Any:
    """Return a value of a path that occurs."""
    return chance.choice([event.get(path) for event in samples if event.get(path) is not None])


def nested(chance: random.Random) -> Query:
    """Return a condition of conditions."""
    return (
        (Term("category", "syslog") | Term("category", "web"))
        & ~Term("details.success", True)
        & (Range("details.sourceport", lt=30_000) | Term("details.status", 401) | Match("summary", "root"))
        & ~Term("hostname", chance.choice(HOSTS))
    )


QUESTIONS = (
    Question("5 minutes, two terms", lambda c, s: newest(Term("category", "syslog") & Term("hostname", c.choice(HOSTS)), span(c, 5 * 60_000_000))),
    Question("one address, all days", lambda c, s: newest(Term("details.sourceipaddress", sampled(c, s, "details.sourceipaddress")))),
    Question("top 10 of a field, one day", lambda c, s: summary(TermsAgg(c.choice(["details.username", "hostname", "details.destinationport"])), between=span(c, DAY_US))),
    Question("hourly histogram, all days", lambda c, s: summary(DateHistogram("1h"), Term("category", c.choice(["web", "dns", "firewall"])))),
    Question("two words, newest 50", lambda c, s: newest(Match("summary", f"{c.choice(WORDS)} {c.choice(WORDS)}"))),
    Question("phrase, newest 50", lambda c, s: newest(MatchPhrase("summary", f"failed password for {c.choice(USERS)}"))),
    Question("wildcard in a detail", lambda c, s: newest(Wildcard("details.query", f"*{c.choice(WORDS)}{c.randrange(300)}?.example.*"))),
    Question("network", lambda c, s: newest(Subnet("details.sourceipaddress", [f"10.{c.randrange(4)}.{c.randrange(256)}.0/24"]))),
    Question("a rare key exists", lambda c, s: newest(Exists(RARE))),
    Question("brute force: 10 failures an address, 1 h", lambda c, s: summary(TermsAgg("details.sourceipaddress", size=None, min_count=10), Term("details.program", "sshd") & Match("summary", "failed"), span(c, HOUR_US))),
    Question("nested boolean", lambda c, s: newest(nested(c))),
    Question("by id", lambda c, s: (lambda event_id: lambda store: getattr(store.get(event_id), "id", None))(c.choice(s).id)),
)  # fmt: skip


@dataclass
class Written:
    """What it cost to write to a store, batch by batch; the memory is this process's and its children's."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    early_mb: int = 0
    late_mb: int = 0

    def ends(self, amounts: list[float]) -> tuple[float, float]:
        """Return the sums over the first tenth of the batches and over the last."""
        tenth = tenth_of(len(amounts))
        return sum(amounts[:tenth]), sum(amounts[-tenth:])


def tenth_of(batches: int) -> int:
    """Return how many batches are a tenth of so many."""
    return max(1, batches // 10)


def write(stores: dict[str, EventStore], count: int) -> tuple[list[Event], dict[str, Written]]:
    """Write the corpus to every store that has it not yet; return a sample of it, and what each batch cost.

    What other threads, such as merges, and children use while events are made is part of the first store's cost.
    """
    chance = random.Random(2)
    samples: list[Event] = []
    empty = {name: store for name, store in stores.items() if store.count(EVERYTHING) < count}
    took = {name: Written() for name in empty}
    early = tenth_of(-(-count // BATCH))
    cpu_s, own_s = processor_s(), time.thread_time()
    for number, batch in enumerate(Corpus(count).batches(BATCH), 1):
        samples += chance.sample(batch, max(1, len(batch) * 2_000 // count))
        meanwhile_s = processor_s() - cpu_s - (time.thread_time() - own_s)
        for name, store in empty.items():
            began, cpu_s = time.perf_counter(), processor_s()
            refused = store.write(batch)
            took[name].seconds.append(time.perf_counter() - began)
            took[name].cpu_s.append(processor_s() - cpu_s + meanwhile_s)
            meanwhile_s = 0.0
            assert not refused, refused[:1]
            if number == early:
                took[name].early_mb = held_mb()
        cpu_s, own_s = processor_s(), time.thread_time()
    for written in took.values():
        written.late_mb = held_mb()
    for store in stores.values():
        store.refresh()
    return samples, took


def print_writing(count: int, took: dict[str, Written], stores: dict[str, EventStore]) -> None:
    """Print how fast events were written, what that cost and what was held, over all and at both ends."""
    for name, written in took.items():
        events = tenth_of(len(written.seconds)) * BATCH
        first, last = (events / seconds for seconds in written.ends(written.seconds))
        first_us, last_us = (1e6 * cpu_s / events for cpu_s in written.ends(written.cpu_s))
        print(
            f"{name}: {count / sum(written.seconds):,.0f} events/s written; the first tenth {first:,.0f}/s, the last "
            f"{last:,.0f}/s ({last / first:.2f} of it)\n"
            f"  CPU time {1e6 * sum(written.cpu_s) / count:.1f} us an event; the first tenth {first_us:.1f} us, the last "
            f"{last_us:.1f} us ({first_us / last_us:.2f} of the rate)\n"
            f"  memory (PSS) {written.early_mb} MB after the first tenth, {written.late_mb} MB at the end; "
            f"{stores[name].status().size_bytes / count:.0f} bytes an event on disk"
        )


def ask(stores: dict[str, EventStore], samples: list[Event], rounds: int) -> None:
    """Ask every question of all stores in turn and print the figures, for the first one also its CPU time."""
    names = list(stores)
    head = "".join(f"{name + ' median':>24}{'p95':>9}{'ratio':>8}" for name in names)
    print(f"{'milliseconds':<42}{names[0] + ' CPU':>16}{head}")
    for question in QUESTIONS:
        chance = random.Random(question.name)
        took: dict[str, list[float]] = {name: [] for name in names}
        cpu_ms: list[float] = []
        same = True
        for number in range(rounds + 2):
            asked = question.ask(chance, samples)
            answers = []
            for name in names:
                began, cpu_s = time.perf_counter(), time.thread_time()  # it is answered in this thread alone
                answers.append(asked(stores[name]))
                if number >= 2:  # the first two warm up
                    took[name].append((time.perf_counter() - began) * 1_000)
                    if name == names[0]:
                        cpu_ms.append((time.thread_time() - cpu_s) * 1_000)
            same = same and all(answer == answers[0] for answer in answers)
        base = statistics.median(took[names[0]])
        figures = ""
        for name in names:
            median, high = statistics.median(took[name]), sorted(took[name])[int(0.95 * (rounds - 1))]
            figures += f"{median:>24.1f}{high:>9.1f}{median / base:>7.1f}x"
        print(
            f"{question.name:<42}{statistics.median(cpu_ms):>16.1f}{figures}{'' if same else '   ANSWERS DIFFER'}",
            flush=True,
        )


@contextmanager
def ingesting(store: EventStore, rate: int) -> Iterator[list[int]]:
    """Write further events to a store at a rate, meanwhile; yields a list with the number written."""
    stop, written = threading.Event(), [0]

    def run() -> None:
        for batch in Corpus(10**7, seed=3).batches(rate // 2):
            fresh = [
                Event(event_id, event.body)
                for event_id, event in zip(
                    new_ids(FIRST_US + DAYS * DAY_US - 1, len(batch)), batch, strict=True
                )
            ]
            began = time.perf_counter()
            store.write(fresh)
            written[0] += len(fresh)
            if stop.wait(max(0.0, 0.5 - (time.perf_counter() - began))):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def ask_all(
    stores: dict[str, EventStore], directory: Path, samples: list[Event], rounds: int, rate: int
) -> None:
    """Ask every store, and then the embedded one again while it is written to, as a reader beside the writer."""
    reader = TantivyStore(TantivyStore.Options(), directory / "store", "reader")
    ask({**stores, "embedded": reader}, samples, rounds)
    print(
        f"the same, while {rate:,} events/s are written to the embedded store by another thread of this process:"
    )
    with ingesting(stores["embedded"], rate) as written:
        ask({"embedded": reader}, samples, max(5, rounds // 3))
    print(f"{written[0]:,} events were written meanwhile; this process has {memory_mb('Pss')} MB")
    reader.close()


def main() -> None:
    """Write, ask, and ask again while more is written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=int, nargs="?", default=2_000_000)
    parser.add_argument(
        "--server", action="append", default=[], metavar="DRIVER=URL", help="compare with a server"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="how often each question is asked; 0: only write"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave what was written, here and on the servers"
    )
    parser.add_argument("--rate", type=int, default=2_000, help="events/s that are written in the last part")
    chosen = parser.parse_args()
    directory = chosen.keep or Path(tempfile.mkdtemp(prefix="bench-search-"))
    writer = TantivyStore(TantivyStore.Options(), directory / "store", "writer")
    stores: dict[str, EventStore] = {"embedded": writer}
    for each in chosen.server:
        driver, _, url = each.partition("=")
        cls = discovery.load_driver("mozdef.stores", driver)
        options = discovery.options_of(cls, {"urls": [url], "prefix": "bench-search"}, f"store.{driver}")
        stores[driver] = cls(options, directory / driver, "writer")
    try:
        samples, took = write(stores, chosen.events)
        print_writing(chosen.events, took, stores)
        if chosen.rounds:
            ask_all(stores, directory, samples, chosen.rounds, chosen.rate)
    finally:
        for name, store in stores.items():
            if name != "embedded" and chosen.keep is None:
                store.drop_before("9999-12-31")
            store.close()
        if chosen.keep is None:
            shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
