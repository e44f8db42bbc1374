"""Following files through growth, rotation, truncation, restarts and a queue that refuses."""

from __future__ import annotations

import contextlib
import gzip
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from mozdef_files import FilesInput, FilesOptions
from mozdef_files.tail import Tail
from pydantic import ValidationError

from mozdef_core import QueueError


def opened(folder):
    """Return how many log files of a folder are open, removed ones included."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            count += target.startswith(str(folder)) and ".log" in target
    return count


def test_lines_come_as_they_are_written_with_their_path(follow, write, intake, tmp_path):
    write("a.log", b"one\ntwo\n")
    follow(fields={"category": "web"}, tags=["shop"])
    intake.until_just(b"one", b"two")
    write("a.log", b"three\n")
    intake.until_just(b"one", b"two", b"three")
    assert intake.fields[0] == {"eventsource": str(tmp_path / "a.log"), "category": "web", "tags": ["shop"]}


def test_a_file_that_was_there_is_begun_at_its_end_and_a_new_one_at_its_beginning(follow, write, intake):
    write("a.log", b"old\nhalf a li")
    follow(start="end").begun()
    write("b.log", b"new\n")
    intake.until_just(b"new")
    write("a.log", b"ne\n")
    intake.until_just(b"new", b"half a line")


def test_a_file_that_appeared_while_nobody_looked_is_read_from_its_beginning(follow, write, intake):
    follow(start="end").begun().stop()
    write("a.log", b"new\n")
    follow(start="end")
    intake.until_just(b"new")


def test_an_unfinished_line_waits_for_its_end(follow, write, intake):
    write("a.log", b"one\nhal")
    follow()
    intake.until_just(b"one")
    time.sleep(0.3)
    assert intake.messages == [b"one"]
    write("a.log", b"f\n")
    intake.until_just(b"one", b"half")


def test_after_a_restart_reading_goes_on_where_it_was(follow, write, intake):
    write("a.log", b"one\n")
    first = follow()
    intake.until_just(b"one")
    first.stop()
    write("a.log", b"two\n")
    follow()
    intake.until_just(b"one", b"two")
    assert intake.repeats == 0


def test_lines_that_were_put_but_not_noted_are_put_again_under_the_same_ids(follow, write, intake):
    write("a.log", b"one\ntwo\n")
    intake.failure_after_put = RuntimeError("killed between put and note")
    first = follow()
    first.join()
    assert first.error is intake.failure_after_put
    intake.failure_after_put = None
    write("a.log", b"three\n")
    follow()
    intake.until_just(b"one", b"two", b"three")
    assert intake.repeats == 2


def test_a_renamed_file_is_read_on_and_the_new_one_from_its_beginning(follow, write, intake, tmp_path):
    write("a.log", b"one\n")
    follow()
    intake.until_just(b"one")
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    write("a.log", b"new\n")
    intake.until_just(b"one", b"new")
    write("a.log.1", b"written after the rename\n")
    intake.until_just(b"one", b"new", b"written after the rename")
    assert intake.fields[2]["eventsource"] == str(tmp_path / "a.log")


def test_a_renamed_file_that_the_paths_name_too_is_not_read_twice(follow, write, intake, tmp_path):
    write("a.log", b"one\n")
    first = follow(paths=[str(tmp_path / "*.log*")])
    intake.until_just(b"one")
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    write("a.log", b"two\n")
    intake.until_just(b"one", b"two")
    first.stop()
    follow(paths=[str(tmp_path / "*.log*")])
    write("a.log", b"three\n")
    intake.until_just(b"one", b"two", b"three")
    assert intake.repeats == 0


def test_a_file_that_was_rotated_while_nobody_looked_is_read_to_its_end(follow, write, intake, tmp_path):
    write("a.log", b"one\n")
    first = follow()
    intake.until_just(b"one")
    first.stop()
    write("a.log", b"two\n")
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    write("a.log", b"three\n")
    follow()
    intake.until_just(b"three", b"two") if intake.messages[1:2] == [b"three"] else time.sleep(0.5)
    assert sorted(intake.messages) == [b"one", b"three", b"two"]
    assert intake.repeats == 0


def test_a_truncated_file_is_read_from_its_beginning(follow, write, intake, tmp_path):
    write("a.log", b"one\ntwo\n")
    follow()
    intake.until_just(b"one", b"two")
    os.truncate(tmp_path / "a.log", 0)
    write("a.log", b"six\n")
    intake.until_just(b"one", b"two", b"six")


def test_a_truncated_file_with_the_same_first_line_gives_that_line_again(follow, write, intake, tmp_path):
    write("a.log", b"# begin\nx\n")
    follow()
    intake.until_just(b"# begin", b"x")
    os.truncate(tmp_path / "a.log", 0)
    write("a.log", b"# begin\n")
    intake.until_just(b"# begin", b"x", b"# begin")


def test_a_truncated_file_that_has_grown_past_the_old_place_is_noticed(follow, write, intake, tmp_path):
    write("a.log", b"one\n")
    first = follow()
    intake.until_just(b"one")
    first.stop()
    os.truncate(tmp_path / "a.log", 0)
    write("a.log", b"another and longer\n")
    follow()
    intake.until_just(b"one", b"another and longer")


def test_a_removed_file_is_read_to_its_end_with_its_unfinished_line(follow, write, intake, tmp_path):
    write("a.log", b"one\n")
    follow()
    intake.until_just(b"one")
    with (tmp_path / "a.log").open("ab", buffering=0) as writer:
        (tmp_path / "a.log").unlink()
        writer.write(b"two\nlast")
        intake.until_just(b"one", b"two")
    intake.until_just(b"one", b"two", b"last")


def test_files_that_are_gone_are_closed(follow, write, intake, tmp_path):
    follow()
    for number in range(20):
        write(f"{number}.log", b"x%d\n" % number)
    end_s = time.monotonic() + 20
    while len(intake.messages) < 20 and time.monotonic() < end_s:
        time.sleep(0.01)
    assert opened(tmp_path) == 20
    for path in tmp_path.glob("*.log"):
        path.unlink()
    while opened(tmp_path) and time.monotonic() < end_s:
        time.sleep(0.01)
    assert opened(tmp_path) == 0


def test_compressed_files_and_folders_are_left_alone(follow, write, intake, tmp_path):
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(b"old\n"))
    (tmp_path / "folder.log").mkdir()
    write("b.log", b"one\n")
    follow(paths=[str(tmp_path / "*")])
    intake.until_just(b"one")
    time.sleep(0.2)
    assert intake.messages == [b"one"]


def test_while_the_queue_refuses_the_place_is_kept(follow, write, intake):
    write("a.log", b"one\n")
    intake.refusal = QueueError("full", retry_after_s=0.05)
    first = follow()
    assert intake.asked.wait(20)
    first.stop()
    intake.refusal = None
    assert intake.messages == []
    follow()
    intake.until_just(b"one")


def test_a_large_file_is_read_whole_and_keeps_no_other_waiting(follow, write, intake):
    lines = [b"%06d " % number + b"x" * 40 for number in range(50_000)]
    write("a.log", b"\n".join(lines) + b"\n")
    write("b.log", b"other\n")
    follow()
    end_s = time.monotonic() + 30
    while len(intake.messages) < 50_001 and time.monotonic() < end_s:
        time.sleep(0.01)
    assert intake.messages.index(b"other") <= 1000
    assert [message for message in intake.messages if message != b"other"] == lines


def test_a_line_longer_than_a_mebibyte_arrives_in_pieces(follow, write, intake):
    write("a.log", b"a" * 1_048_576 + b"b" * 10 + b"\nnext\n")
    follow()
    intake.until_just(b"a" * 1_048_576, b"b" * 10, b"next")


def test_no_more_files_are_opened_than_allowed_until_one_is_gone(follow, write, intake, tmp_path, caplog):
    write("a.log", b"one\n")
    write("b.log", b"two\n")
    follow(max_files=1)
    intake.until_just(b"one")
    time.sleep(0.3)
    assert caplog.text.count("b.log is not read: max_files") == 1
    (tmp_path / "a.log").unlink()
    intake.until_just(b"one", b"two")


def test_positions_that_cannot_be_read_are_kept_aside(follow, write, intake, tmp_path, caplog):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/positions.json").write_bytes(b'{"patterns": [], "files": [{"nonsense": 1}]}')
    write("a.log", b"one\n")
    follow()
    intake.until_just(b"one")
    assert (tmp_path / "state/positions.damaged").exists()
    assert "positions could not be read" in caplog.text


def test_two_inputs_do_not_share_a_state_directory(follow, tmp_path):
    follow()
    second = FilesInput(FilesOptions(paths=["x"], state_dir=tmp_path / "state"))
    with pytest.raises(OSError, match="state: another input uses it"):
        second.bind()


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    source = FilesInput(FilesOptions(paths=["x"], state_dir=tmp_path / "file/state"))
    with pytest.raises(OSError, match=r"state_dir .*file/state: Not a directory"):
        source.bind()


def test_standard_input_stands_alone():
    with pytest.raises(ValidationError, match="stands alone"):
        FilesOptions(paths=["-", "a.log"])


READER = """
    import threading
    from mozdef_core import Intake, PutResult
    from mozdef_files import FilesInput, FilesOptions

    class Shown(Intake):
        def put(self, raw, *, peer=None, sender_ids=None, fields=None):
            for one in raw:
                print(one.decode(), fields["eventsource"], flush=True)
            return PutResult([""] * len(raw), 0)

        def lost(self, count, reason): pass

    source = FilesInput(FilesOptions(paths=["-"]))
    source.bind()
    source.run(Shown(), threading.Event())
    print("ended")
"""


def test_standard_input_is_read_line_by_line_to_its_end():
    reader = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(READER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        reader.stdin.write(b"one\nha")
        reader.stdin.flush()
        assert reader.stdout.readline() == b"one stdin\n"
        rest, _ = reader.communicate(b"lf\n\nlast", timeout=20)
        assert rest == b"half stdin\nlast stdin\nended\n"
        assert reader.returncode == 0
    finally:
        reader.kill()
        reader.wait(20)


def test_a_file_that_cannot_be_read_any_more_is_named_and_the_others_go_on(
    follow, write, intake, monkeypatch, caplog
):
    read = Tail.read

    def fail_for_one(tail, *arguments, **named):
        if tail.position.path.endswith("bad.log"):
            raise OSError(5, "Input/output error")
        return read(tail, *arguments, **named)

    monkeypatch.setattr(Tail, "read", fail_for_one)
    write("bad.log", b"lost\n")
    write("good.log", b"one\n")
    follow()
    intake.until_just(b"one")
    write("good.log", b"two\n")
    intake.until_just(b"one", b"two")
    assert [record.args[1] for record in caplog.records if "bad.log" in str(record.args)] == [
        "Input/output error"
    ]
