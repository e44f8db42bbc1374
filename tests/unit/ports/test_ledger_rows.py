"""How rows of the ledger give way to a new one: against a model that knows the state of every moment."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from mozdef_core.ports import Interval, RunState
from mozdef_core.ports.ledger import lay

states = st.sampled_from([RunState.RAN, RunState.RAN, RunState.FAILED, RunState.RERUN, RunState.SKIPPED])
reasons = st.sampled_from(["", "", "off"])
END = 30


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    start, end = sorted((draw(st.integers(0, END)), draw(st.integers(0, END))))
    events, alerts = draw(st.integers(0, 99)), draw(st.integers(0, 3))
    row = Interval("rule", start, end, draw(states), draw(st.integers(0, 9)), events=events, alerts=alerts)
    return replace(row, reason=draw(reasons))


def put(rows: list[Interval], new: Interval) -> list[Interval]:
    """Do what a ledger does with a new row."""
    touching = [row for row in rows if row.start_us <= new.end_us and row.end_us >= new.start_us]
    others = [row for row in rows if row not in touching]
    return sorted([*others, *lay(new, touching)], key=lambda row: row.start_us)


@given(st.lists(intervals(), max_size=12))
@example([Interval("rule", 0, 20, RunState.RAN, 0, alerts=1), Interval("rule", 5, 5, RunState.RAN, 0)])
def test_rows_cover_exactly_what_was_written_and_the_last_word_stands(written: list[Interval]) -> None:
    rows: list[Interval] = []
    moments: dict[int, tuple[RunState, str]] = {}
    for new in written:
        rows = put(rows, new)
        moments.update(dict.fromkeys(range(new.start_us, new.end_us), (new.state, new.reason)))
    covered = [moment for row in rows for moment in range(row.start_us, row.end_us)]
    assert covered == sorted(moments)
    for row in rows:
        assert row.start_us < row.end_us
        assert {moments[moment] for moment in range(row.start_us, row.end_us)} == {(row.state, row.reason)}


@given(st.lists(intervals(), max_size=12))
def test_no_two_neighbours_that_ran_clean_remain(written: list[Interval]) -> None:
    rows: list[Interval] = []
    for new in written:
        rows = put(rows, new)
    for left, right in pairwise(rows):
        alike = (left.state, left.reason, left.end_us) == (right.state, right.reason, right.start_us)
        assert not (alike and left.state in (RunState.RAN, RunState.SKIPPED, RunState.BLIND))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_pieces_in_any_order_make_one_row_with_their_sums(lengths: list[int], random: object) -> None:
    pieces, start = [], 0
    for number, length in enumerate(lengths):
        pieces.append(
            Interval(
                "rule",
                start,
                start + length,
                RunState.RAN,
                number,
                took_s=0.5,
                events=number,
                alerts=1,
                ungrouped=2,
            )
        )
        start += length
    random.shuffle(pieces)  # type: ignore[attr-defined]
    rows: list[Interval] = []
    for piece in pieces:
        rows = put(rows, piece)
    count = len(lengths)
    (row,) = rows
    assert (row.start_us, row.end_us, row.at_us) == (0, start, count - 1)
    assert (row.took_s, row.events, row.ungrouped) == (count / 2, count * (count - 1) // 2, 2 * count)
    assert row.alerts == count


@given(intervals(), intervals())
def test_no_alert_is_counted_twice_when_a_row_is_cut(old: Interval, new: Interval) -> None:
    if old.start_us == old.end_us:
        return
    rows = put([replace(old, alerts=5)], replace(new, alerts=0))
    uncovered = old.start_us < new.start_us or new.end_us < old.end_us
    assert sum(row.alerts for row in rows) == (5 if uncovered or new.start_us == new.end_us else 0)
