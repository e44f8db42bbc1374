"""Intervals: what is run covers what late events can influence and what is due, and nothing needlessly."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.detection.intervals import Kind, Piece, Span, Standing, plan
from mozdef_core.ports import Interval, RunState

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
START = 29_000_000 * MINUTE


def standing(
    cursor: int,
    end: int,
    changed: Sequence[int] = (),
    *,
    look_back: int = 0,
    since: int = -WEEK,
    failed: Sequence[Interval] = (),
) -> Standing:
    """Return where a rule stands; times in microseconds from the start."""
    minutes = [START // MINUTE + minute for minute in changed]
    return Standing(START + since, START + cursor, START + end, minutes, look_back, failed)


def failed(start: int, end: int, failures: int = 3) -> Interval:
    return Interval("r", START + start, START + end, RunState.FAILED, START, failures=failures, due_us=START)


def spans(pieces: Iterable[Piece], *kinds: Kind) -> list[tuple[int, int]]:
    return [
        (piece.start_us - START, piece.end_us - START) for piece in pieces if not kinds or piece.kind in kinds
    ]


def test_what_is_due_reaches_from_the_cursor_to_the_end() -> None:
    made = plan(standing(0, MINUTE), WEEK)
    assert made.pieces == [Piece(START, START + MINUTE, Kind.DUE)]
    assert (made.skipped, made.later, made.late) == (None, (), ())


def test_nothing_is_due_at_the_cursor() -> None:
    assert plan(standing(MINUTE, MINUTE, [2, 3]), WEEK).pieces == []


def test_a_late_event_opens_its_minute_and_the_look_back_behind_it() -> None:
    made = plan(standing(HOUR, HOUR + MINUTE, [10], look_back=2 * MINUTE), WEEK)
    assert spans(made.pieces, Kind.REOPENED) == [(10 * MINUTE, 13 * MINUTE)]
    assert spans(made.pieces, Kind.DUE) == [(HOUR, HOUR + MINUTE)]


def test_what_overlaps_or_adjoins_is_one() -> None:
    made = plan(standing(HOUR, HOUR + MINUTE, [10, 12, 13, 20], look_back=MINUTE), WEEK)
    assert spans(made.pieces, Kind.REOPENED) == [(10 * MINUTE, 15 * MINUTE), (20 * MINUTE, 22 * MINUTE)]


def test_what_is_opened_up_to_the_cursor_is_one_with_what_is_due() -> None:
    made = plan(standing(30_000_000, 90_000_000, [0, 1], look_back=2 * MINUTE), WEEK)
    assert made.pieces == [Piece(START, START + 90_000_000, Kind.DUE)]


def test_minutes_that_have_not_been_looked_at_open_nothing() -> None:
    assert plan(standing(MINUTE, 2 * MINUTE, [1, 2, 5]), WEEK).pieces == [
        Piece(START + MINUTE, START + 2 * MINUTE, Kind.DUE)
    ]


def test_nothing_before_the_rule_was_enabled_is_run_but_what_it_can_influence_is() -> None:
    made = plan(standing(HOUR, HOUR, [-1, -5], look_back=2 * MINUTE, since=0), WEEK)
    assert spans(made.pieces) == [(0, 2 * MINUTE)]


def test_events_of_more_than_a_week_before_open_nothing() -> None:
    minutes = [-WEEK // MINUTE - 1, -WEEK // MINUTE]
    made = plan(standing(0, MINUTE, minutes, look_back=DAY, since=-2 * WEEK), WEEK, piece_us=DAY + MINUTE)
    assert spans(made.pieces, Kind.REOPENED) == [(-WEEK, -WEEK + DAY + MINUTE)]


def test_what_is_too_old_to_catch_up_with_is_skipped() -> None:
    made = plan(standing(0, WEEK + HOUR), WEEK)
    assert made.skipped == Span(START, START + HOUR)
    assert spans(made.pieces)[0] == (HOUR, 2 * HOUR)
    assert spans(made.pieces)[-1] == (WEEK, WEEK + HOUR)


def test_it_is_caught_up_with_by_the_hour_oldest_first() -> None:
    made = plan(standing(0, 2 * HOUR + MINUTE), WEEK)
    assert spans(made.pieces) == [(0, HOUR), (HOUR, 2 * HOUR), (2 * HOUR, 2 * HOUR + MINUTE)]


def test_what_had_failed_comes_last_as_one_where_it_adjoins() -> None:
    rows = [
        failed(-3 * MINUTE, -2 * MINUTE, 4),
        failed(-2 * MINUTE, -MINUTE, 3),
        failed(-9 * MINUTE, -8 * MINUTE),
    ]
    made = plan(standing(0, MINUTE, failed=rows), WEEK)
    assert made.pieces == [
        Piece(START, START + MINUTE, Kind.DUE),
        Piece(START - 9 * MINUTE, START - 8 * MINUTE, Kind.FAILED, 3),
        Piece(START - 3 * MINUTE, START - MINUTE, Kind.FAILED, 4),
    ]


def test_late_events_do_not_open_what_is_set_aside() -> None:
    stands = standing(HOUR, HOUR, [10, 20], look_back=2 * MINUTE)
    aside = [Span(START + 11 * MINUTE, START + 12 * MINUTE), Span(START + 19 * MINUTE, START + 30 * MINUTE)]
    made = plan(replace(stands, aside=aside), WEEK)
    assert spans(made.pieces) == [(10 * MINUTE, 11 * MINUTE), (12 * MINUTE, 13 * MINUTE)]


def test_much_that_is_opened_waits_for_what_is_due() -> None:
    made = plan(standing(DAY, DAY + MINUTE, range(100, 300)), WEEK)
    assert spans(made.pieces) == [(DAY, DAY + MINUTE)]
    assert made.later == [Span(START + 100 * MINUTE, START + 300 * MINUTE)]


def test_a_rule_that_remembers_is_given_late_events_and_is_not_run_again() -> None:
    made = plan(standing(HOUR, HOUR + MINUTE, [10, 59], look_back=HOUR), WEEK, remembers=True)
    assert spans(made.pieces) == [(HOUR, HOUR + MINUTE)]
    late = [Span(START + minute * MINUTE, START + (minute + 1) * MINUTE) for minute in (10, 59)]
    assert list(made.late) == late


times = st.integers(-3 * 60, 3 * 60).map(lambda seconds: seconds * 20_000_000)


@given(
    cursor=times,
    ahead=st.integers(0, 300).map(lambda seconds: seconds * 20_000_000),
    since=times,
    changed=st.lists(st.integers(-100, 100), unique=True).map(sorted),
    look_back=st.integers(0, 30).map(lambda seconds: seconds * 20_000_000),
    piece=st.integers(1, 200).map(lambda minutes: minutes * MINUTE),
)
def test_all_that_is_due_or_influenced_is_run_once_and_nothing_else(
    cursor: int, ahead: int, since: int, changed: list[int], look_back: int, piece: int
) -> None:
    since = min(since, cursor)
    end = cursor + ahead
    made = plan(standing(cursor, end, changed, look_back=look_back, since=since), WEEK, piece_us=piece)
    wanted = set(range(cursor, end, 20_000_000))
    for minute in changed:
        influenced = range(minute * MINUTE, (minute + 1) * MINUTE + look_back, 20_000_000)
        wanted |= {us for us in influenced if since <= us < cursor}
    run: list[int] = []
    later = [(span.start_us - START, span.end_us - START) for span in made.later]
    for start_us, end_us in [*spans(made.pieces), *later]:
        run.extend(range(start_us, end_us, 20_000_000))
    assert len(run) == len(set(run))
    assert set(run) == wanted
    assert all(piece_.end_us - piece_.start_us <= piece for piece_ in made.pieces)
    due = [piece_ for piece_ in made.pieces if piece_.kind is Kind.DUE]
    assert due == sorted(due)
    assert [piece_.end_us > START + cursor for piece_ in due] == [True] * len(due)
    if end > cursor:
        assert due[-1].end_us == START + end


@pytest.mark.parametrize("piece", [MINUTE, 7 * MINUTE])
def test_failed_pieces_cover_what_had_failed(piece: int) -> None:
    made = plan(standing(0, 0, failed=[failed(-HOUR, -MINUTE)]), WEEK, piece_us=piece)
    covered = spans(made.pieces, Kind.FAILED)
    assert (covered[0][0], covered[-1][1]) == (-HOUR, -MINUTE)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(covered))
