"""Records of the audit daemon: from the file to one item for each serial."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_files.audit import join_records
from mozdef_files.line import Cut, cut_lines


def record(serial, kind="SYSCALL", at=1_700_000_000, front=""):
    return f"{front}type={kind} msg=audit({at}.250:{serial}): a={serial}".encode()


def joined(*lines, quiet=False, full=False, offset=0):
    content = b"".join(line + b"\n" for line in lines)
    cut = join_records(cut_lines(content, offset, 10_000), offset, quiet=quiet, full=full)
    return [line.raw for line in cut.lines], cut.size_bytes, content


def test_the_records_of_a_serial_become_one_line_at_the_place_of_the_first():
    lines = [record(1), record(1, "EXECVE"), record(1, "PROCTITLE"), record(2), record(2, "PROCTITLE")]
    raw, size, content = joined(*lines, offset=500)
    assert raw == [b"\n".join(lines[:3]), b"\n".join(lines[3:])]
    assert size == len(content)


def test_records_of_two_serials_that_are_mixed_are_told_apart():
    lines = [record(1), record(2), record(1, "PROCTITLE"), record(2, "PROCTITLE")]
    assert joined(*lines)[0] == [b"\n".join(lines[::2]), b"\n".join(lines[1::2])]


def test_a_serial_whose_last_record_is_not_there_waits_and_so_does_what_reaches_beyond_it():
    lines = [record(1), record(1, "PROCTITLE"), record(3), record(2), record(3, "PROCTITLE")]
    raw, size, _ = joined(*lines)
    assert raw == [b"\n".join(lines[:2])]
    assert size == len(lines[0]) + len(lines[1]) + 2
    assert joined(*lines, quiet=True)[0] == [b"\n".join(lines[:2]), b"\n".join(lines[2::2]), lines[3]]


def test_a_record_of_two_seconds_later_ends_the_wait():
    lines = [record(1), record(2, at=1_700_000_002)]
    assert joined(*lines)[0] == [lines[0]]
    assert joined(record(1), record(2, at=1_700_000_001))[0] == []


def test_where_no_more_can_be_read_nothing_waits_for_ever():
    assert joined(record(1), record(1, "PATH"), full=True)[0] == [b"\n".join([record(1), record(1, "PATH")])]


def test_hosts_have_serials_of_their_own_and_other_lines_pass():
    lines = [record(1, front="node=a "), record(1, front="node=b "), b"a line of something else"]
    assert joined(*lines, quiet=True)[0] == lines
    assert joined(b"x" * 300 + record(1), record(1, "PROCTITLE"))[0] == [
        b"x" * 300 + record(1),
        record(1, "PROCTITLE"),
    ]


def test_a_serial_without_end_does_not_become_an_item_without_end():
    line = record(1) + b"x" * 200_000
    raw, _, _ = joined(*[line] * 9, quiet=True)
    assert max(map(len, raw)) < 1_048_576
    assert sum(one.count(b"type=") for one in raw) == 9


@given(
    serials=st.lists(st.integers(1, 6), min_size=1, max_size=30),
    ends=st.sets(st.integers(1, 6)),
    seed=st.integers(0, 9),
    most=st.integers(1, 12),
)
def test_every_line_is_in_exactly_one_item_however_the_stream_is_cut(serials, ends, seed, most):
    lines = [record(serial, f"K{n}") for n, serial in enumerate(serials)]
    lines += [record(serial, "PROCTITLE") for serial in ends]
    random.Random(seed).shuffle(lines)
    content, offset, found = b"".join(line + b"\n" for line in lines), 0, []
    while offset < len(content):
        cut = cut_lines(content[offset:], offset, most)
        whole = offset + cut.size_bytes == len(content)
        cut = join_records(cut, offset, quiet=whole, full=len(cut.lines) == most)
        assert cut.size_bytes
        offset += cut.size_bytes
        found += [raw for line in cut.lines for raw in line.raw.split(b"\n")]
    assert sorted(found) == sorted(lines)


def test_nothing_cut_is_nothing_joined():
    assert join_records(Cut([], 3), 0, quiet=False, full=False) == Cut([], 3)


def test_the_input_joins_what_a_file_holds_and_names_the_category(follow, write, intake):
    first, last = record(1), record(1, "PROCTITLE")
    write("audit.log", first + b"\n" + record(2) + b"\n" + last + b"\n")
    follow(format="audit")
    intake.until_just(first + b"\n" + last, record(2))
    assert {fields["category"] for fields in intake.fields} == {"auditd"}


def test_a_record_that_comes_later_belongs_to_the_same_item(follow, write, intake):
    write("audit.log", record(1) + b"\n")
    followed = follow(format="audit")
    followed.begun()
    assert intake.calls == []
    write("audit.log", record(1, "PROCTITLE") + b"\n")
    intake.until_just(record(1) + b"\n" + record(1, "PROCTITLE"))


def test_an_event_of_the_joined_records_is_read_by_its_plugin(make_host):
    auditd = pytest.importorskip("mozdef_auditd")
    text = "\n".join(line.decode() for line in (record(7), record(7, "PROCTITLE")))
    (event,) = make_host(auditd.Auditd).process({"message": text, "category": "auditd"}).events
    assert event.get("details.auditserial") == "7"
    assert event.get("category") == "syscall"
