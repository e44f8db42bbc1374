"""The host: order, checks at start, and that nothing a plugin does gets out of its call."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from mozdef_core.alert import Alert, AlertChange, Moment, Occasion
from mozdef_core.errors import ConfigError, DeliveryError, StoreUnavailableError
from mozdef_core.event import Change, Drop, Event, Refuse, Split, State
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin, check_plugins
from mozdef_core.inflight import InFlight, running_calls
from mozdef_core.markers import hookimpl
from mozdef_core.window import Window

EVENT = Event("0" * 26, {"summary": "x"})
ALERT = Alert("r", "s", Moment(1, "a"), Moment(1, "a"), id="alert1")


class Clock:
    """Nanoseconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


class EmptyWindow(Window):
    def search(self, query):
        return iter(())

    def __iter__(self):
        return iter(())


class Mapper:
    """Returns what it is given, or raises it."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer

    @hookimpl
    def on_event(self, event):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


class Everything:
    def __init__(self, answer: object = None) -> None:
        self.answer = answer

    @hookimpl
    def enrich(self, event):
        return self.answer

    @hookimpl
    def alert_match(self, window):
        return self.answer

    @hookimpl
    def alert_action(self, alert, occasion):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def one(instance: object, health: Health | None = None, name: str = "p") -> tuple[Host, Plugin]:
    plugin = Plugin(name, instance)
    return Host([plugin], health or Health()), plugin


def mapped(answer: object, health: Health | None = None):
    host, plugin = one(Mapper(answer), health)
    return host.call(plugin, "on_event", event=EVENT)


def names(host: Host, hook: str) -> list[str]:
    return [plugin.name for plugin in host.table(hook).plugins]


def test_plugins_are_called_by_order_and_then_as_listed():
    listed = [("d", 20), ("b", 5), ("a", 10), ("c", 5), ("e", 10)]
    host = Host([Plugin(name, Mapper(), order=order) for name, order in listed], Health())
    assert names(host, "on_event") == ["b", "c", "a", "e", "d"]


def test_the_order_is_also_that_of_pluggy_itself():
    called = []

    class Noting:
        def __init__(self, name):
            self.name = name

        @hookimpl
        def on_event(self, event):
            called.append(self.name)

    from mozdef_core.host import _register

    manager, problems = _register([Plugin(name, Noting(name)) for name in "abc"])
    manager.hook.on_event(event=EVENT)
    assert (called, problems) == (["a", "b", "c"], [])


def test_alert_actions_that_enrich_come_first_in_the_operators_order():
    listed = [
        ("mail", "action", 1),
        ("whois", "enrich", 99),
        ("ticket", "action", 0),
        ("asset", "enrich", 50),
    ]
    host = Host([Plugin(n, Everything(), order=order, stage=stage) for n, stage, order in listed], Health())
    assert names(host, "alert_action") == ["whois", "asset", "mail", "ticket"]


def test_a_plugin_stands_only_in_the_tables_of_its_hooks():
    host = Host([Plugin("m", Mapper()), Plugin("e", Everything())], Health())
    assert names(host, "on_event") == ["m"]
    assert names(host, "enrich") == ["e"]
    assert names(host, "alert_match") == ["e"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Change({"details.a": 1}),
        Split((Change(),)),
        Refuse("code", "why"),
        Drop("noise"),
        State("c", "id"),
    ],
)
def test_what_on_event_may_return_is_handed_on(answer):
    outcome = mapped(answer)
    assert outcome.problem is None
    assert outcome.value == answer


@pytest.mark.parametrize(
    "answer",
    [
        3,
        "text",
        {"details.a": 1},
        True,
        (),
        Change(set=None),
        Change(set=[("a", 1)]),
        Change(remove="details"),
        Change(remove=None),
        Split(None),
        Split([{"a": 1}]),
        [Change()],
        AlertChange(),
    ],
)
def test_any_other_answer_of_on_event_is_a_plugin_error(answer):
    outcome = mapped(answer)
    assert outcome.value is None
    assert outcome.problem is not None
    assert outcome.problem[0] == "plugin-error"


def test_a_wrong_answer_is_named_with_what_was_expected():
    assert mapped(3).problem == (
        "plugin-error",
        "TypeError: returned a value of type int, expected Change, Split, Refuse, Drop, State or None",
    )


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError("not even its text can be had")


def endless():
    return endless()


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("x"),
        SystemExit(3),
        MemoryError(),
        GeneratorExit(),
        UnspeakableError(),
        BaseException("b"),
        StopIteration(),
    ],
    ids=lambda raised: type(raised).__name__,
)
def test_whatever_a_plugin_raises_is_contained(raised):
    outcome = mapped(raised)
    assert outcome.value is None
    assert outcome.problem is not None
    assert outcome.problem[0] == "plugin-error"
    assert outcome.problem[1].startswith(type(raised).__name__)
    assert outcome.error is raised


def test_endless_recursion_is_contained():
    assert mapped(endless).problem[1].startswith("RecursionError")


def test_only_the_keyboard_gets_through():
    with pytest.raises(KeyboardInterrupt):
        mapped(KeyboardInterrupt())


def test_a_mapping_of_the_plugins_own_is_emptied_inside_the_call():
    class Bomb(Mapping):
        def __getitem__(self, key):
            raise RuntimeError("late")

        def __iter__(self):
            return iter(["a"])

        def __len__(self):
            return 1

    assert mapped(Change(Bomb())).problem == ("plugin-error", "RuntimeError: late")
    value = mapped(Change({"a": 1}, (name for name in ["b"]), again=True)).value
    assert value == Change({"a": 1}, ("b",), again=True)


def test_alerts_of_a_generator_are_taken_inside_the_call():
    def alerts():
        yield ALERT
        raise ValueError("half way")

    host, plugin = one(Everything(alerts()))
    outcome = host.call(plugin, "alert_match", window=EmptyWindow(0, 1))
    assert outcome.value is None
    assert outcome.problem == ("plugin-error", "ValueError: half way")
    host, plugin = one(Everything(iter([ALERT])))
    assert host.call(plugin, "alert_match", window=EmptyWindow(0, 1)).value == [ALERT]


@pytest.mark.parametrize("answer", [[1], 5, "text", [ALERT, None]])
def test_anything_but_alerts_from_alert_match_is_a_plugin_error(answer):
    host, plugin = one(Everything(answer))
    assert host.call(plugin, "alert_match", window=EmptyWindow(0, 1)).problem[0] == "plugin-error"


def test_alerts_without_end_are_a_plugin_error():
    host, plugin = one(Everything(iter(lambda: ALERT, None)))
    outcome = host.call(plugin, "alert_match", window=EmptyWindow(0, 1))
    assert outcome.problem == ("plugin-error", "ValueError: yielded more than 100000 alerts in one call")


def test_answers_of_enrich_and_alert_action_are_checked():
    for answer, hook, arguments in [
        (Drop("x"), "enrich", {"event": EVENT}),
        (Change(), "alert_action", {"alert": ALERT, "occasion": Occasion.RAISED}),
    ]:
        host, plugin = one(Everything(answer))
        assert host.call(plugin, hook, **arguments).problem[0] == "plugin-error"
    host, plugin = one(Everything(AlertChange({"a": 1})))
    assert host.call(plugin, "alert_action", alert=ALERT, occasion=Occasion.RAISED).value == AlertChange(
        {"a": 1}
    )


def test_a_slow_answer_is_discarded():
    clock = Clock()

    def slowly():
        clock.pass_s(0.2)
        return Change({"a": 1})

    health = Health(clock=clock)
    outcome = mapped(slowly, health)
    assert outcome.value is None
    assert outcome.problem == ("plugin-timeout", "on_event took 200 ms, the limit is 100 ms")
    assert health.snapshot()["p"]["slow"] == 2


def test_a_call_that_was_slow_for_once_is_made_again_and_its_answer_counts():
    clock = Clock()
    delays_s = [0.2, 0.001]

    def slow_for_once():
        clock.pass_s(delays_s.pop(0))
        return Change({"a": 1})

    health = Health(clock=clock)
    outcome = mapped(slow_for_once, health)
    assert outcome.value == Change({"a": 1})
    assert outcome.problem is None
    shown = health.snapshot()["p"]
    assert (shown["slow"], shown["calls"], shown["errors"]) == (1, 2, 0)


def test_a_plugin_that_stays_slow_is_called_twice_for_its_first_event_only():
    clock, calls = Clock(), []

    class Slow:
        @hookimpl
        def on_event(self, event):
            calls.append(event.id)
            clock.pass_s(0.2)

    host, plugin = one(Slow(), Health(clock=clock))
    for _ in range(3):
        assert host.call(plugin, "on_event", event=EVENT).problem[0] == "plugin-timeout"
    assert len(calls) == 4


def test_an_action_that_was_slow_is_not_done_twice():
    clock, calls = Clock(), []

    class Slow:
        @hookimpl
        def alert_action(self, alert, occasion):
            calls.append(occasion)
            clock.pass_s(60)

    host, plugin = one(Slow(), Health(clock=clock))
    assert host.call(plugin, "alert_action", alert=ALERT, occasion=Occasion.RAISED).problem is not None
    assert len(calls) == 1


def test_each_hook_has_its_own_limit():
    clock = Clock()
    health = Health(
        Limits(calls={"on_event": 1.0, "enrich": 1, "alert_match": 1, "alert_action": 1}), clock=clock
    )

    def slowly():
        clock.pass_s(0.9)

    assert mapped(slowly, health).problem is None


def test_an_implementation_may_take_fewer_arguments():
    class Brief:
        @hookimpl
        def alert_action(self, alert):
            return AlertChange({"seen": alert.id})

    host, plugin = one(Brief())
    outcome = host.call(plugin, "alert_action", alert=ALERT, occasion=Occasion.RAISED)
    assert outcome.value == AlertChange({"seen": "alert1"})


def test_a_failed_delivery_is_no_fault_of_the_plugin():
    health = Health(Limits(failures=2))
    error = DeliveryError("busy", retry_after_s=9)
    host, plugin = one(Everything(error), health)
    for _ in range(5):
        outcome = host.call(plugin, "alert_action", alert=ALERT, occasion=Occasion.RAISED)
    assert outcome.problem == ("delivery-failed", "DeliveryError: busy")
    assert outcome.error is error
    assert not host.suspended(plugin)
    assert (health.snapshot()["p"]["errors"], health.snapshot()["p"]["undelivered"]) == (0, 5)


def test_a_store_that_is_away_is_no_fault_of_the_rule():
    outcome = mapped(StoreUnavailableError("down"))
    assert outcome.problem == ("unavailable", "StoreUnavailableError: down")
    assert isinstance(outcome.error, StoreUnavailableError)


def test_an_error_is_logged_once_with_its_traceback_and_then_counted(caplog):
    health = Health()
    host, plugin = one(Mapper(lambda: 1 // 0), health)
    with caplog.at_level(logging.WARNING, "mozdef_core.host"):
        for _ in range(4):
            host.call(plugin, "on_event", event=EVENT)
    (logged,) = [record for record in caplog.records if record.name == "mozdef_core.host"]
    assert logged.exc_info is not None
    assert "ZeroDivisionError" in caplog.text
    (trouble,) = health.snapshot()["p"]["troubles"]
    assert trouble["count"] == 4
    assert trouble["text"].startswith("on_event: ZeroDivisionError")


def test_different_errors_are_logged_each(caplog):
    answers = iter([ValueError("a"), TypeError("b"), ValueError("c")])
    host, plugin = one(Mapper(lambda: (_ for _ in ()).throw(next(answers))))
    with caplog.at_level(logging.WARNING, "mozdef_core.host"):
        for _ in range(3):
            host.call(plugin, "on_event", event=EVENT)
    assert len([record for record in caplog.records if record.name == "mozdef_core.host"]) == 2


def test_a_suspended_plugin_is_not_called_and_its_caller_can_see_that():
    health = Health(Limits(failures=2), clock=Clock())
    host, plugin = one(Mapper(ValueError("x")), health)
    for _ in range(2):
        host.call(plugin, "on_event", event=EVENT)
    assert host.suspended(plugin)
    outcome = host.call(plugin, "on_event", event=EVENT)
    assert outcome.problem[0] == "plugin-suspended"
    assert health.snapshot()["p"]["calls"] == 2


def test_a_suspended_plugin_is_tried_with_one_call_and_comes_back():
    clock = Clock()
    mapper = Mapper(ValueError("x"))
    health = Health(Limits(failures=2, suspend_s=30), clock=clock)
    host, plugin = one(mapper, health)
    for _ in range(2):
        host.call(plugin, "on_event", event=EVENT)
    clock.pass_s(31)
    assert not host.suspended(plugin)
    assert host.call(plugin, "on_event", event=EVENT).problem[0] == "plugin-error"
    assert host.suspended(plugin)
    clock.pass_s(31)
    assert host.suspended(plugin), "the second suspension is twice as long"
    clock.pass_s(30)
    mapper.answer = None
    assert host.call(plugin, "on_event", event=EVENT).problem is None
    assert not host.suspended(plugin)
    assert health.snapshot()["p"]["suspended"] is False


def test_a_success_between_failures_or_a_failed_delivery_begins_the_count_anew():
    health = Health(Limits(failures=2), clock=Clock())
    everything = Everything()
    host, plugin = one(everything, health)
    for answer in (ValueError("x"), None, ValueError("x"), DeliveryError("busy"), ValueError("x")):
        everything.answer = answer
        host.call(plugin, "alert_action", alert=ALERT, occasion=Occasion.RAISED)
    assert not host.suspended(plugin)
    host.call(plugin, "alert_action", alert=ALERT, occasion=Occasion.RAISED)
    assert host.suspended(plugin)


def test_calls_that_take_too_much_of_the_time_suspend_the_plugin():
    clock = Clock()
    health = Health(clock=clock)
    host, plugin = one(Mapper(lambda: clock.pass_s(0.09)), health)
    while clock.now < 60e9:
        assert host.call(plugin, "on_event", event=EVENT).problem is None
        clock.pass_s(0.001)
    host.call(plugin, "on_event", event=EVENT)
    assert host.suspended(plugin)
    assert "its calls took 90.0 ms on average and 99 % of the time" in health.snapshot()["p"]["reason"]


def test_the_budget_is_not_for_rules_and_actions():
    clock = Clock()
    health = Health(Limits(budget_window_s=1), clock=clock)

    class Slow:
        @hookimpl
        def alert_match(self, window):
            clock.pass_s(5)

    host, plugin = one(Slow(), health)
    for _ in range(5):
        host.call(plugin, "alert_match", window=EmptyWindow(0, 1))
    assert not host.suspended(plugin)


def test_while_a_trial_call_runs_others_are_refused():
    clock = Clock()
    health = Health(Limits(failures=1), clock=clock)
    inner = []

    def nested():
        inner.append(host.call(plugin, "on_event", event=EVENT).problem)

    mapper = Mapper(ValueError("x"))
    host, plugin = one(mapper, health)
    host.call(plugin, "on_event", event=EVENT)
    clock.pass_s(31)
    mapper.answer = nested
    assert host.call(plugin, "on_event", event=EVENT).problem is None
    assert inner[0][0] == "plugin-suspended"


def test_a_call_in_flight_can_be_read_from_outside(tmp_path):
    path = tmp_path / "run" / "worker"
    health = Health(in_flight=InFlight(path))
    seen = []

    def look():
        seen.extend(running_calls(path))

    host, plugin = one(Mapper(look), health, name="geoip")
    host.call(plugin, "on_event", event=EVENT)
    (call,) = seen
    assert (call.plugin, call.hook, call.key) == ("geoip", "on_event", EVENT.id)
    assert 0 <= call.seconds < 5
    assert running_calls(path) == []


def test_a_call_that_raised_is_no_longer_in_flight(tmp_path):
    path = tmp_path / "worker"
    mapped(SystemExit(1), Health(in_flight=InFlight(path)))
    assert running_calls(path) == []


def test_alerts_and_windows_are_named_in_flight(tmp_path):
    path = tmp_path / "worker"
    seen = []

    class Looking:
        @hookimpl
        def alert_match(self, window):
            seen.extend(running_calls(path))

        @hookimpl
        def alert_action(self, alert, occasion):
            seen.extend(running_calls(path))

    host, plugin = one(Looking(), Health(in_flight=InFlight(path)))
    host.call(plugin, "alert_match", window=EmptyWindow(5, 9))
    host.call(plugin, "alert_action", alert=ALERT, occasion=Occasion.RAISED)
    assert [(call.hook, call.key) for call in seen] == [("alert_match", "5-9"), ("alert_action", "alert1")]


def test_everything_wrong_with_the_hooks_is_reported_at_once():
    class Unknown:
        @hookimpl
        def on_evnet(self, event): ...

    class Arguments:
        @hookimpl
        def enrich(self, event, database): ...

    class Wrapper:
        @hookimpl(wrapper=True)
        def on_event(self, event):
            return (yield)

    class OldWrapper:
        @hookimpl(hookwrapper=True)
        def enrich(self, event):
            yield

    class First:
        @hookimpl(tryfirst=True)
        def on_event(self, event): ...

    class Unmarked:
        def enrich(self, event): ...

    class Nothing: ...

    class Wrong:
        @hookimpl
        def on_event(self, event): ...

    plugins = [
        Plugin("unknown", Unknown()),
        Plugin("arguments", Arguments()),
        Plugin("wrapper", Wrapper()),
        Plugin("oldwrapper", OldWrapper()),
        Plugin("first", First()),
        Plugin("unmarked", Unmarked()),
        Plugin("nothing", Nothing()),
        Plugin("twice", Mapper()),
        Plugin("twice", Mapper()),
        Plugin("wrong", Wrong(), order="3", stage="late", applies_to={"category": "bro"}),
        Plugin("worse", Wrong(), order=2, applies_to=["category"]),
    ]
    with pytest.raises(ConfigError) as caught:
        Host([plugin for plugin in plugins if plugin.name != "wrong"], Health())
    text = "\n".join(caught.value.problems)
    assert "unknown: unknown hook 'on_evnet'; did you mean 'on_event'?" in text
    assert "arguments: enrich asks for 'database', which this hook does not have; it has event" in text
    assert "wrapper: on_event is a hook wrapper; plugins return changes and wrap nothing" in text
    assert "oldwrapper: enrich is a hook wrapper" in text
    assert "first: on_event asks for tryfirst or trylast" in text
    assert "unmarked: enrich is not marked as a hook; put @hookimpl above it" in text
    assert "nothing: has no hook" in text
    assert "twice: two plugins or rules have this name" in text
    assert "worse: the attribute 'applies_to' is ['category']" in text
    assert len(caught.value.problems) == 9
    problems = check_plugins([plugins[9]])
    assert problems[0] == "wrong: the attribute 'order' is '3', expected a whole number"
    assert problems[1] == "wrong: the attribute 'stage' is 'late', expected 'action' or 'enrich'"
    assert problems[2].startswith("wrong: the attribute 'applies_to' has 'category': 'bro'")


def test_an_optional_hook_of_a_later_version_is_let_in():
    class Later:
        @hookimpl(optionalhook=True)
        def on_alarm_bell(self, bell): ...

        @hookimpl
        def on_event(self, event): ...

    assert check_plugins([Plugin("later", Later())]) == []


def test_a_plugin_that_cannot_even_be_compared_is_a_problem():
    class Broken(Mapper):
        def __eq__(self, other):
            raise RuntimeError("not yet")

        __hash__ = object.__hash__

    problems = check_plugins([Plugin("a", Mapper()), Plugin("broken", Broken())])
    assert "broken: cannot be registered: RuntimeError: not yet" in problems


def test_one_object_under_two_names_is_a_problem():
    same = Mapper()
    problems = check_plugins([Plugin("a", same), Plugin("b", same)])
    assert problems == ["a: the same object is registered under two names"]


def test_recognisers_come_in_call_order():
    class Native(Mapper):
        def __init__(self, *recognisers):
            super().__init__()
            self.recognisers = recognisers

    host = Host([Plugin("late", Native(3), order=20), Plugin("early", Native(1, 2), order=5)], Health())
    assert host.recognisers == [1, 2, 3]


def test_closing_closes_all_even_if_one_fails():
    closed = []

    class Closing(Mapper):
        def close(self):
            closed.append(self.answer)
            if self.answer == "bad":
                raise SystemExit(1)

    Host([Plugin(name, Closing(name)) for name in ("good", "bad", "last")], Health()).close()
    assert closed == ["last", "bad", "good"]
