"""One file, looked at between its changes."""

from __future__ import annotations

import os

import pytest
from mozdef_files.positions import Position, new_uid
from mozdef_files.tail import Tail, hash_head

LONG = b"x" * 300 + b"\n"


@pytest.fixture
def tail_of(tmp_path):
    """Give a function that follows a file with this content from its beginning."""
    made = []

    def begin(content):
        path = tmp_path / "a.log"
        path.write_bytes(content)
        descriptor = os.open(path, os.O_RDONLY)
        status = os.fstat(descriptor)
        head_bytes = min(256, status.st_size)
        position = Position(
            new_uid(),
            str(path),
            status.st_dev,
            status.st_ino,
            0,
            head_bytes,
            hash_head(descriptor, head_bytes),
        )
        made.append(Tail(descriptor, position))
        return made[-1], path

    yield begin
    for tail in made:
        tail.close()


def take(tail):
    lines = [line.raw for line in tail.read(1000, 0)]
    tail.confirm()
    return lines


def test_what_was_not_confirmed_is_given_again(tail_of):
    tail, _ = tail_of(b"one\n")
    first = tail.read(10, 0)
    tail.refuse()
    assert tail.read(10, 0) == first
    tail.confirm()
    assert tail.read(10, 0) == []


def test_a_file_that_became_shorter_is_begun_again_even_if_its_first_bytes_stayed(tail_of):
    tail, path = tail_of(LONG + b"one\ntwo\n")
    assert take(tail) == [LONG[:-1], b"one", b"two"]
    uid = tail.position.uid
    os.truncate(path, len(LONG) + 4)
    assert take(tail) == [LONG[:-1], b"one"]
    assert tail.position.uid != uid


def test_a_truncated_file_that_has_grown_past_the_old_place_between_two_looks_is_begun_again(tail_of):
    tail, path = tail_of(b"one\n")
    assert take(tail) == [b"one"]
    uid = tail.position.uid
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(b"another and longer\n")
    assert take(tail) == [b"another and longer"]
    assert tail.position.uid != uid


def test_a_file_that_only_grows_stays_the_same_file(tail_of):
    tail, path = tail_of(b"")
    uid = tail.position.uid
    for number in range(100):
        with path.open("ab") as file:
            file.write(b"line %d\n" % number)
        assert take(tail) == [b"line %d" % number]
    assert tail.position.uid == uid
    assert tail.position.head_bytes == 256
