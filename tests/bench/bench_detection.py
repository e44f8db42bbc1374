"""What detection costs: ``python -m tests.bench.bench_detection [--store DIR] [--delay] [--quick]``.

Prints microseconds of processor time per event of 10, 100 and 1,000 event rules on the stream, beside what it would
cost to ask each rule; with ``--store`` the time of one run of every installed rule over the newest minute of what
lies in a store of tests/bench/corpus.py (``bench_search N --keep DIR --rounds 0`` writes one), and of a backtest of
them all in events per second; with ``--delay`` how long it takes from the acceptance of an event to its alert, at
5,000 events/s over HTTP.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from mozdef_core import Event, EventRule, Match, Query, RuleOptions, Term
from mozdef_core.detection import Budget, Conditions, Detector, Runner, Scheduled
from mozdef_core.discovery import RULES, as_plugin, installed, load_class
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.errors import ConfigError
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.query.model import All
from mozdef_core.services.backtest import backtest
from mozdef_core.services.examples import path_of, read
from tests.bench.__main__ import post
from tests.bench.corpus import DAY_US, DAYS, FIRST_US, Corpus
from tests.running import Service, eventually

MINUTE_US = 60_000_000
LIMITS = Limits.patient(3_600.0)


class Clock:
    """Tells a time that is put where it should be."""

    now_us = 0

    def __call__(self) -> int:
        """Return the time, microseconds since 1970."""
        return self.now_us


def conditions(number: int) -> Query:
    """Return the query of one of many rules, of the kinds that people write."""
    kinds = (
        Term("category", "syslog")
        & Term("details.program", "sshd")
        & Term("details.username", f"user-{number}"),
        Term("details.program", f"program{number}") & Match("summary", "failed"),
        Match("summary", f"word{number} failed"),
        Term("details.query", f"h{number}.example") | Term("details.host", f"h{number}.example"),
        Term("source", f"source{number}") & Term("details.status", 401),
    )
    return kinds[number % len(kinds)]


def event_rule(number: int) -> Plugin:
    """Make one of many rules."""

    class Rule(EventRule[RuleOptions]):
        """One of many."""

        query = conditions(number)

        def summary(self, event: Event) -> str:
            return "found"

    return as_plugin(f"rule{number}", Rule, {}, f"alerts.rule{number}")


def stream_cost(count: int) -> None:
    """Print what rules on the stream cost, in batches of 5,000 events."""
    batches = list(Corpus(count).batches(5_000))
    print("us of an event, on the stream:      with the index   asking each   ratio")
    for rules in (10, 100, 1_000):
        plugins = [event_rule(number) for number in range(rules)]
        detector = Detector(Host(plugins, Health(LIMITS)))
        compiled = Conditions()
        tests = [compiled(conditions(number)) for number in range(rules)]
        indexed, asked = [], []
        for batch in batches:
            began_s = time.thread_time()
            detector.stream(detector.window(batch), batch[0].id, batch[-1].id)
            indexed.append((time.thread_time() - began_s) / len(batch) * 1e6)
            few = batch[: 50_000 // rules]
            began_s = time.thread_time()
            for event in few:
                for test in tests:
                    test(event)
            asked.append((time.thread_time() - began_s) / len(few) * 1e6)
        ours, theirs = statistics.median(indexed), statistics.median(asked)
        print(f"{rules:>6,} rules{ours:>37.1f}{theirs:>14.1f}{theirs / ours:>8.1f}", flush=True)


def shipped() -> Iterator[Plugin]:
    """Make every installed rule with the options of its examples, so that none is inactive."""
    for item in installed(RULES):
        path = path_of(item.target)
        options = read(path).options if path is not None else {}
        try:
            yield as_plugin(item.name, load_class(RULES, item.name), options, f"alerts.{item.name}")
        except ConfigError as error:
            print(f"{item.name} is left out: {error}")


def over_store(directory: Path) -> None:
    """Print what a run of each rule costs over a full store, and a backtest of all."""
    store = TantivyStore(TantivyStore.Options(), directory / "store", "reader")
    total, rules, end_us = store.count(All()), list(shipped()), FIRST_US + DAYS * DAY_US
    took: dict[str, float] = {}
    clock = Clock()
    for plugin in rules:
        clock.now_us = end_us - 2 * MINUTE_US
        book = MemoryBook(clock=clock)
        runner = Runner(Host([plugin], Health(LIMITS)), store, book, Budget(), clock=clock)
        rule = Scheduled.of(plugin, lambda us: us + MINUTE_US)
        runner.run(rule)
        for clock.now_us in (end_us - MINUTE_US, end_us):  # the first warms up
            began_s = time.process_time()
            runner.run(rule)
            took[plugin.name] = time.process_time() - began_s
    slow = sorted(took, key=took.__getitem__, reverse=True)[:5]
    print(
        f"one run of each of {len(rules)} rules over a minute of {total:,} stored events: "
        f"{sum(took.values()) * 1e3:,.0f} ms CPU in all, median {statistics.median(took.values()) * 1e3:.1f} ms; "
        f"most: {', '.join(f'{name} {took[name] * 1e3:.0f} ms' for name in slow)}",
        flush=True,
    )
    began_s, cpu_s, alerts = time.monotonic(), time.process_time(), 0
    for plugin in rules:
        alerts += len(backtest(plugin, store, FIRST_US, end_us, listened=lambda start, end: range(0)).alerts)
    wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    print(
        f"a backtest of all {len(rules)} rules over them: {wall_s:.0f} s, {cpu_s:.0f} s CPU, {alerts} alerts; "
        f"{total / wall_s:,.0f} events/s, {total * len(rules) / wall_s:,.0f} events/s of one rule"
    )
    store.close()


def delay(rate: int, seconds: int) -> None:
    """Print how long it takes from acceptance to alert while events come at a rate, ten of them a second looked for."""
    with tempfile.TemporaryDirectory() as directory:
        tables = '[alerts]\nenabled = ["ssh_root_login"]\n'
        service = Service(Path(directory) / "mozdef", plugins=["linux"], tables=tables)
        service.start()
        accepted: dict[str, float] = {}
        noise = json.dumps({"host": "web1", "program": "cron", "message": "x" * 400})

        def send(number: int) -> None:
            text = f"Accepted password for root from 203.0.113.9 port {20_000 + number} ssh2"
            wanted = json.dumps({"host": f"h{number}", "program": "sshd", "message": text})
            post(service, "\n".join([*[noise] * (rate // 10 - 1), wanted]).encode())
            accepted[f"h{number}"] = time.time()

        began_s, threads = time.monotonic(), []
        for number in range(seconds * 10):
            threads.append(threading.Thread(target=send, args=(number,)))
            threads[-1].start()
            time.sleep(max(0.0, began_s + (number + 1) / 10 - time.monotonic()))
        for thread in threads:
            thread.join()
        took_s = time.monotonic() - began_s
        assert eventually(lambda: service.count() >= seconds * rate, 300, 0.5)
        alerts = service.cli("alerts", "list", "--size", "1000")["alerts"]
        service.stop()
    delays = sorted(
        datetime.fromisoformat(alert["utctimestamp"]).timestamp() - accepted[alert["summary"].split()[4]]
        for alert in alerts
    )
    assert len(delays) == seconds * 10, len(delays)
    print(
        f"from acceptance to alert at {seconds * rate / took_s:,.0f} events/s: "
        f"p50 {statistics.median(delays):.2f} s, p99 {delays[int(len(delays) * 0.99)]:.2f} s"
    )


def main() -> None:
    """Print the figures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, metavar="DIR", help="where bench_search has kept what it wrote")
    parser.add_argument(
        "--delay", action="store_true", help="measure the delay of alerts, which starts a service"
    )
    parser.add_argument("--quick", action="store_true", help="few events")
    chosen = parser.parse_args()
    stream_cost(10_000 if chosen.quick else 50_000)
    if chosen.store is not None:
        over_store(chosen.store)
    if chosen.delay:
        delay(5_000, 5 if chosen.quick else 30)


if __name__ == "__main__":
    main()
