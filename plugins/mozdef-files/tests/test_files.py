from __future__ import annotations

import os
import threading
import time

import pytest
from mozdef_files import FilesInput
from mozdef_files.follower import Follower
from mozdef_files.positions import Positions

from mozdef_core import Intake, InvalidItemError, PutResult, QueueError


class FakeIntake(Intake):
    def __init__(self):
        self.lines = {}
        self.failures = 0
        self.fields = []

    def put(self, raw, *, peer=None, sender_ids=None, fields=None):
        if self.failures:
            self.failures -= 1
            raise QueueError("full", 0.01)
        self.fields.append(dict(fields))
        for key, line in zip(sender_ids, raw, strict=True):
            self.lines.setdefault(key, line)
        return PutResult(["x"] * len(raw), 0)

    def lost(self, count, reason):
        raise AssertionError(reason)


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def follow(path, state, **options):
    return Follower(path, Positions(state), **{"skip_content": False, **options})


def take(follower):
    taken = []
    while lines := follower.read(1_000):
        taken += [line for _, line in lines]
        follower.confirm()
    return taken


def test_lines_come_once_and_a_line_without_its_end_waits(tmp_path, state):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\r\n\ntwo\nthr")
    follower = follow(log, state)
    assert take(follower) == [b"one", b"two"]
    with log.open("ab") as file:
        file.write(b"ee\nfour\n")
    assert take(follower) == [b"three", b"four"]
    assert take(follower) == []


def test_a_restart_goes_on_where_it_was(tmp_path, state):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    assert take(follow(log, state)) == [b"one", b"two"]
    with log.open("ab") as file:
        file.write(b"three\n")
    assert take(follow(log, state)) == [b"three"]


def test_what_was_not_confirmed_comes_again_under_the_same_keys(tmp_path, state):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    first = follow(log, state).read(10)
    with log.open("ab") as file:
        file.write(b"three\n" * 100)
    assert follow(log, state).read(2) == first


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(tmp_path, state):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    follower = follow(log, state)
    assert take(follower) == [b"one"]
    with log.open("ab") as file:
        file.write(b"two\nlast without end")
    log.rename(tmp_path / "a.log.1")
    log.write_bytes(b"three\n")
    assert take(follower) == [b"two", b"last without end", b"three"]


def test_a_file_that_was_cut_is_read_from_its_beginning(tmp_path, state):
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    follower = follow(log, state)
    assert take(follower) == [b"one", b"two"]
    os.truncate(log, 0)
    with log.open("ab") as file:
        file.write(b"new\n")
    assert take(follower) == [b"new"]


def test_a_damaged_list_of_positions_is_put_aside(tmp_path, state):
    (state / "positions.json").write_bytes(b"{")
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    assert take(follow(log, state)) == [b"one"]
    assert (state / "positions.damaged").exists()


def run_until(source, intake, condition):
    stop = threading.Event()
    thread = threading.Thread(target=source.run, args=(intake, stop))
    thread.start()
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    thread.join()


def make(tmp_path, state, **options):
    options = {
        "paths": [str(tmp_path / "*.log")],
        "state_dir": state,
        "interval_s": 0.05,
        "start": "beginning",
        **options,
    }
    source = FilesInput(FilesInput.Options(**options))
    source.bind()
    return source


def test_files_that_appear_later_are_followed_and_a_full_queue_loses_nothing(tmp_path, state):
    intake = FakeIntake()
    intake.failures = 3
    (tmp_path / "a.log").write_bytes(b"one\n")
    (tmp_path / "b.log.gz").write_bytes(b"never\n")
    source = make(tmp_path, state, fields={"category": "web"})

    def enough():
        if len(intake.lines) == 1:
            (tmp_path / "b.log").write_bytes(b"two\n")
        return len(intake.lines) == 2

    run_until(source, intake, enough)
    assert sorted(intake.lines.values()) == [b"one", b"two"]
    assert {"eventsource": str(tmp_path / "a.log"), "category": "web"} in intake.fields


def test_at_the_very_first_start_the_content_can_be_skipped(tmp_path, state):
    log = tmp_path / "a.log"
    log.write_bytes(b"old\n")
    intake = FakeIntake()
    started = []

    def enough():
        if not started and (state / "positions.json").read_bytes() != b"{}":
            with log.open("ab") as file:
                file.write(b"new\n")
            started.append(True)
        return bool(intake.lines)

    run_until(make(tmp_path, state, start="end"), intake, enough)
    assert list(intake.lines.values()) == [b"new"]


def test_a_line_is_an_object_or_a_message(tmp_path, state):
    auto = make(tmp_path, state)
    assert auto.decode(b'{"summary": "x"}') == {"summary": "x"}
    assert auto.decode(b'{"summary": ') == {"message": '{"summary":'}
    assert auto.decode(b" plain \xff") == {"message": "plain \ufffd"}
    strict = make(tmp_path, state, format="json")
    for line in (b"plain", b"[1]"):
        with pytest.raises(InvalidItemError):
            strict.decode(line)


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match=r"state_dir .*taken"):
        make(tmp_path, tmp_path / "taken" / "below")
