from __future__ import annotations

import fcntl
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from mozdef_core.drivers import store_tantivy, tantivy_writer_process
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_writer_frames import receive, send
from mozdef_core.drivers.tantivy_writer_store import TantivyStoreApart
from mozdef_core.errors import StoreUnavailableError
from mozdef_core.event import Event
from mozdef_core.query.model import All
from mozdef_core.testing_contracts.store import EventStoreContract
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event
from mozdef_core.testing_contracts.store_matching import Mode

OPTIONS = TantivyStoreApart.Options(heap_mb=15)

USER = """
import sys, time
from pathlib import Path
from mozdef_core.drivers.tantivy_writer_store import TantivyStoreApart

store = TantivyStoreApart(TantivyStoreApart.Options(heap_mb=15), Path(sys.argv[1]), "writer")
print(store._process.pid, flush=True)
time.sleep(300)
"""


class TestTantivyStoreApart(EventStoreContract):
    def open_store(self, path: Path, mode: Mode) -> TantivyStoreApart:
        return TantivyStoreApart(OPTIONS, path, mode)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TantivyStoreApart]:
    opened = TantivyStoreApart(OPTIONS, tmp_path / "store", "writer")
    yield opened
    opened.close()


def pid_of(store: TantivyStoreApart) -> int:
    assert store._process is not None
    pid = store._process.pid
    assert pid is not None
    return pid


def batch(count: int) -> list[Event]:
    return [
        stored_event(BASE_US + step, received_us=BASE_US + step % 3 * DAY_US, details={"step": step})
        for step in range(count)
    ]


def ids(events: list[Event]) -> set[str]:
    return {event.id for event in events}


def state_of(pid: int) -> str:
    """Return the state of a process as the kernel calls it, ``gone`` when there is none any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # the trial before may have ended it late
        os.kill(pid, signal.SIGKILL)


def test_a_writer_that_was_killed_between_two_writes_is_replaced(
    store: TantivyStoreApart, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = batch(30), batch(30)
    store.write(first)
    before = pid_of(store)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: os.waitid(os.P_PID, before, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)
    assert store.known(ids(first)) == ids(first)
    store.write(second)
    assert pid_of(store) != before
    assert f"process {before}, was killed by SIGKILL" in caplog.text
    assert store.known(ids(first + second)) == ids(first + second)
    assert store.count(All()) == 60


def test_a_writer_that_is_killed_in_the_middle_of_a_write_is_an_error_and_costs_no_event(
    store: TantivyStoreApart,
) -> None:
    first, second = batch(30), batch(3000)
    store.write(first)
    pid = pid_of(store)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.write, second)
        wait_until(lambda: state_of(pid) == "T")
        assert not writing.done()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            StoreUnavailableError, match=rf"{store._shelf.path}, process {pid}, was killed by SIGKILL"
        ):
            writing.result()
    assert store.count(All()) == 30
    store.write(second)
    assert store.count(All()) == 3030


def test_writers_that_are_killed_at_any_moment_store_each_event_once(store: TantivyStoreApart) -> None:
    expected: set[str] = set()
    failures = 0
    began_s = time.monotonic()
    store.write(batch(600))
    usual_s = time.monotonic() - began_s
    for trial in range(8):
        events = batch(600)
        expected |= ids(events)
        timer = threading.Timer(usual_s * trial / 7, kill, (pid_of(store),))
        timer.start()
        for _ in range(3):  # the second and third try do not say that it may be known
            try:
                store.write(events)
                break
            except StoreUnavailableError:
                failures += 1
        timer.join()
    assert failures > 0
    assert store.known(expected) == expected
    assert store.count(All()) == 600 + len(expected)


@pytest.mark.parametrize("state", [signal.SIGCONT, signal.SIGSTOP])
def test_a_writer_ends_with_its_user_whatever_it_does(tmp_path: Path, state: signal.Signals) -> None:
    user = subprocess.Popen([sys.executable, "-c", USER, str(tmp_path / "store")], stdout=subprocess.PIPE)
    assert user.stdout is not None
    pid = int(user.stdout.readline())
    assert Path(f"/proc/{pid}/comm").read_text() == "mozdef-writer\n"
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2].decode() == str(tmp_path / "store")
    os.kill(pid, state)
    user.kill()
    user.wait()
    user.stdout.close()
    try:
        wait_until(lambda: state_of(pid) in ("gone", "Z"))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    again = TantivyStoreApart(OPTIONS, tmp_path / "store", "writer")
    again.close()


def test_a_writer_ends_when_nobody_can_tell_it_anything_more(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mozdef_core.drivers.tantivy_writer_child", str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    send(process.stdin, {"parent": os.getpid(), "options": {"heap_mb": 15}, "lock_s": 0})
    assert receive(process.stdout)[0] == {"log": []}
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()
    TantivyStore(TantivyStore.Options(), tmp_path / "store", "writer").close()


def test_what_reaches_the_whole_group_does_not_end_the_writer(store: TantivyStoreApart) -> None:
    pid = pid_of(store)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    store.write(batch(10))
    assert pid_of(store) == pid
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)  # also before it could ignore them
    assert all(blocked >> number - 1 & 1 for number in (signal.SIGTERM, signal.SIGINT))


def test_a_writer_outlives_the_thread_whose_call_started_it(store: TantivyStoreApart) -> None:
    os.kill(pid_of(store), signal.SIGKILL)
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(store.write, batch(10)).result()
        except StoreUnavailableError:  # it had not quite ended
            pool.submit(store.write, batch(10)).result()
    pid = pid_of(store)
    store.write(batch(10))
    assert pid_of(store) == pid
    assert store.count(All()) == 20


def test_an_io_error_in_the_writer_is_the_same_error_here_and_costs_no_event(
    store: TantivyStoreApart,
) -> None:
    first, second = batch(500), batch(3000)
    store.write(first)
    pid = pid_of(store)
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (16_384, resource.RLIM_INFINITY))
    for _ in range(2):
        with pytest.raises(
            StoreUnavailableError, match=rf"the store {store._shelf.path} cannot be written: "
        ):
            store.write(second)
    assert store.count(All()) == 500
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    store.write(second)
    assert pid_of(store) == pid
    assert store.count(All()) == 3500


def test_what_a_failed_writer_may_have_stored_is_looked_up_by_the_next(store: TantivyStoreApart) -> None:
    events = batch(300)
    store.write(events)
    store._unsure.update(ids(events))  # as if the writer had died after the commit and before its answer
    os.kill(pid_of(store), signal.SIGKILL)
    for _ in range(2):
        try:
            store.write(events)
        except StoreUnavailableError:
            continue
    assert store.count(All()) == 300
    assert not store._unsure


def test_a_second_writer_is_refused_with_the_process_that_writes(
    store: TantivyStoreApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_writer_process, "LOCK_S", 0.1)
    with pytest.raises(
        StoreUnavailableError, match=f"is open for writing in process {pid_of(store)}; only one process"
    ):
        TantivyStoreApart(OPTIONS, store._shelf.path, "writer")


def test_a_writer_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    lock = (tmp_path / "store/writer.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    timer = threading.Timer(1.5, lock.close)
    timer.start()
    opened = TantivyStoreApart(OPTIONS, tmp_path / "store", "writer")
    assert lock.closed
    opened.close()
    timer.join()


def test_a_directory_that_cannot_be_used_is_the_same_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match="file/store cannot be opened for writing"):
        TantivyStoreApart(OPTIONS, tmp_path / "file" / "store", "writer")


def test_a_process_that_cannot_be_started_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StoreUnavailableError, match="no process can be started to write the store"):
        TantivyStoreApart(OPTIONS, tmp_path / "store", "writer")


def test_refusals_name_the_events_that_were_given(store: TantivyStoreApart) -> None:
    good = batch(3)
    clockless = stored_event(receivedtimestamp="yesterday")
    unspeakable = stored_event(summary="\ud800")
    huge = stored_event(details={"huge": 2**80})
    refusals = store.write([good[0], unspeakable, good[1], clockless, huge, good[2]])
    assert {id(refusal.event) for refusal in refusals} == {id(unspeakable), id(clockless)}
    apart = {refusal.event.id: refusal.reason for refusal in refusals}
    within = TantivyStore(TantivyStore.Options(heap_mb=15), store._shelf.path.with_name("within"), "writer")
    assert {refusal.event.id: refusal.reason for refusal in within.write([unspeakable, clockless])} == apart
    within.close()
    found = store.get(huge.id)
    assert found is not None
    assert found.get("details.fallback") == f'{{"huge": {2**80}}}'
    assert store.known(ids([*good, clockless, unspeakable])) == ids(good)


def test_what_the_writer_logs_is_logged_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    leftover = tmp_path / "store" / ".new-2026-03-29.default"
    leftover.mkdir(parents=True)
    TantivyStoreApart(OPTIONS, tmp_path / "store", "writer").close()
    assert ("mozdef_core.drivers.tantivy_partition", logging.INFO) in {
        (name, level) for name, level, text in caplog.record_tuples if str(leftover) in text
    }


def test_each_look_after_a_write_finds_what_was_written_and_what_was_removed(
    store: TantivyStoreApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_tantivy, "_REFRESH_S", 3600)
    for number in range(1, 4):
        events = batch(9)
        store.write(events)
        assert store.count(All()) == 9 * number
        assert store.known(ids(events)) == ids(events)
        assert store.get(events[0].id) == events[0]
    assert len(store.partitions()) == 3
    assert store.drop_before("2026-03-30") == 1
    assert len(store.partitions()) == 2
    assert store.count(All()) == 18


def test_a_writer_that_does_not_close_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tantivy_writer_process, "CLOSE_S", 0.1)
    store = TantivyStoreApart(OPTIONS, tmp_path / "store", "writer")
    events = batch(9)
    store.write(events)
    pid = pid_of(store)
    os.kill(pid, signal.SIGSTOP)
    store.close()
    assert state_of(pid) == "gone"
    reader = TantivyStoreApart(OPTIONS, tmp_path / "store", "reader")
    assert reader.count(All()) == 9
    reader.close()


def test_a_closed_store_starts_no_writer(tmp_path: Path) -> None:
    store = TantivyStoreApart(OPTIONS, tmp_path / "store", "writer")
    pid = pid_of(store)
    store.close()
    store.close()
    assert state_of(pid) == "gone"
    with pytest.raises(StoreUnavailableError, match="has been closed"):
        store.write(batch(1))


def test_the_option_and_a_reader_start_no_process(tmp_path: Path) -> None:
    here = TantivyStoreApart(
        TantivyStoreApart.Options(heap_mb=15, writer_process=False), tmp_path / "store", "writer"
    )
    reader = TantivyStoreApart(OPTIONS, tmp_path / "store", "reader")
    here.write(batch(3))
    assert here._process is None
    assert reader._process is None
    assert here.drop_before("2027-01-01") == 3
    with pytest.raises(StoreUnavailableError, match="open for reading"):
        reader.write(batch(1))
    reader.close()
    here.close()
