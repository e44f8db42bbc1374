"""Silences against a brute force over every minute, whatever the times of the runs."""

from __future__ import annotations

import bisect

from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.silence import Listening, Silence, Watch, judge

MINUTE = 60_000_000


class Received:
    """Times of reception."""

    def __init__(self, times: list[int]) -> None:
        self.times = sorted(times)

    def last(self, since_us: int, before_us: int) -> int | None:
        place = bisect.bisect_left(self.times, before_us)
        return self.times[place - 1] if place and self.times[place - 1] >= since_us else None

    def first(self, since_us: int, before_us: int) -> int | None:
        place = bisect.bisect_left(self.times, since_us)
        return self.times[place] if place < len(self.times) and self.times[place] < before_us else None


def counted(up: set[int], settle: int, start: int, end: int) -> int:
    """Every second for itself."""
    step = 1_000_000
    return sum(
        step for us in range(start, end, step) if all(us // MINUTE - back in up for back in range(settle + 1))
    )


def silences(times: list[int], up: set[int], settle: int, limit: int, begin: int, end: int) -> set[Silence]:
    marks = [begin, *sorted({us for us in times if begin < us < end})]
    found = set()
    for number, start in enumerate(marks):
        after = marks[number + 1] if number + 1 < len(marks) else None
        until = end if after is None else after
        if counted(up, settle, start, until) > limit:
            found.add(Silence(start, until, after, bool(number)))
    return found


SECONDS = st.integers(1, 5_400).map(lambda second: second * 1_000_000)


@settings(max_examples=300, deadline=None)
@given(
    times=st.lists(SECONDS, max_size=12),
    blind=st.sets(st.integers(0, 90), max_size=30),
    runs=st.lists(SECONDS, max_size=12),
    limit=st.integers(1, 1_500).map(lambda second: second * 1_000_000),
    settle=st.integers(0, 5),
    begin=st.integers(0, 1_800).map(lambda second: second * 1_000_000),
)
def test_the_alerts_are_the_longest_spans_of_listening_without_a_match(
    times, blind, runs, limit, settle, begin
):
    end = 5_400_000_000
    up = set(range(-10, 100)) - blind
    received = Received(times)
    watch = Watch.since(begin, met=False)
    found: dict[int, Silence] = {}
    for now in [*sorted({run for run in runs if run > begin}), end]:
        listening = Listening(
            lambda a, b: [m for m in sorted(up) if a // MINUTE <= m < -(-b // MINUTE)], settle * MINUTE
        )
        new, watch = judge(watch, now, limit, received, listening)
        for silence in new:
            known = found.get(silence.start_us)
            assert known is None or known.ended_us is None or known == silence
            found[silence.start_us] = silence
    assert set(found.values()) == silences(times, up, settle, limit, begin, end)


def always(start_us: int, end_us: int) -> range:
    return range(start_us // MINUTE, -(-end_us // MINUTE))


def test_an_event_found_later_inside_a_silence_ends_it():
    listening = Listening(always, 0)
    first, watch = judge(Watch.since(0, met=False), 30 * MINUTE, 20 * MINUTE, Received([]), listening)
    assert first == [Silence(0, 30 * MINUTE, None, False)]
    late, watch = judge(watch, 31 * MINUTE, 20 * MINUTE, Received([15 * MINUTE]), listening)
    assert late == [Silence(0, 15 * MINUTE, 15 * MINUTE, False)]
    again, watch = judge(watch, 36 * MINUTE, 20 * MINUTE, Received([15 * MINUTE]), listening)
    assert again == [Silence(15 * MINUTE, 36 * MINUTE, None, True)]


def test_what_ended_before_the_rule_was_on_again_is_only_told_of_if_it_was_known():
    listening = Listening(always, 0)
    received = Received([40 * MINUTE, 95 * MINUTE])
    found, _ = judge(
        Watch.since(0, met=True), 100 * MINUTE, 20 * MINUTE, received, listening, from_us=90 * MINUTE
    )
    assert found == [Silence(40 * MINUTE, 95 * MINUTE, 95 * MINUTE, True)]
    known = judge(Watch.since(0, met=True), 30 * MINUTE, 20 * MINUTE, Received([]), listening)[1]
    found, _ = judge(known, 100 * MINUTE, 20 * MINUTE, received, listening, from_us=90 * MINUTE)
    assert [silence.ended_us for silence in found] == [40 * MINUTE, 95 * MINUTE]


def test_a_run_asks_no_more_of_many_matches_than_of_one():
    class Counted(Received):
        asked = 0

        def last(self, since_us: int, before_us: int) -> int | None:
            self.asked += 1
            return super().last(since_us, before_us)

    received = Counted([second * 1_000_000 for second in range(1, 3_600)])
    judge(Watch.since(0, met=False), 60 * MINUTE, 20 * MINUTE, received, Listening(always, 0))
    assert received.asked <= 5
