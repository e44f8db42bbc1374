"""What the worker costs: events per second from a full queue to the disk, and microseconds of an event per stage.

Run it as ``python -m tests.bench.bench_worker [events]``; it needs no service and starts none. The queue is filled
first, so that the whole machine is the worker's. A stage is measured alone, on one thread, in processor time of
that thread, which other work on the machine does not change much; the store's own threads come beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import orjson
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from mozdef_core.config import Config, load
from mozdef_core.detection import Detector
from mozdef_core.event import Event, new_ids, now_us
from mozdef_core.host import Host
from mozdef_core.normalise import EntranceSettings, Normaliser, limit, parse_json
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import EventStore, Item, Origin
from mozdef_core.services import compose
from mozdef_core.services.decoders import decoders
from mozdef_core.services.roles import collect_rarely
from mozdef_core.services.worker import BATCH, Worker
from tests.bench.__main__ import event

Answer = TypeVar("Answer")
REQUEST = 500
ORIGIN = Origin(name="nxlog", kind="http", endpoint="nxlog", peer="127.0.0.1")


def configure(directory: Path) -> Config:
    """Return a configuration with one mapper, GeoIP and three rules."""
    database = directory / "city.mmdb"
    writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], ipv4_compatible=True)
    writer.insert_network(
        IPSet(["81.2.0.0/16"]), {"country": {"iso_code": "GB"}, "city": {"names": {"en": "London"}}}
    )
    writer.to_db_file(str(database))
    path = directory / "mozdef.toml"
    path.write_text(
        f'plugins = ["linux", "geoip"]\n[core]\ndata_dir = "{directory / "var"}"\nnode = "siem.test"\n'
        f'[plugin.geoip]\ndatabase = "{database}"\n[alerts]\nenabled = ["ssh_*"]\n'
        '[alerts.ssh_access]\nwatchlist = [{ ipaddress = "198.51.100.7" }]\n'
        '[alerts.ssh_access_signreleng]\nhostfilter = "sign.*"\n'
    )
    return load(path, {})


def items_of(first: int, count: int) -> list[Item]:
    """Return the items of one request."""
    received_us = now_us()
    ids = new_ids(received_us, count)
    return [
        Item(ids[number], received_us, ORIGIN, orjson.dumps(event(first + number))) for number in range(count)
    ]


class Clock:
    """Keeps the least processor time of each stage."""

    def __init__(self) -> None:
        self.best_us: dict[str, float] = {}

    def note(self, stage: str, microseconds: float) -> None:
        """Keep what a stage took if it is the least yet."""
        self.best_us[stage] = min(self.best_us.get(stage, microseconds), microseconds)

    def time(self, stage: str, action: Callable[[], Answer]) -> Answer:
        """Call something for one batch, note what this thread spent on an event, and return what it returned."""
        began = time.thread_time()
        answer = action()
        self.note(stage, (time.thread_time() - began) / BATCH * 1e6)
        return answer


def children_cpu_s() -> float:
    """Return the processor time that the running children of this process have used, as the store's writer has."""
    ticks = 0
    for task in Path("/proc/self/task").glob("*/children"):
        for pid in task.read_text().split():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def stages(config: Config, host: Host, count: int) -> None:
    """Print the stages of a batch, each the best of several batches."""
    normaliser, clock = Normaliser("siem.test", os.getpid(), host.recognisers), Clock()
    pipeline, detector = Pipeline(host, normaliser, decoders({}), config.entrances), Detector(host)
    store = compose.open_store(config, "writer")
    for start in range(0, count, BATCH):
        one_batch(clock, items_of(start, BATCH), host, normaliser, pipeline, detector, store)
    for name, microseconds in clock.best_us.items():
        print(f"  {name:<28}{microseconds:7.1f} us")
    store.close()


def one_batch(
    clock: Clock,
    items: Sequence[Item],
    host: Host,
    normaliser: Normaliser,
    pipeline: Pipeline,
    detector: Detector,
    store: EventStore,
) -> None:
    """Time the stages of a batch: some alone, then all up to the limits together, the rules and the store."""
    plugins, settings = {plugin.name: plugin for plugin in host.plugins}, EntranceSettings()
    decoded = clock.time("parse", lambda: [parse_json(item.raw) for item in items])
    pairs = list(zip(decoded, items, strict=True))
    events = clock.time(
        "normalise", lambda: [normaliser.normalise(value, item, settings) for value, item in pairs]
    )
    clock.time("linux", lambda: [host.call(plugins["linux"], "on_event", event=one) for one in events])
    done = clock.time("parse to limits, all of it", lambda: pipeline.process(items).events)
    clock.time("geoip", lambda: [host.call(plugins["geoip"], "enrich", event=one) for one in done])
    fresh = [Event(one.id, one.body) for one in done]
    clock.time("limits, with the JSON", lambda: [limit(one) for one in fresh])
    window = detector.window(done)
    clock.time("rules", lambda: detector.stream(window, done[0].id, done[-1].id))
    began_s, cpu_s = time.perf_counter(), time.process_time() + children_cpu_s()
    clock.time("store, this thread", lambda: store.write(done))
    clock.note("store, all threads", (time.process_time() + children_cpu_s() - cpu_s) / BATCH * 1e6)
    clock.note("store, wall", (time.perf_counter() - began_s) / BATCH * 1e6)


def through(config: Config, host: Host, count: int) -> None:
    """Fill the queue, let a worker empty it, and print how long that took."""
    queue, book = compose.open_queue(config), compose.open_book(config)
    store = compose.open_store(config, "writer")
    for start in range(0, count, REQUEST):
        queue.put(items_of(start, REQUEST))
    normaliser = Normaliser("siem.test", os.getpid(), host.recognisers)
    pipeline = Pipeline(host, normaliser, decoders({}), config.entrances)
    worker = Worker(queue, pipeline, Detector(host), store, book)
    collect_rarely()
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    began, cpu, elsewhere = time.perf_counter(), time.process_time(), children_cpu_s()
    thread.start()
    while worker.progress.stored < count:
        time.sleep(0.02)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    elsewhere = children_cpu_s() - elsewhere
    stop.set()
    thread.join()
    print(
        f"{count} events: {count / took:,.0f} events/s, {used / count * 1e6:.1f} us of processor time an event"
        f" and {elsewhere / count * 1e6:.1f} us in the store's writer"
    )
    queue.close()
    store.close()
    book.close()


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=int, nargs="?", default=50_000)
    count = parser.parse_args().events
    for measure in (through, stages):
        directory = Path(tempfile.mkdtemp(prefix="bench-worker-"))
        try:
            config = configure(directory)
            host = compose.open_host(config, "worker")
            measure(config, host, count)
            compose.close_host(host)
        finally:
            shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
