"""The part of the ledger's contract about what rules remember and have seen, what was excepted, and forgetting."""

from __future__ import annotations

from mozdef_core.event import LATE_HORIZON_S
from mozdef_core.ports import AlertBook, Keep, Outcome, Pruned, RunState
from mozdef_core.testing_contracts.book_alerts import MINUTE, START_US, Clock
from mozdef_core.testing_contracts.ledger_runs import (
    DAY_S,
    FIRST_MINUTE,
    TEN_DAYS,
    RunsRules,
    interval,
    seconds,
)


class MemoryContract(RunsRules):
    """What rules remember; see :class:`~mozdef_core.testing_contracts.ledger.LedgerContract`."""

    def test_a_rule_remembers_what_it_last_said(self, book: AlertBook, clock: Clock) -> None:
        values = {"user:ines": {"a": [1, 2.5, None, True]}, "user:otto": "x", "User:ines": 0, "user%": False}
        self.run(book, clock, interval(0, 60), state=values)
        assert book.recall("rule") == values
        assert book.recall("rule", ["user:otto", "user:nobody"]) == {"user:otto": "x"}
        assert book.recall("rule", []) == {}
        assert book.recall("rule", prefix="user:") == {key: values[key] for key in ("user:ines", "user:otto")}
        assert book.recall("rule", prefix="user%") == {"user%": False}
        assert book.recall("rule", ["user:otto", "user%"], prefix="user:") == {"user:otto": "x"}
        assert not book.recall("other")
        self.run(book, clock, interval(60, 120), state={"user:ines": None, "user:otto": "y", "never": None})
        assert book.recall("rule") == {"user:otto": "y", "User:ines": 0, "user%": False}

    def test_a_key_may_be_any_text(self, book: AlertBook, clock: Clock) -> None:
        values = {"\ud800": 1, "a\0b": 2, "x" * 10_000: 3, "x" * 10_001: 4, "": 5}
        self.run(book, clock, interval(0, 60), state=values)
        assert book.recall("rule", list(values)) == values

    def test_many_events_are_known_to_have_been_seen(self, book: AlertBook, clock: Clock) -> None:
        ids = [f"{number:05d}" for number in range(2_500)]
        self.run(book, clock, interval(0, 60), seen=dict.fromkeys(ids, START_US))
        self.run(book, clock, interval(0, 60), seen={ids[0]: START_US, "new": START_US})
        assert book.seen("rule", [*ids, "other", "new"]) == {*ids, "new"}
        assert not book.seen("other", ids)

    def test_what_exceptions_remove_leaves_the_rest_as_it_is(self, book: AlertBook, clock: Clock) -> None:
        self.run(book, clock, interval(0, 60), interval(60, 120), excepted={"maintenance": 3, "idle": 0})
        assert self.removed(book, "maintenance") == 6
        assert self.removed(book, "idle") == 0

    def removed(self, book: AlertBook, exception: str) -> int:
        """Return how many events an exception has removed."""
        raise NotImplementedError

    def test_rows_go_as_the_journal_and_seen_events_after_a_fortnight(
        self, book: AlertBook, clock: Clock
    ) -> None:
        states = RunState.LATE, RunState.DEGRADED
        rows = [interval(60 * number, 60 * number + 60, state) for number, state in enumerate(states)]
        self.run(book, clock, *rows, seen={"x": FIRST_MINUTE * MINUTE, "y": (FIRST_MINUTE + 1) * MINUTE})
        clock.us = FIRST_MINUTE * MINUTE
        clock.pass_by(LATE_HORIZON_S + 8 * DAY_S)
        assert book.prune(TEN_DAYS) == Pruned()
        clock.pass_by(60)
        assert book.prune(TEN_DAYS) == Pruned(seen=1)
        assert book.seen("rule", ["x", "y"]) == {"y"}
        self.take(book, clock, lease_s=0)
        clock.us = START_US
        clock.pass_by(10 * DAY_S + LATE_HORIZON_S + 7 * DAY_S + 60)
        assert book.prune(TEN_DAYS) == Pruned(seen=1)
        clock.pass_by(0.000001)
        assert book.prune(Keep(None, None, None)) == Pruned()
        assert book.prune(TEN_DAYS) == Pruned(intervals=1)
        assert seconds(self.rows(book)) == [(60, 120, RunState.DEGRADED)]

    def test_a_rule_that_is_gone_is_forgotten_with_all_it_knew(self, book: AlertBook, clock: Clock) -> None:
        self.run(book, clock, interval(0, 60), state={"a": 1, "b": 2}, seen={"x": START_US})
        other = self.take(book, clock, "other")
        book.finish(other, Outcome(interval(0, 60, rule="other"), state={"a": 1}))
        clock.pass_by(400 * DAY_S)
        self.take(book, clock, "other", lease_s=0)
        gone = Pruned()
        while (step := book.prune(TEN_DAYS)) != Pruned():
            gone = gone.plus(step)
        assert gone == Pruned(intervals=2, seen=1, remembered=2, rules=1)
        assert not book.recall("rule")
        assert book.recall("other") == {"a": 1}
        lease = book.lease("rule", clock.us, clock.us, 60)
        assert lease is not None
        assert (lease.fence, lease.since_us) == (1, clock.us)
