"""The embedded store is killed at random moments while it writes; what it had acknowledged is there, once and whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.event import Event
from mozdef_core.query.model import All, Search

TRIALS = int(os.environ.get("MOZDEF_TEST_KILLS", "5"))
OPTIONS = TantivyStore.Options(heap_mb=15)

WRITER = """
import random, sys
from pathlib import Path
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event

store = TantivyStore(TantivyStore.Options(heap_mb=15, open_writers=1), Path(sys.argv[1]), "writer")
chance = random.Random(int(sys.argv[2]))
print("ready", flush=True)
while True:
    events = [
        stored_event(
            BASE_US + chance.randrange(3 * DAY_US),
            received_us=BASE_US + chance.randrange(3) * DAY_US,
            details={f"key{chance.randrange(500)}": "x" * chance.randrange(200)},
        )
        for _ in range(chance.randrange(1, 400))
    ]
    sys.stdout.buffer.write(b"".join(b"try " + event.to_bytes() + b"\\n" for event in events))
    sys.stdout.buffer.flush()
    store.write(events)
    print("done", flush=True)
"""


def _run_until_killed(path: Path, seed: int, after_s: float) -> tuple[list[Event], list[Event]]:
    """Return what the writer was told is stored, and what it was writing when it was killed."""
    journal = path.parent / f"journal-{seed}"
    with journal.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(seed)], stdout=output)
        try:
            deadline_s = time.monotonic() + 60
            while b"ready" not in journal.read_bytes():
                assert process.poll() is None
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
            time.sleep(after_s)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    done: list[Event] = []
    trying: list[Event] = []
    for line in journal.read_bytes().split(b"\n")[:-1]:  # behind the last line end there may be half a line
        if line == b"done":
            done += trying
            trying = []
        elif line.startswith(b"try "):
            trying.append(Event.from_bytes(line[4:]))
    return done, trying


@pytest.mark.timeout(300)
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(20_260_329)
    path = tmp_path / "store"
    stored: dict[str, Event] = {}
    acknowledged = 0
    for trial in range(TRIALS):
        done, trying = _run_until_killed(path, trial, chance.uniform(0.05, 0.8))
        acknowledged += len(done)
        store = TantivyStore(OPTIONS, path, "writer")
        known = store.known(event.id for event in trying)
        stored.update({event.id: event for event in done})
        stored.update({event.id: event for event in trying if event.id in known})
        store.write(trying, maybe_known=True)  # as the queue delivers it again
        stored.update({event.id: event for event in trying})
        assert store.count(All()) == len(stored)
        store.close()
    assert acknowledged > 0
    reader = TantivyStore(OPTIONS, path, "reader")
    found = {event.id: event for event in reader.between_ids("0", "Z" * 26)}
    assert found == stored
    assert {orjson.dumps(event.body) for event in found.values()} == {
        orjson.dumps(event.body) for event in stored.values()
    }
    after, paged = None, 0
    while True:
        page = reader.search(Search(size=5_000, after=after))
        paged += len(page.events)
        after = page.after
        if after is None:
            break
    assert paged == len(stored)
    reader.close()
