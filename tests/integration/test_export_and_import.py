"""Events out of one MozDef and into another: real processes, killed in the middle."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mozdef_core.config import load
from mozdef_core.event import new_ids, now_us
from mozdef_core.ports import Item, Origin
from mozdef_core.services.compose import open_queue
from tests.running import Service, eventually

COUNT = 30_000
DAY_US = 86_400_000_000


@pytest.fixture
def service(tmp_path):
    made = Service(tmp_path / "mozdef", plugins=["linux"], inputs=[]).start()
    yield made
    made.stop()


def put(service, count, received_us=None, **fields):
    """Put events into the queue as an entrance does; a hundred each share their time."""
    queue = open_queue(load(service.config, os.environ))
    at_us = received_us or now_us()
    for start in range(0, count, 5_000):
        some = range(start, min(start + 5_000, count))
        raws = [
            json.dumps({"timestamp": (at_us - n // 100 * 1_000_000) / 1e6, "summary": f"number {n}", "details": {"n": n}, **fields})
            for n in some
        ]  # fmt: skip
        items = zip(new_ids(at_us, len(some)), raws, strict=True)
        queue.put([Item(one, at_us, Origin("events", "http"), raw.encode()) for one, raw in items])
    queue.close()


def begin(service, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "mozdef_core.services", *arguments, "--config", str(service.config), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=service.directory,
    )


def killed_again_and_again(service, arguments, note, key):
    """Run a command and kill it whenever it has got further; return how often, and what it said in the end."""
    kills, before = 0, 0
    while True:
        process = begin(service, *arguments)
        while process.poll() is None:
            reached = read(note, key)
            if reached is not None and reached > before:
                before = reached
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        output, errors = process.communicate(timeout=120)
        if process.returncode == 0:
            return kills, json.loads(output)
        assert process.returncode == -signal.SIGKILL, errors.decode()
        kills += 1
        arguments = [*arguments, "--resume"] if "--resume" not in arguments else arguments


def read(note, key):
    try:
        return json.loads(next(iter(note())).read_text())[key]
    except (StopIteration, OSError, ValueError):
        return None


def test_an_export_that_is_killed_and_gone_on_with_has_each_event_once_and_an_import_brings_them_back(
    service, tmp_path
):
    put(service, COUNT)
    put(service, 500, received_us=now_us() - 30 * DAY_US)
    assert eventually(lambda: service.count() == COUNT + 500, 120, 0.5)
    file = tmp_path / "all.jsonl.gz"
    note = file.with_name(file.name + ".part.json")
    kills, said = killed_again_and_again(service, ["export", "-o", str(file)], lambda: [note], "events")
    assert kills >= 2
    assert (said["events"], said["resumed"]) == (COUNT + 500, True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [file.name]
    exported = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    ids = [one["id"] for one in exported]
    assert len(ids) == len(set(ids)) == COUNT + 500
    times = [one["event"]["utctimestamp"] for one in exported]
    assert times == sorted(times)
    stored = {one["id"]: one for one in service.search("details.n:[100 TO 180]")}
    assert all(
        {"id": one["id"], **one["event"]} == stored[one["id"]] for one in exported if one["id"] in stored
    )
    assert len(stored) == 162

    parquet = tmp_path / "some.parquet"
    service.cli("export", "details.n:[0 TO 999]", "-o", str(parquet))

    other = Service(tmp_path / "other", plugins=[], inputs=[]).start()
    try:
        notes = (other.data_dir / "imports").glob
        kills, said = killed_again_and_again(other, ["import", str(file)], lambda: notes("*.json"), "line")
        assert kills >= 2
        assert said["rejected"] == 0
        assert said["worker"] is True
        assert eventually(lambda: other.count() == COUNT + 500, 120, 0.5)
        assert other.count("mozdef.replayed:true") == COUNT + 500
        again = other.cli("import", str(parquet), str(file))
        assert (again["queued"], again["known"]) == (0, COUNT + 2_000)
        (one,) = other.search(f"details.n:{COUNT - 1}")
        (before,) = [
            {"id": e["id"], **e["event"]} for e in exported if e["event"]["details"]["n"] == COUNT - 1
        ]
        assert one == {**before, "mozdef": {**before["mozdef"], "replayed": True}}
        worker = eventually(lambda: counters(other, COUNT + 500))
        assert worker["imported_old"] == 500
        assert not list(notes("*"))
    finally:
        other.stop()


def counters(service, imported):
    worker = json.loads(service.run("status", "--config", str(service.config), "--json").stdout)["worker"]
    return worker if worker["imported"] >= imported else None


def test_without_a_worker_it_says_so_and_the_events_wait(service, tmp_path):
    put(service, 200)
    assert eventually(lambda: service.count() == 200, 30, 0.2)
    file = tmp_path / "all.parquet"
    service.cli("export", "-o", str(file))
    other = Service(tmp_path / "other", plugins=[], inputs=[])
    result = other.run("import", str(file), "--config", str(other.config))
    assert result.stdout == b"200 queued, 0 stored already, 0 rejected\n"
    assert b"no worker runs: what is queued waits" in result.stderr
    other.start()
    try:
        assert eventually(lambda: other.count() == 200, 30, 0.2)
    finally:
        other.stop()


def test_tail_shows_each_new_event_that_matches_within_about_a_second(service, tmp_path):
    put(service, 50, category="old")
    assert eventually(lambda: service.count() == 50, 30, 0.2)
    with (tmp_path / "tail").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mozdef_core.services", "tail", "category:new OR details.n:7", "-n", "5",
             "--json", "--config", str(service.config)],
            stdout=output, cwd=service.directory, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:

        def shown():
            return [json.loads(line) for line in (tmp_path / "tail").read_text().splitlines()]

        assert eventually(lambda: len(shown()) == 1, 20)
        for wave in range(3):
            put(service, 300, category="new", hostname=f"wave{wave}")
            put(service, 5, category="other", received_us=now_us() - 5_000_000)
            assert eventually(lambda wave=wave: len(shown()) >= 1 + 300 * (wave + 1), 20)
        time.sleep(1.5)
        ids = [one["id"] for one in shown()]
        assert len(ids) == len(set(ids)) == 901
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
