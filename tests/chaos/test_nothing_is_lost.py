"""Kill web, worker, writer or everything at random moments, fill the disk, count every acknowledged event at the end.

The writer is the process in which the worker has the store written. An event is acknowledged over HTTP by its 200, and
over syslog TCP by the clean end of a connection that the sender has half-closed (a connection whose receiver dies is
reset).
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
from collections import Counter
from contextlib import suppress

import pytest

from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.query.model import All, Search
from tests.running import Service, eventually

KILLS = int(os.environ.get("MOZDEF_CHAOS_KILLS", "20"))
FILLER = "x" * 200


class Senders:
    """Two threads that write numbered events and remember which were acknowledged."""

    def __init__(self, service):
        self.service = service
        self.acknowledged = set()
        self.sent = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._http, self._syslog)]
        for thread in self._threads:
            thread.start()

    def _http(self):
        batch = 0
        while not self._stop.is_set():
            numbers = [f"h{batch}n{index}" for index in range(20)]
            batch += 1
            body = "\n".join(
                json.dumps({"summary": f"event {number} {FILLER} end", "category": "chaos", "number": number})
                for number in numbers
            )
            self.sent.update(numbers)
            try:
                status, answer = self.service.post("/events", body.encode(), timeout_s=10)
            except (OSError, urllib.error.URLError, ValueError):
                time.sleep(0.05)
                continue
            if status == 200 and answer["accepted"] == len(numbers):
                self.acknowledged.update(numbers)
            else:
                time.sleep(0.05)

    def _syslog(self):
        batch = 0
        while not self._stop.is_set():
            numbers = [f"s{batch}n{index}" for index in range(20)]
            batch += 1
            lines = "".join(
                f"<134>Nov 24 09:15:02 host chaos: event {number} {FILLER} end\n" for number in numbers
            )
            self.sent.update(numbers)
            try:
                with socket.create_connection(
                    ("127.0.0.1", self.service.syslog_port), timeout=15
                ) as connection:
                    connection.sendall(lines.encode())
                    connection.shutdown(socket.SHUT_WR)
                    clean = connection.recv(1) == b""
            except OSError:
                time.sleep(0.05)
                continue
            if clean:
                self.acknowledged.update(numbers)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def stored(service):
    """Return every stored number with how often it is there; also checks that each event is whole."""
    store = TantivyStore(TantivyStore.Options(), service.data_dir / "events", "reader")
    found, after = Counter(), None
    while True:
        page = store.search(Search(All(), size=1_000, after=after))
        for event in page.events:
            summary = event.text("summary")
            assert summary.startswith("event ")
            assert summary.endswith(f"{FILLER} end")
            assert event.get("receivedtimestamp")
            found[summary.split()[1]] += 1
        after = page.after
        if after is None:
            store.close()
            return found


def settle(service):
    """Wait until the queue is empty and the worker has nothing in hand."""

    def idle():
        status = service.cli("status", check=False)
        return status["queue"]["items"] == 0

    assert eventually(idle, 120, 0.3), service.output()[-3_000:]


def assert_complete(service, senders):
    found = stored(service)
    lost = senders.acknowledged - found.keys()
    doubled = {number: count for number, count in found.items() if count > 1}
    print(f"{len(senders.sent)} sent, {len(senders.acknowledged)} acknowledged, {sum(found.values())} stored, "
          f"{len(lost)} lost, {len(doubled)} doubled")  # fmt: skip
    assert senders.acknowledged
    assert not lost
    assert not doubled
    assert found.keys() <= senders.sent


@pytest.mark.timeout(900)
def test_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    service = Service(tmp_path).start()
    senders = Senders(service)
    chance = random.Random(int(os.environ.get("MOZDEF_CHAOS_SEED", "7")))
    victims = Counter()
    try:
        order = (["web", "worker", "writer", "all"] * KILLS)[:KILLS]
        chance.shuffle(order)
        for victim in order:
            time.sleep(chance.uniform(0.2, 1.5))
            victims[victim] += 1
            if victim == "all":
                service.kill_all()
                service.start()
                continue
            if victim == "writer":  # the worker starts another when it has something to write
                with suppress(ProcessLookupError):
                    os.kill(eventually(service.writers)[0], signal.SIGKILL)
                continue
            report = eventually(lambda: [
                one for one in service.cli("status", check=False)["processes"]
                if one["role"] == victim and int(one["process"]) in service.children()  # noqa: B023
            ])  # fmt: skip
            os.kill(int(report[0]["process"]), signal.SIGKILL)
            eventually(lambda: len(service.children()) == 3)
        time.sleep(2)
    finally:
        senders.stop()
    print(f"killed: {dict(victims)}")
    settle(service)
    assert service.stop() == 0
    assert_complete(service, senders)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MB."""
    at = tmp_path / "disk"
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(at)], capture_output=True, check=False
    )
    if mounted.returncode:
        reason = f"a small file system cannot be mounted: {mounted.stderr.decode().strip()}"
        if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


@pytest.mark.timeout(600)
def test_a_full_disk_loses_and_doubles_nothing(tmp_path, small_disk):
    service = Service(
        tmp_path / "mozdef", data_dir=small_disk / "var", tables="[queue.sqlite]\nmin_free_bytes = 0\n"
    ).start()
    senders = Senders(service)
    filler = small_disk / "filler"
    try:
        for _ in range(2):
            time.sleep(2)
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 65_536)
                except OSError:
                    pass
            before = len(senders.acknowledged)
            time.sleep(4)
            during = len(senders.acknowledged) - before
            filler.unlink()
            after = len(senders.acknowledged)
            print(f"{during} acknowledged on the full disk")
            assert eventually(lambda least=after: len(senders.acknowledged) > least, 60), service.output()[
                -3_000:
            ]
        time.sleep(1)
    finally:
        senders.stop()
        filler.unlink(missing_ok=True)
    settle(service)
    assert service.stop() == 0
    assert_complete(service, senders)
