"""Where messages end in a stream."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_syslog.framing import Framer

FRAMINGS = ("auto", "lines", "nul", "octets")


def frame(stream, cuts=(), framing="auto", longest=1_048_576):
    """Return the messages of a stream that arrives in pieces, cut at these offsets."""
    framer = Framer(framing, longest)
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    messages = []
    for start, end in itertools.pairwise(bounds):
        messages += framer.feed(stream[start:end])
    return messages + framer.finish()


@pytest.mark.parametrize(
    ("stream", "messages"),
    [
        (b"<13>a\n<13>b\n", [b"<13>a", b"<13>b"]),
        (b"<13>a\r\n\r\n<13>b\r\n", [b"<13>a", b"<13>b"]),
        (b"<36>a\x00<36>b\x00", [b"<36>a", b"<36>b"]),
        (b"<36>a\x00\n<36>b\n\x00", [b"<36>a", b"<36>b"]),
        (b"7 <13>a\nb7 <13>c d", [b"<13>a\nb", b"<13>c d"]),
        (b"6 <13>a\n\n6 <13>b\n", [b"<13>a", b"<13>b"]),
        (b"5 <13>a<13>b\n<13>c\x006 <13>de<13>last", [b"<13>a", b"<13>b", b"<13>c", b"<13>de", b"<13>last"]),
        (b"2026-11-24T03:00:28Z host app: x\n12 bottles\n0 <13>\n", [
            b"2026-11-24T03:00:28Z host app: x", b"12 bottles", b"0 <13>"]),
        (b"123456789 <13>too long a number\n", [b"123456789 <13>too long a number"]),
        (b"40 <13>cut short", [b"<13>cut short"]),
        (b"12", [b"12"]),
        (b"\n\x00\r\n", []),
    ],
)  # fmt: skip
def test_each_message_is_told_from_the_next(stream, messages):
    assert frame(stream) == messages
    assert frame(stream, range(len(stream))) == messages


def test_with_nul_framing_a_message_holds_line_breaks():
    assert frame(b"<11>Traceback\n  File\x00<11>b", framing="nul") == [b"<11>Traceback\n  File", b"<11>b"]


def test_with_octet_framing_a_message_needs_no_priority():
    assert frame(b"5 hello5 world", framing="octets") == [b"hello", b"world"]


def test_with_line_framing_a_number_in_front_is_text():
    assert frame(b"5 <13>a\n", framing="lines") == [b"5 <13>a"]


def test_a_message_is_given_out_as_soon_as_its_end_is_there():
    framer = Framer()
    assert framer.feed(b"<13>a\n12 <1") == [b"<13>a"]
    assert framer.feed(b"3>and mo") == []
    assert framer.feed(b"re<13>b\n<") == [b"<13>and more"[:12], b"<13>b"]


def test_a_message_that_is_too_long_arrives_in_pieces_and_nothing_is_missing():
    stream = b"<13>" + b"x" * 15 + b"\n<13>y\n" + b"40 <13>" + b"z" * 36
    expected = [b"<13>" + b"x" * 12, b"xxx", b"<13>y", b"<13>" + b"z" * 12, b"z" * 16, b"z" * 8]
    assert frame(stream, longest=16) == expected
    assert frame(stream, range(len(stream)), longest=16) == expected


def test_a_number_within_a_long_message_counts_nothing():
    assert frame(b"<13>" + b"x" * 12 + b"5 <13>a\n<13>b\n", longest=16) == [
        b"<13>" + b"x" * 12,
        b"5 <13>a",
        b"<13>b",
    ]


def test_many_small_pieces_of_a_long_line_are_not_searched_again_for_each():
    framer = Framer()
    begun_s = time.process_time()
    for _ in range(100_000):
        framer.feed(b"xxxxxxxxxx")
    assert time.process_time() - begun_s < 1
    assert framer.feed(b"\n") == [b"x" * 1_000_000]


fragments = st.sampled_from([
    b"\n", b"\r\n", b"\x00", b"<13>", b"5 <13>a", b"12 <13>a\nbcd", b"3 ", b"17", b" ", b"7 <", b"text", b"0",
])  # fmt: skip
streams = st.one_of(st.binary(max_size=200), st.lists(fragments, max_size=30).map(b"".join))


@given(streams, st.lists(st.integers(0, 300), max_size=20), st.sampled_from(FRAMINGS), st.integers(16, 40))
def test_any_division_of_a_stream_gives_the_same_messages(stream, cuts, framing, longest):
    whole = frame(stream, framing=framing, longest=longest)
    assert frame(stream, cuts, framing, longest) == whole
    assert frame(stream, range(len(stream)), framing, longest) == whole


@given(streams, st.sampled_from(FRAMINGS), st.integers(16, 40))
def test_messages_are_neither_empty_nor_too_long_and_in_the_order_of_the_stream(stream, framing, longest):
    position = 0
    for message in frame(stream, framing=framing, longest=longest):
        assert 0 < len(message) <= longest
        position = stream.index(message, position) + len(message)


@given(st.lists(st.binary(min_size=1, max_size=50).filter(lambda text: text.rstrip(b"\r\n\0")), max_size=20))
def test_counted_messages_come_out_as_they_went_in(texts):
    stream = b"".join(b"%d <13>%s" % (len(text) + 4, text) for text in texts)
    assert frame(stream) == [b"<13>" + text.rstrip(b"\r\n\0") for text in texts]
