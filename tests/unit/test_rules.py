"""What the kinds of rules find, and what their options mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mozdef_core import (
    AggregationOptions,
    AggregationRule,
    Alert,
    Event,
    EventRule,
    Exists,
    Field,
    Group,
    Match,
    Moment,
    Query,
    Rule,
    RuleOptions,
    SequenceOptions,
    SequenceRule,
    Severity,
    Step,
    Term,
    Window,
)
from mozdef_core.alert import Consumed
from mozdef_core.errors import QueryError, RuleError
from mozdef_core.event import isoformat
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.rules import aggregation, read_schedule
from mozdef_core.rules.grouped import joined
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US

SOURCE = "details.sourceipaddress"


class Slice(Window):
    """A span of events in memory, which remembers what it was asked."""

    def __init__(
        self,
        events: Iterable[Event],
        start: float = 0,
        end: float = 10_000,
        consumed: Mapping[str, Sequence[Consumed]] | None = None,
    ) -> None:
        super().__init__(START_US + int(start * SECOND), START_US + int(end * SECOND))
        self.events = sorted(events, key=Moment.of)
        self.spans = consumed or {}
        self.asked: set[timedelta] = set()
        self.searched: list[tuple[Query, timedelta]] = []

    def search(self, query: Query, *, before: timedelta = timedelta(0)) -> Iterator[Event]:
        self.searched.append((query, before))
        start_us = self.start_us - before // timedelta(microseconds=1)
        inside = [event for event in self.events if start_us <= event.detection_us < self.end_us]
        return filter(compile_query(query), inside)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def consumed(self, before: timedelta) -> Mapping[str, Sequence[Consumed]]:
        self.asked.add(before)
        return self.spans


def at(
    seconds: float, name: str = "", *, summary: str = "failed", hostname: str = "web1", **details: Any
) -> Event:
    us = START_US + round(seconds * SECOND)
    body = {
        "utctimestamp": isoformat(us),
        "receivedtimestamp": isoformat(us),
        "summary": summary,
        "hostname": hostname,
        "details": {"program": "sshd", "sourceipaddress": "192.0.2.1", **details},
    }
    return Event(name or f"{us}", body)


class BruteforceSsh(AggregationRule["BruteforceSsh.Options"]):
    """Many failed SSH logins from one address."""

    class Options(AggregationRule.Options):
        """Options."""

        threshold: int = Field(3, ge=1, description="failed logins from one address within the window")

    query = Term("details.program", "sshd") & Match("summary", "failed")
    by = SOURCE
    window = timedelta(minutes=2)
    severity, category, tags = Severity.WARNING, "bruteforce", ("ssh",)
    attack = ("T1110",)
    version = "7"

    def summary(self, group: Group) -> str:
        return f"{group.count} ssh bruteforce attempts by {group.key} {group.top('hostname')}"


class Plain(AggregationRule[AggregationOptions]):
    """An aggregation rule that says all by attributes of its class."""

    query = Match("summary", "failed")
    by: ClassVar[str | Sequence[str]] = SOURCE
    window = timedelta(seconds=10)
    threshold = 2
    samples = 1

    def summary(self, group: Group) -> str:
        return f"{group.count} by {group.key}"


def made(cls: type[Any], **options: Any) -> Any:
    return cls(cls.Options(**options))


def alerts(rule: Any, *events: Event, **window: Any) -> list[Alert]:
    return list(rule.alert_match(Slice(events, **window)) or ())


# The aggregation rule


def test_an_alert_says_what_the_group_was() -> None:
    events = [at(0), at(1, hostname="web2", username="joe"), at(2, hostname="web2", repeated=3)]
    (alert,) = alerts(made(BruteforceSsh), *events)
    assert alert.summary == "5 ssh bruteforce attempts by 192.0.2.1 web2 (4), web1 (1)"
    assert (alert.group, alert.count, alert.group_for) == ((SOURCE, "192.0.2.1"), 5, timedelta(minutes=2))
    assert (alert.first, alert.last) == (Moment.of(events[0]), Moment.of(events[2]))
    assert (alert.severity, alert.category, alert.tags) == (Severity.WARNING, "bruteforce", ("ssh",))
    assert (alert.attack, alert.rule_version, alert.extends) == (("T1110",), "7", "")
    assert alert.details == {"sourceipaddress": "192.0.2.1", "username": "joe"}
    assert alert.events == tuple(events)


def test_one_below_the_threshold_and_one_beyond_the_window_nearly_fire() -> None:
    assert alerts(made(BruteforceSsh), at(0), at(1)) == []
    assert alerts(made(BruteforceSsh), at(0), at(1), at(121)) == []
    assert alerts(made(BruteforceSsh), at(0), at(1), at(2, summary="accepted")) == []
    assert len(alerts(made(BruteforceSsh), at(0), at(1), at(120))) == 1


def test_the_class_says_what_an_option_that_is_not_set_would() -> None:
    rule = made(Plain)
    assert (rule.threshold, rule.window, rule.samples) == (2, timedelta(seconds=10), 1)
    assert (rule.schedule, rule.look_back, rule.extended_for) == ("60s", rule.window, rule.window)
    (alert,) = alerts(rule, at(0), at(1))
    assert (len(alert.events), alert.count) == (1, 2)


def test_an_option_that_is_set_holds_instead_of_what_the_class_says() -> None:
    rule = made(
        Plain, threshold=3, window="1m", samples=0, schedule="5m", group_for=0, severity="INFO", tags_add=["x"],
        url="https://wiki.example/", channel="ops", notify=False,
    )  # fmt: skip
    assert (rule.threshold, rule.window, rule.samples, rule.schedule) == (3, timedelta(minutes=1), 0, "5m")
    assert alerts(rule, at(0), at(1)) == []
    (alert,) = alerts(rule, at(0), at(30), at(60))
    assert (alert.samples, alert.group_for, alert.severity, alert.tags) == (
        0,
        timedelta(0),
        Severity.INFO,
        ("x",),
    )
    assert (alert.url, alert.channel, alert.notify) == ("https://wiki.example/", "ops", False)
    assert (Plain.threshold, Plain.window) == (2, timedelta(seconds=10))


@pytest.mark.parametrize(
    "option",
    [
        {"threshold": 0},
        {"window": 0},
        {"window": "-5s"},
        {"samples": 101},
        {"samples": -1},
        {"suppress_by": ["hostname"]},
        {"mode": "on"},
        {"schedule": "stream"},
        {"schedule": "often"},
        {"no_such_option": 5},
    ],
)
def test_an_option_without_a_meaning_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Plain.Options(**option)


def test_a_rule_without_a_window_says_so() -> None:
    class Endless(Plain):
        window = timedelta(0)

    with pytest.raises(RuleError, match=r"Endless\.window: expected a span of time"):
        alerts(made(Endless), at(0))


def test_a_field_that_makes_no_groups_is_refused() -> None:
    class Worded(Plain):
        by = "summary"

    with pytest.raises(QueryError, match="summary: a text makes no groups"):
        made(Worded)


def test_several_fields_group_by_each_combination() -> None:
    class Pairs(Plain):
        by: ClassVar[str | Sequence[str]] = (SOURCE, "hostname")

    events = [
        at(0),
        at(1, hostname="web2"),
        at(2, sourceipaddress=["192.0.2.1", "192.0.2.2"]),
        at(3, hostname="web2"),
    ]
    found = alerts(made(Pairs), *events)
    assert [alert.group for alert in found] == [
        (f"{SOURCE},hostname", "192.0.2.1 | web1"),
        (f"{SOURCE},hostname", "192.0.2.1 | web2"),
    ]


@given(
    st.lists(st.text(alphabet="ab|\\ "), min_size=2, max_size=2),
    st.lists(st.text(alphabet="ab|\\ "), min_size=2),
)
def test_joined_values_can_be_told_apart(one: list[str], other: list[str]) -> None:
    assert (joined(one) == joined(other[:2])) == (one == other[:2])


def test_a_rule_may_work_out_its_groups() -> None:
    class ByPerson(Plain):
        by = "details.email"

        def expand(self, event: Event) -> Iterable[str]:
            return (event.text("details.email") or event.text("details.actor", "unknown"),) * 2

    events = [at(0, email="i@x"), at(1, actor="cn=i"), at(2), at(3, email="i@x"), at(4, actor="cn=i"), at(5)]
    found = alerts(made(ByPerson), *events)
    assert {alert.group: alert.count for alert in found} == {
        ("details.email", "i@x"): 2,
        ("details.email", "cn=i"): 2,
        ("details.email", "unknown"): 2,
    }


def test_distinct_values_may_be_demanded_by_an_option() -> None:
    class Vertical(AggregationRule["Vertical.Options"]):
        class Options(AggregationRule.Options):
            user_count: int = Field(2, ge=1, description="users")

        query, by, window = Match("summary", "failed"), "details.program", timedelta(minutes=1)

        def distinct(self) -> Mapping[str, int]:
            return {"details.username": self.options.user_count}

        def summary(self, group: Group) -> str:
            return f"{group.distinct('details.username')} users: {group.listed('details.username', 2)}"

    events = [at(n, username=name) for n, name in enumerate(["ines", "ines", "joe", "kim"])]
    assert [alert.summary for alert in alerts(made(Vertical), *events[:3])] == ["2 users: ines, joe"]
    assert alerts(made(Vertical, user_count=4), *events) == []
    (alert,) = alerts(made(Vertical, user_count=3), *events)
    assert (alert.summary, alert.count) == ("3 users: ines, joe, \u2026", 4)


def test_events_may_be_left_out_by_what_no_query_can_say() -> None:
    class Odd(Plain):
        def matches(self, event: Event) -> bool:
            return bool(event.get("details.n", 0) % 2)

    assert alerts(made(Odd), at(0, n=1), at(1, n=2), at(2)) == []
    assert len(alerts(made(Odd), at(0, n=1), at(1, n=3))) == 1


def test_the_severity_may_depend_on_the_group_unless_the_option_says_it() -> None:
    class Expected(Plain):
        def severity_of(self, group: Group) -> Severity:
            return Severity.DEBUG if group.key == "192.0.2.1" else Severity.ERROR

    assert [alert.severity for alert in alerts(made(Expected), at(0), at(1))] == [Severity.DEBUG]
    assert [a.severity for a in alerts(made(Expected, severity="ALERT"), at(0), at(1))] == [Severity.ALERT]


def test_an_inactive_rule_finds_nothing_and_asks_nothing() -> None:
    class Idle(Plain):
        inactive = "a list is empty"

        def condition(self) -> Query:
            raise AssertionError("asked")

    window = Slice([at(0), at(1)])
    assert made(Idle).alert_match(window) is None
    assert window.searched == []


def test_events_before_the_window_take_part_and_those_without_a_group_are_counted_once() -> None:
    rule = made(Plain)
    window = Slice([at(0), at(5)], start=5, end=6)
    assert [alert.count for alert in rule.alert_match(window)] == [2]
    odd = [
        at(1, "a", sourceipaddress=None),
        at(5, "b", sourceipaddress={"v4": "x"}),
        at(5, "c", sourceipaddress=[]),
    ]
    window = Slice(odd, start=5, end=6)
    assert rule.alert_match(window) == []
    assert (window.ungrouped, window.ungrouped_sample) == (2, "b")


def test_a_finding_that_only_extends_an_alert_says_so() -> None:
    spans = {"192.0.2.1": [Consumed("a1", Moment.of(at(0)), Moment.of(at(1)))]}
    window = Slice([at(0), at(1), at(11)], consumed=spans)
    (alert,) = made(Plain).alert_match(window)
    assert window.asked == {
        timedelta(seconds=20)
    }  # the window, and as long as an alert before it is extended
    assert (alert.extends, alert.count, alert.first) == ("a1", 1, Moment.of(at(11)))


def test_the_sum_of_counts_stays_within_what_a_database_holds() -> None:
    (alert,) = alerts(made(Plain), at(0, repeated=10**30), at(1, repeated=1 << 62))
    assert alert.count == 1 << 62


# Preselection


def test_only_groups_that_can_be_findings_are_asked_for() -> None:
    events = [*(at(n, sourceipaddress=f"198.51.100.{n}") for n in range(9)), at(1, "x"), at(2, "y")]
    window = Slice(events)
    assert len(made(Plain).alert_match(window)) == 1
    query, before = window.searched[-1]
    assert [event.id for event in window.search(query, before=before)] == ["x", "y"]
    assert before == timedelta(seconds=10)


@pytest.mark.parametrize("repeated", [1, 2])
def test_all_groups_are_asked_for_where_a_message_was_repeated(repeated: int) -> None:
    window = Slice([at(0, repeated=repeated), at(1, sourceipaddress="198.51.100.1")])
    assert len(made(Plain).alert_match(window)) == repeated - 1


VALUES = st.sampled_from(
    [
        "192.0.2.1",
        "192.0.2.9",
        "192.0.2.0/24",
        "::1",
        "0:0::1",
        "::ffff:192.0.2.1",
        "host",
        "HOST",
        "5",
        5,
        5.0,
        5.5,
        "5.0",
        True,
        "true",
        False,
        "",
        None,
        {},
        {"a": 1},
        [],
        ["192.0.2.1", "::1"],
        ["host", {"a": "host"}],
        [[5], "5"],
        1e300,
    ]
)


@settings(max_examples=300)
@given(
    drawn=st.lists(st.tuples(st.integers(0, 30), VALUES, st.integers(0, 2), st.booleans()), max_size=30),
    by=st.sampled_from([SOURCE, "details.user"]),
    threshold=st.integers(2, 4),
    start=st.integers(0, 20),
    spans=st.lists(
        st.tuples(st.sampled_from(["192.0.2.1", "::1", "5", "host"]), st.integers(0, 30), st.booleans())
    ),
)
def test_a_preselected_walk_finds_what_a_full_one_finds(
    drawn: Any, by: str, threshold: int, start: int, spans: Any
) -> None:
    class Chosen(Plain):
        pass

    Chosen.by = by
    events = [
        at(
            s,
            f"{n:02d}",
            sourceipaddress=value,
            user=value,
            n=odd,
            **({"repeated": times} if times == 2 and odd else {}),
        )
        for n, (s, value, times, odd) in enumerate(drawn)
    ]
    consumed: dict[str, list[Consumed]] = {}
    for number, (value, second, closed) in enumerate(sorted(spans, key=lambda one: one[1])):
        us = START_US + second * SECOND
        one = Consumed(f"a{number}", Moment(us, ""), Moment(us + SECOND, ""), us if closed else None)
        consumed.setdefault(value, []).append(one)
    found = []
    for most in (aggregation.MOST_CANDIDATES, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aggregation, "MOST_CANDIDATES", most)
            window = Slice(events, start, 25, consumed)
            result = sorted(
                made(Chosen, threshold=threshold).alert_match(window), key=lambda a: (a.group, a.first)
            )
            found.append((result, window.ungrouped, window.ungrouped_sample))
    assert found[0] == found[1]


# The group


def test_a_group_counts_values_and_lists_them() -> None:
    events = [
        at(0, user="b"),
        at(1, user="a", repeated=3),
        at(2, user=["b", "c"]),
        at(3, user={"x": 1}),
        at(4),
    ]
    group = Group("f", "k", 7, events, events[:2])
    assert dict(group.counts("details.user")) == {"b": 2, "a": 3, "c": 1}
    assert list(group.values("details.user")) == ["b", "a", "c"]
    assert (group.top("details.user"), group.top("details.user", 2)) == (
        "a (3), b (2), c (1)",
        "a (3), b (2)",
    )
    assert group.listed("details.user") == group.listed("details.user", 3) == "a, b, c"
    assert group.listed("details.user", 2) == "a, b, \u2026"
    assert (group.distinct("details.user"), group.distinct("details.none")) == (3, 0)
    assert (group.top("details.none"), group.listed("details.none")) == ("unknown", "unknown")
    assert (group.first, group.last, len(group.samples)) == (events[0], events[4], 2)


# The sequence rule


class GuessedPassword(SequenceRule[SequenceOptions]):
    """Failed logins and then one that succeeds."""

    steps: ClassVar[Sequence[Step]] = (
        Step(Match("summary", "failed"), at_least=2),
        Step(Match("summary", "accepted")),
    )
    by = SOURCE
    window = timedelta(minutes=5)

    def summary(self, group: Group) -> str:
        return f"{group.key} got in after {group.count - 1} tries"


class InAnyOrder(GuessedPassword):
    ordered = False


def test_a_sequence_in_order_makes_one_alert_and_one_out_of_order_none() -> None:
    accepted = at(3, summary="accepted")
    (alert,) = alerts(made(GuessedPassword), at(0), at(1), accepted, at(1.5, summary="nothing"))
    assert (alert.summary, alert.last) == ("192.0.2.1 got in after 2 tries", Moment.of(accepted))
    assert alerts(made(GuessedPassword), at(4), at(5), accepted) == []
    assert len(alerts(made(InAnyOrder), at(4), at(5), accepted)) == 1
    assert alerts(made(GuessedPassword), at(0), at(1, sourceipaddress="::1"), accepted) == []


def test_a_sequence_goes_on_from_what_came_before_the_window() -> None:
    events = [at(0), at(1), at(300, summary="accepted")]
    assert len(alerts(made(GuessedPassword), *events, start=300, end=301)) == 1
    assert alerts(made(GuessedPassword, window="4m"), *events, start=300, end=301) == []


def test_a_sequence_needs_steps() -> None:
    class Empty(GuessedPassword):
        steps: ClassVar[Sequence[Step]] = ()

    with pytest.raises(ValueError, match=r"Empty\.steps: expected at least one step"):
        made(Empty)
    with pytest.raises(ValueError, match=r"Step\.at_least: expected 1 or more, got 0"):
        Step(Match("summary", "x"), 0)


# The event rule


class Opened(EventRule[RuleOptions]):
    query = Exists("details.opened")

    def summary(self, event: Event) -> str:
        return "opened"


def test_an_event_rule_finds_the_same_on_a_schedule() -> None:
    rule, scheduled = made(Opened), made(Opened, schedule="5m")
    assert (rule.schedule, scheduled.schedule, rule.look_back) == ("stream", "5m", timedelta(0))
    events = [at(0, opened=1), at(1), at(2, opened=1, repeated=4)]
    found = alerts(rule, *events)
    assert [(alert.first.us, alert.count) for alert in found] == [(START_US, 1), (START_US + 2 * SECOND, 4)]
    assert alerts(scheduled, *events) == found


# Schedules


class Looking(Rule[RuleOptions]):
    """A rule of no particular kind."""

    def alert_match(self, window: Window) -> Iterable[Alert] | None:
        return None


class Streaming(Looking):
    schedule = "stream"


STREAM_REFUSED = (
    "stream: only event rules can run on the stream; expected an interval such as 60s or five crontab fields"
)


def test_only_event_rules_run_on_the_stream() -> None:
    for option in ({}, {"schedule": "60s"}):
        assert made(Looking, **option).schedule == "60s"
    with pytest.raises(ValidationError) as refused:
        Plain.Options(schedule="stream")
    assert STREAM_REFUSED in str(refused.value)
    for cls, option in ((Looking, {"schedule": "stream"}), (Streaming, {})):
        with pytest.raises(ValueError, match=r"^stream: only event rules"):
            made(cls, **option)
    assert made(Streaming, schedule="5m").schedule == "5m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60s", timedelta(seconds=60)),
        ("5m", timedelta(minutes=5)),
        ("1.5h", timedelta(minutes=90)),
        (" Stream ", "stream"),
        ("* * * * *", "* * * * *"),
        ("*/5  0-6,20 1,15  JAN-mar mon", "*/5 0-6,20 1,15 jan-mar mon"),
        ("0 10-20/2 29 feb 0", "0 10-20/2 29 feb 0"),
        ("59 23 31 1-12 6", "59 23 31 1-12 6"),
    ],
)
def test_a_schedule_is_an_interval_a_crontab_or_the_stream(text: str, expected: object) -> None:
    assert read_schedule(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected an interval such as 60s or five crontab fields, got ''"),
        ("60", "expected an interval such as 60s or five crontab fields, got '60'"),
        ("0.5s", "expected an interval such as 60s or five crontab fields, of a second or more, got '0.5s'"),
        ("* * * *", "expected an interval such as 60s or five crontab fields, got '* * * *'"),
        ("60 * * * *", "minute: expected 0 to 59, got '60'"),
        ("* 24 * * *", "hour: expected 0 to 23, got '24'"),
        ("* * 0 * *", "day of the month: expected 1 to 31, got '0'"),
        ("* * * 13 *", "month: expected 1 to 12 or a name such as jan, got '13'"),
        ("* * * mon *", "month: expected 1 to 12 or a name such as jan, got 'mon'"),
        ("* * * * 7", "day of the week: expected 0 to 6 or a name such as sun, got '7'"),
        ("*/0 * * * *", "minute: expected a step of 1 or more behind '*' or a range, got '*/0'"),
        ("5/2 * * * *", "minute: expected a step of 1 or more behind '*' or a range, got '5/2'"),
        ("9-5 * * * *", "minute: expected a range that rises, got '9-5'"),
        ("1,,2 * * * *", "minute: expected '*', a number, 'a-b' or '*/n', got ''"),
        ("-1 * * * *", "minute: expected '*', a number, 'a-b' or '*/n', got '-1'"),
        ("* * 30 2 *", "'* * 30 2 *' never comes: no such month has such a day"),
        ("\u0661 * * * *", "minute: expected '*', a number, 'a-b' or '*/n', got '\u0661'"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_would_be_right(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_schedule(text)
    assert str(refused.value) == reason


def test_a_rule_says_what_it_needs() -> None:
    class Needy(Plain):
        needs: ClassVar[Sequence[str]] = ("sshd",)
        sources: ClassVar[Query | None] = Term("details.program", "sshd")

    assert made(Needy).needs == ("sshd",)
    assert (Plain.needs, Plain.sources) == ((), None)
