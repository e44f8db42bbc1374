"""The pipeline: where each item ends, what plugins may change, and that none of them can lose or spoil an event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import InvalidItemError
from mozdef_core.event import Change, Drop, Event, Problem, Refuse, Split, State
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.markers import hookimpl
from mozdef_core.normalise import EntranceSettings, Normaliser, parse_json
from mozdef_core.pipeline import Pipeline, Processed
from mozdef_core.ports import RAW_LIMIT_BYTES, Item
from mozdef_core.testing_contracts.trial import make_item

MISSING = {"code": "timestamp-missing", "field": "timestamp"}

Answer = object | Callable[[Event], object]


def _give(answer: Answer, event: Event) -> Any:
    found = answer(event) if callable(answer) else answer
    if isinstance(found, BaseException):
        raise found
    return found


class Mapper:
    """Answers with, or raises, what it was made of; keeps the events it was given."""

    def __init__(self, answer: Answer = None) -> None:
        self.answer = answer
        self.seen: list[Event] = []

    @hookimpl
    def on_event(self, event: Event) -> Any:
        self.seen.append(event)
        return _give(self.answer, event)


class Enricher:
    """The same for ``enrich``."""

    def __init__(self, answer: Answer = None) -> None:
        self.answer = answer
        self.seen: list[Event] = []

    @hookimpl
    def enrich(self, event: Event) -> Any:
        self.seen.append(event)
        return _give(self.answer, event)


class Line:
    """A pipeline over some plugins, called ``p0``, ``p1``, ... unless they have a name."""

    def __init__(
        self,
        *plugins: Any,
        decoders: dict[str, Any] | None = None,
        settings: dict[str, EntranceSettings] | None = None,
        failures: int = 10**9,
    ) -> None:
        named = [
            plugin if isinstance(plugin, Plugin) else Plugin(f"p{number}", plugin)
            for number, plugin in enumerate(plugins)
        ]
        self.health = Health(Limits(failures=failures))
        self.host = Host(named, self.health)
        normaliser = Normaliser("node.example", 7, ())
        self.pipeline = Pipeline(self.host, normaliser, decoders or {"json": parse_json}, settings or {})

    def run(self, *items: Item) -> Processed:
        return self.pipeline.process(items or [make_item("hello")])

    def event(self, item: Item | None = None) -> Event:
        done = self.run(*([item] if item else []))
        (event,) = done.events
        assert not done.dead_letters
        assert not done.states
        assert not done.dropped
        return event


def book(event: Event) -> dict[str, Any]:
    return event.body["mozdef"]  # type: ignore[no-any-return]


def set_(name: str, value: Any, *, again: bool = False) -> Change:
    return Change({name: value}, again=again)


def raw_item(raw: bytes, **fields: Any) -> Item:
    return replace(make_item(), raw=raw, **fields)


# Decoding


def test_an_item_that_the_entrance_refused_is_a_dead_letter_and_is_not_decoded() -> None:
    def explode(_raw: bytes) -> object:
        raise AssertionError("decoded")

    item = replace(make_item("x"), refusal=("too-large", "the item has 2 MiB"))
    (letter,) = Line(decoders={"json": explode}).run(item).dead_letters
    assert (letter.stage, letter.code, letter.reason) == ("parse", "too-large", "the item has 2 MiB")
    assert (letter.id, letter.raw, letter.origin) == (item.id, item.raw, item.origin)


def test_without_its_decoder_an_item_waits_as_a_dead_letter() -> None:
    item = make_item("x")
    item = replace(item, origin=replace(item.origin, decoder="netflow"))
    (letter,) = Line().run(item).dead_letters
    assert (letter.stage, letter.code) == ("parse", "no-decoder")
    assert letter.reason == "no enabled input reads 'netflow'; enable it and replay this letter"


def test_a_decoder_that_refuses_gives_its_code_and_reason() -> None:
    def refuse(_raw: bytes) -> object:
        raise InvalidItemError("bad-version", "version 9 is not known")

    (letter,) = Line(decoders={"json": refuse}).run().dead_letters
    assert (letter.stage, letter.code, letter.reason) == ("parse", "bad-version", "version 9 is not known")


@pytest.mark.parametrize("error", [KeyError("version"), SystemExit(3), RecursionError("too deep")])
def test_a_decoder_that_breaks_costs_one_item_and_says_so(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def decode(raw: bytes) -> object:
        if b"bad" in raw:
            raise error
        return parse_json(raw)

    done = Line(decoders={"json": decode}).run(make_item("bad"), make_item("good"))
    assert [event.body["summary"] for event in done.events] == ["good"]
    (letter,) = done.dead_letters
    assert (letter.stage, letter.code) == ("parse", "decoder-error")
    assert letter.reason == f"the decoder json failed: {type(error).__name__}: {error}"
    assert "the decoder json failed; the item is a dead letter" in caplog.text


@pytest.mark.parametrize("raw", [b"[]", b'"text"', b"5", b"null", b"true"])
def test_what_is_no_object_is_a_dead_letter(raw: bytes) -> None:
    (letter,) = Line().run(raw_item(raw)).dead_letters
    assert (letter.stage, letter.code) == ("parse", "not-an-object")


def test_what_is_no_json_is_a_dead_letter_with_the_bytes_as_received() -> None:
    (letter,) = Line().run(raw_item(b'{"summary": \xff', sender_id="7", fields={"details.a": 1})).dead_letters
    assert (letter.stage, letter.code) == ("parse", "invalid-json")
    assert (letter.raw, letter.sender_id, letter.fields) == (b'{"summary": \xff', "7", {"details.a": 1})


def test_a_dead_letter_keeps_a_mebibyte_and_how_much_there_was() -> None:
    (letter,) = Line().run(raw_item(b"x" * (RAW_LIMIT_BYTES + 1))).dead_letters
    assert letter.raw == b"x" * RAW_LIMIT_BYTES
    assert letter.received_bytes == RAW_LIMIT_BYTES + 1


def test_an_item_of_which_the_entrance_kept_only_the_beginning_counts_as_cut() -> None:
    for code, received_bytes in (("too-large", 2), ("not-an-object", None)):
        (letter,) = Line().run(replace(raw_item(b"[1"), refusal=(code, "a reason"))).dead_letters
        assert (letter.code, letter.received_bytes) == (code, received_bytes)


def test_each_entrance_has_its_settings_and_the_others_the_defaults() -> None:
    line = Line(settings={"branch": EntranceSettings(tags=["branch"])})
    assert line.event(make_item("x", entrance="branch")).body["tags"] == ["branch"]
    assert line.event(make_item("x", entrance="other")).body["tags"] == []


# on_event


def test_plugins_run_in_order_and_each_sees_what_those_before_it_did() -> None:
    first, second = Mapper(set_("details.a", 1)), Mapper(lambda e: set_("details.b", e.get("details.a") + 1))
    third = Enricher(lambda e: set_("details.c", e.get("details.b") + 1))
    line = Line(third, Plugin("late", second, order=20), Plugin("early", first, order=5))
    event = line.event()
    assert event.body["details"] == {"a": 1, "b": 2, "c": 3}
    assert book(event)["plugins"] == ["early", "late", "p0"]


def test_an_enricher_runs_after_every_mapper_and_later_ones_win() -> None:
    line = Line(
        Plugin("one", Enricher(set_("details.x", "one")), order=1),
        Plugin("two", Enricher(set_("details.x", "two")), order=2),
        Plugin("map", Mapper(set_("details.x", "map")), order=99),
    )
    event = line.event()
    assert event.get("details.x") == "two"
    assert book(event)["plugins"] == ["map", "one", "two"]


def test_a_plugin_that_says_nothing_is_not_named() -> None:
    event = Line(Mapper(), Enricher()).event()
    assert (book(event)["plugins"], book(event)["problems"]) == ([], [MISSING])


def test_a_plugin_is_asked_only_about_what_it_applies_to() -> None:
    other = Plugin("other", Mapper(), applies_to={"category": {"bro"}})
    mine = Plugin("mine", Mapper(set_("category", "bro")), applies_to={"category": {"x"}})
    line = Line(other, mine)
    line.run(make_item("a"), make_item("b", category="X"))
    assert [event.body["summary"] for event in mine.instance.seen] == ["b"]
    assert other.instance.seen == []  # it comes before the one that makes it a bro event


def test_asking_again_runs_those_before_once_more_and_itself_not() -> None:
    before, after = Mapper(), Mapper()
    asking = Mapper(lambda e: Change({"details.n": e.get("details.n", 0) + 1}, again=True))
    event = Line(before, asking, after).event()
    assert [e.get("details.n") for e in before.seen] == [None, 1]
    assert [e.get("details.n") for e in asking.seen] == [None]
    assert [e.get("details.n") for e in after.seen] == [1]
    assert event.get("details.n") == 1


def test_only_one_re_run_is_made_however_many_ask() -> None:
    before = Mapper()
    first = Mapper(lambda _e: set_("details.a", 1, again=True))
    second = Mapper(lambda _e: set_("details.b", 1, again=True))
    event = Line(before, first, second).event()
    assert (len(before.seen), len(first.seen), len(second.seen)) == (2, 1, 1)
    assert book(event)["plugins"] == ["p1", "p2"]


def test_a_change_that_was_refused_asks_for_nothing() -> None:
    before = Mapper()
    Line(before, Mapper(set_("receivedtimestamp", "x", again=True))).event()
    assert len(before.seen) == 1


def test_the_re_run_is_signed_once() -> None:
    event = Line(Mapper(set_("details.a", 1)), Mapper(set_("details.b", 1, again=True))).event()
    assert book(event)["plugins"] == ["p0", "p1"]


def test_a_split_makes_children_with_ordinals_that_the_later_plugins_see() -> None:
    before, after = Mapper(set_("details.all", True)), Mapper()
    split = Mapper(Split([set_("details.part", "a"), set_("details.part", "b")]))
    item = make_item("x")
    done = Line(before, split, after, Enricher(set_("details.rich", 1))).run(item)
    assert [event.id for event in done.events] == [f"{item.id}-1", f"{item.id}-2"]
    assert [event.body["details"] for event in done.events] == [
        {"all": True, "part": "a", "rich": 1},
        {"all": True, "part": "b", "rich": 1},
    ]
    assert [event.get("details.part") for event in after.seen] == ["a", "b"]
    assert len(split.answer.changes) == 2  # type: ignore[attr-defined]
    assert all(book(event)["plugins"] == ["p0", "p1", "p3"] for event in done.events)


def test_children_do_not_share_what_is_done_to_one_of_them() -> None:
    def only_b(event: Event) -> object:
        if event.get("details.part") == "b":
            raise ValueError("b is odd")
        return set_("hostname", "a.example")

    split = Mapper(Split([set_("details.part", "a"), set_("details.part", "b")]))
    a, b = Line(split, Mapper(only_b)).run().events
    assert (book(a)["plugins"], book(b)["plugins"]) == (["p0", "p1"], ["p0"])
    assert "hostname" not in book(a)["defaulted"]
    assert "hostname" in book(b)["defaulted"]
    assert [note["code"] for note in book(b)["problems"]] == ["timestamp-missing", "plugin-error"]


def test_a_child_whose_change_cannot_be_applied_goes_on_as_its_parent_was() -> None:
    one, two = Line(Mapper(Split([set_("severity", "loud"), set_("details.ok", 1)]))).run().events
    assert one.body["severity"] == "INFO"
    assert book(one)["problems"][-1]["code"] == "plugin-error"
    assert two.get("details.ok") == 1
    assert [note["code"] for note in book(two)["problems"]] == ["timestamp-missing"]


def test_children_may_be_refused_dropped_and_kept_each_on_its_own() -> None:
    split = Mapper(Split([set_("details.n", number) for number in (1, 2, 3)]))
    fate = Mapper(lambda e: {1: Refuse("odd", "first"), 2: Drop("second"), 3: None}[e.get("details.n")])
    item = make_item("x")
    done = Line(split, fate).run(item)
    assert [letter.id for letter in done.dead_letters] == [f"{item.id}-1"]
    assert [event.id for event in done.events] == [f"{item.id}-3"]
    assert done.dropped == 1


def test_a_refused_event_is_a_dead_letter_of_the_plugin_and_goes_no_further() -> None:
    after, item = Mapper(), make_item("x")
    done = Line(Mapper(Refuse("bad-signature", "the signature is wrong")), after, Enricher()).run(item)
    (letter,) = done.dead_letters
    assert (letter.id, letter.stage, letter.plugin) == (item.id, "map", "p0")
    assert (letter.code, letter.reason, letter.raw) == ("bad-signature", "the signature is wrong", item.raw)
    assert (done.events, done.dropped, after.seen) == ([], 0, [])


def test_a_dropped_event_is_counted_by_plugin_and_reason_and_goes_no_further() -> None:
    after = Mapper()
    line = Line(Mapper(Drop("noise")), after)
    done = line.run(make_item("a"), make_item("b"))
    assert (done.dropped, done.events, done.dead_letters, after.seen) == (2, [], [], [])
    assert line.health.snapshot()["p0"]["drops"] == {"noise": 2}


def test_a_state_document_leaves_the_events_with_what_was_signed_so_far() -> None:
    after = Mapper()
    line = Line(Mapper(set_("details.a", 1)), Mapper(State("assets", "host-7")), after)
    done = line.run(make_item("x", utctimestamp="2026-01-01T00:00:00Z"))
    (state,) = done.states
    assert (state.collection, state.id, state.time_us) == ("assets", "host-7", 1_767_225_600_000_000)
    assert state.document["details"] == {"a": 1}
    assert state.document["mozdef"]["plugins"] == ["p0"]
    assert (done.events, after.seen) == ([], [])


def test_a_state_document_that_is_kept_is_an_event_as_well() -> None:
    done = Line(Mapper(State("assets", "7", keep_event=True)), Mapper(set_("details.b", 2))).run()
    (state,), (event,) = done.states, done.events
    assert "b" not in state.document["details"]
    assert event.get("details.b") == 2


def test_a_state_document_is_within_the_limits_of_an_event() -> None:
    change = Change({"details.long": "x" * 40_000, "details.big": 2**70, "details.half": "\ud800"})
    (state,) = Line(Mapper(change), Mapper(State("assets", "7"))).run().states
    assert len(state.document["details"]["long"]) == 32_768
    assert state.document["details"]["big"] == str(2**70)
    assert state.document["details"]["half"] == "\ufffd"
    assert orjson.loads(orjson.dumps(state.document)) == state.document


# Plugins that fail


@pytest.mark.parametrize("kind", [Mapper, Enricher])
@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1), RecursionError("deep")])
def test_a_plugin_that_raises_is_named_on_the_event_and_the_others_go_on(
    kind: type[Any], error: BaseException
) -> None:
    event = Line(kind(error), Mapper(set_("details.ok", 1))).event()
    assert event.get("details.ok") == 1
    assert book(event)["plugins"] == ["p1"]
    text = f"{type(error).__name__}: {error}"
    assert book(event)["problems"][-1] == {"code": "plugin-error", "plugin": "p0", "message": text}


@pytest.mark.parametrize(
    "answer",
    [
        "text",
        {"details.a": 1},
        [],
        False,
        Change("details.a"),  # type: ignore[arg-type]
        Change({}, remove="details"),
        Change({}, problems="one text"),
        Change({}, problems=[None]),  # type: ignore[list-item]
        Split([{"details.a": 1}]),  # type: ignore[list-item]
        Split(5),  # type: ignore[arg-type]
        Split([]),
        Refuse(5, "reason"),  # type: ignore[arg-type]
        Refuse("code", None),  # type: ignore[arg-type]
        Drop(["noise"]),  # type: ignore[arg-type]
        State("assets", 7),  # type: ignore[arg-type]
        State("\ud800", "7"),
        State("assets", "\ud800"),
    ],
)
def test_a_mapper_that_answers_with_the_wrong_type_has_failed(answer: object) -> None:
    line = Line(Mapper(answer), Mapper(set_("details.ok", 1)))
    event = line.event()
    assert event.body["details"] == {"ok": 1}
    assert book(event)["problems"][-1]["code"] == "plugin-error"
    assert line.health.snapshot()["p0"]["errors"] == 1


@pytest.mark.parametrize("answer", [Drop("noise"), Refuse("a", "b"), State("a", "b"), Split([]), {}, "text"])
def test_an_enricher_may_only_change(answer: object) -> None:
    event = Line(Enricher(answer), Enricher(set_("details.ok", 1))).event()
    assert event.get("details.ok") == 1
    assert "expected Change or None" in book(event)["problems"][-1]["message"]


class _Odd:
    pass


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
DEEP: list[Any] = []
for _ in range(101):
    DEEP = [DEEP]


@pytest.mark.parametrize("kind", [Mapper, Enricher])
def test_what_a_plugin_could_not_read_is_noted_under_its_name(kind: type[Any]) -> None:
    change = Change(
        {"details.ok": 1}, problems=["the \ud800 record is cut", *("x" * 2_000 for _ in range(200))]
    )
    event = Line(kind(change)).event()
    first, second, *rest = [note for note in book(event)["problems"] if note["code"] == "conversion-failed"]
    assert first == {"code": "conversion-failed", "plugin": "p0", "message": "the \ufffd record is cut"}
    assert len(second["message"]) == 1_024
    assert len(rest) == 98
    assert book(event)["plugins"] == ["p0"]
    event.to_json()


@pytest.mark.parametrize("kind", [Mapper, Enricher])
def test_what_a_plugin_notes_about_a_field_has_a_code_and_the_field(kind: type[Any]) -> None:
    noted = [Problem("ip-invalid", "got '-'", "details.a"), Problem("odd", "\ud800"), "unread"]
    event = Line(kind(Change(problems=noted))).event()
    assert [note for note in book(event)["problems"] if note.get("plugin") == "p0"] == [
        {"code": "ip-invalid", "plugin": "p0", "message": "got '-'", "field": "details.a"},
        {"code": "odd", "plugin": "p0", "message": "\ufffd"},
        {"code": "conversion-failed", "plugin": "p0", "message": "unread"},
    ]
    wrong: Any = Problem("ip-invalid", 7)  # type: ignore[arg-type]
    event = Line(kind(Change(problems=[wrong]))).event()
    assert [note["code"] for note in book(event)["problems"] if note.get("plugin") == "p0"] == [
        "plugin-error"
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_("receivedtimestamp", "2026-01-01"), "receivedtimestamp belongs to the system"),
        (set_("mozdefhostname", "me"), "mozdefhostname belongs to the system"),
        (set_("mozdef", {}), "mozdef belongs to the system"),
        (set_("mozdef.plugins", []), "mozdef.plugins belongs to the system"),
        (Change(remove=["mozdef.problems"]), "mozdef.problems belongs to the system"),
        (Change(remove=["receivedtimestamp"]), "receivedtimestamp belongs to the system"),
        (Change({5: 1}), "a field name must be text, not 5"),  # type: ignore[dict-item]
        (set_("", 1), "a field name must be text, not ''"),
        (Change(remove=[None]), "a field name must be text, not None"),  # type: ignore[list-item]
        (set_("details.a", _Odd()), "details.a was given a _Odd that JSON cannot hold"),
        (set_("details.a", {1, 2}), "details.a was given a set"),
        (set_("details.a", (1, 2)), "details.a was given a tuple"),
        (set_("details.a", b"x"), "details.a was given a bytes"),
        (set_("details.a", float("nan")), "details.a was given a float"),
        (set_("details.a", [1, {"b": float("inf")}]), "details.a was given a list"),
        (set_("details.a", {1: 2}), "details.a was given a dict"),
        (set_("details.a", {"b": _Odd()}), "details.a was given a dict"),
        (set_("details.a", 1 << 16_000), "details.a was given a int"),
        (set_("details.a", CYCLE), "details.a was given a list"),
        (set_("details.a", DEEP), "details.a was given a list"),
        (set_("hostname", 5), "hostname must be text, not 5"),
        (set_("severity", "loud"), "severity must be one of"),
        (set_("tags", "a,b"), "tags must be a list of texts"),
        (set_("details", []), "details must be an object"),
        (set_("timestamp", "yesterday"), "timestamp must be ISO 8601 text"),
    ],
)
@pytest.mark.parametrize("kind", [Mapper, Enricher])
def test_a_change_that_cannot_stand_in_an_event_is_refused_whole(
    kind: type[Any], change: Change, reason: str
) -> None:
    change = Change({"details.first": 1, **change.set}, change.remove)
    line = Line(kind(change), kind(set_("details.ok", 1)))
    event = line.event()
    assert event.body["details"] == {"ok": 1}
    assert book(event)["plugins"] == ["p1"]
    (note,) = book(event)["problems"][1:]
    assert (note["code"], note["plugin"]) == ("plugin-error", "p0")
    assert note["message"].startswith(reason)
    assert line.health.snapshot()["p0"]["errors"] == 1


@pytest.mark.parametrize("kind", [Mapper, Enricher])
def test_a_plugin_that_fails_too_often_is_suspended_and_passed_over(kind: type[Any]) -> None:
    plugin = kind(ValueError("broken"))
    line = Line(plugin, kind(set_("details.ok", 1)), failures=2)
    done = line.run(*[make_item(str(number)) for number in range(5)])
    assert len(plugin.seen) == 2
    assert [event.get("details.ok") for event in done.events] == [1] * 5
    assert [len(book(event)["problems"]) for event in done.events] == [2, 2, 1, 1, 1]


def test_the_retention_class_is_the_one_thing_of_the_system_that_a_plugin_may_set() -> None:
    event = Line(Mapper(set_("mozdef.retention", "short"))).event()
    assert book(event)["retention"] == "short"
    assert book(event)["plugins"] == ["p0"]


@pytest.mark.parametrize("name", ["", "../up", "a b", "x" * 65, "é", 3, None, ["short"]])
def test_a_retention_class_that_no_file_can_be_named_for_is_refused(name: object) -> None:
    event = Line(Mapper(set_("mozdef.retention", name))).event()
    assert "retention" not in book(event)
    assert "plugin-error" in [problem["code"] for problem in book(event)["problems"]]


# Signing and limits


def test_what_a_plugin_supplies_is_no_default_any_more() -> None:
    event = Line(Mapper(set_("hostname", "a.example")), Enricher(set_("category", "x"))).event()
    assert {"hostname", "category"}.isdisjoint(event.defaulted)
    assert "source" in event.defaulted
    assert event.exists("hostname")


@pytest.mark.parametrize("name", ["timestamp", "utctimestamp"])
def test_a_time_that_a_plugin_found_is_in_both_fields_and_no_longer_missing(name: str) -> None:
    event = Line(Mapper(set_(name, "2026-01-01T12:00:00+02:00"))).event()
    assert event.body["timestamp"] == event.body["utctimestamp"] == "2026-01-01T10:00:00.000000+00:00"
    assert book(event)["problems"] == []
    assert "timestamp" not in event.defaulted


def test_a_problem_of_the_normaliser_stays_beside_those_of_the_plugins() -> None:
    event = Line(Mapper(ValueError("x")), Mapper(set_("details.a", 1))).event(make_item("x", severity="loud"))
    codes = [note["code"] for note in book(event)["problems"]]
    assert codes == ["severity-unknown", "timestamp-missing", "plugin-error"]


def test_the_event_that_a_plugin_was_given_does_not_change_afterwards() -> None:
    first = Mapper(set_("details.a", {"b": 1}))
    Line(first, Mapper(set_("details.a.b", 2)), Enricher(set_("hostname", "h"))).event()
    (seen,) = first.seen
    assert seen.get("details.a") is None
    assert seen.body["hostname"] == "UNKNOWN"
    assert seen.body["mozdef"]["plugins"] == []


def test_the_limits_come_after_the_enrichers() -> None:
    enricher = Enricher(lambda e: set_("details.length", len(e.body["summary"])))
    event = Line(Mapper(set_("summary", "x" * 9_000)), enricher).event()
    assert event.get("details.length") == 9_000
    assert len(event.body["summary"]) == 8_192
    assert {"code": "value-cut", "field": "summary"} in book(event)["problems"]


@pytest.mark.parametrize(
    ("value", "stored", "note"),
    [
        (2**63, str(2**63), None),
        (-(2**63) - 1, str(-(2**63) - 1), None),
        (2**63 - 1, 2**63 - 1, None),
        (1 << 4_000, str(1 << 4_000), None),
        ("a\ud800b", "a\ufffdb", "utf8-replaced"),
        ("a\0b", "a\ufffdb", "utf8-replaced"),
        ([{"k\udfff": 2**64}], [{"k\ufffd": str(2**64)}], None),
        (True, True, None),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("kind", [Mapper, Enricher])
def test_what_a_plugin_sets_beyond_the_limits_takes_the_form_that_a_senders_would(
    kind: type[Any], value: Any, stored: Any, note: str | None
) -> None:
    event = Line(kind(set_("details.x", value))).event()
    assert event.body["details"] == {"x": stored}
    assert book(event)["plugins"] == ["p0"]
    assert [n["code"] for n in book(event)["problems"]] == ["timestamp-missing", *([note] if note else [])]
    assert Event.from_bytes(event.to_bytes()) == event


def test_nesting_that_a_sender_may_have_is_made_text() -> None:
    value: Any = "end"
    for _ in range(100):
        value = [value]
    event = Line(Mapper(set_("details.x", value))).event()
    assert {"code": "depth-cut", "field": "details.x"} in book(event)["problems"]
    assert Event.from_bytes(event.to_bytes()) == event


# Replay


def test_a_replay_names_the_events_that_came_out_of_it() -> None:
    split = Mapper(Split([set_("details.n", 1), set_("details.n", 2)]))
    item = replace(make_item("x"), replay_of="LETTER")
    other = make_item("y")
    done = Line(split).run(other, item)
    assert done.replayed == {"LETTER": [f"{item.id}-1", f"{item.id}-2"]}
    assert all(event.body["mozdef"]["replayed"] is True for event in done.events[2:])


def test_a_replay_that_fails_again_is_the_same_letter_and_not_replayed() -> None:
    done = Line(Mapper(Refuse("odd", "still odd"))).run(replace(make_item("x"), replay_of="LETTER"))
    (letter,) = done.dead_letters
    assert (letter.id, letter.reason) == ("LETTER", "still odd")
    assert done.replayed == {}


def test_a_replay_of_which_one_child_fails_stays_open() -> None:
    split = Mapper(Split([set_("details.n", 1), set_("details.n", 2)]))
    fate = Mapper(lambda e: Refuse("odd", "two") if e.get("details.n") == 2 else None)
    done = Line(split, fate).run(replace(make_item("x"), replay_of="LETTER"))
    assert (len(done.events), [letter.id for letter in done.dead_letters]) == (1, ["LETTER"])
    assert done.replayed == {}


@pytest.mark.parametrize("fate", [Drop("noise"), State("assets", "7")])
def test_a_replay_that_ends_without_an_event_is_done_all_the_same(fate: object) -> None:
    done = Line(Mapper(fate)).run(replace(make_item("x"), replay_of="LETTER"))
    assert done.replayed == {"LETTER": []}


# For any mix

ANSWERS: dict[str, Answer] = {
    "nothing": None,
    "change": set_("details.changed", True),
    "again": set_("details.again", True, again=True),
    "split": Split([set_("details.n", 1), set_("details.n", 2)]),
    "empty split": Split([]),
    "refuse": Refuse("odd", "why"),
    "drop": Drop("noise"),
    "state": State("c", "i"),
    "raise": ValueError("x"),
    "wrong": 5,
    "reserved": set_("mozdef", {}),
    "odd value": set_("details.x", _Odd()),
}
RAWS = [
    b'{"summary": "s"}',
    b"[]",
    b"{",
    b"",
    b'{"utctimestamp": 1e999}',
    b'{"details": {"a": "\\ud800"}}',
    b"\xff",
]


def plain(names: Iterable[str]) -> list[str]:
    return [name for name in names if name in ("nothing", "change", "again", "raise", "wrong", "reserved")]


@given(
    raws=st.lists(st.sampled_from(RAWS), max_size=4),
    mappers=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=4),
    enrichers=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=2),
)
def test_every_item_ends_as_event_dead_letter_state_or_drop(
    raws: list[bytes], mappers: list[str], enrichers: list[str]
) -> None:
    logging.disable(logging.CRITICAL)
    try:
        plugins = [*(Mapper(ANSWERS[name]) for name in mappers), *(Enricher(ANSWERS[n]) for n in enrichers)]
        items = [raw_item(raw) for raw in raws]
        done = [Line(*plugins).run(item) for item in items]
    finally:
        logging.disable(logging.NOTSET)
    for item, one in zip(items, done, strict=True):
        ends = len(one.events) + len(one.dead_letters) + len(one.states) + one.dropped
        assert ends >= 1
        if plain(mappers) == mappers:
            assert ends == 1
        for event in one.events:
            assert event.id.partition("-")[0] == item.id
            assert Event.from_bytes(event.to_bytes()) == event
        assert len({event.id for event in one.events}) == len(one.events)


BAD = {name: ANSWERS[name] for name in ("raise", "wrong", "reserved", "odd value")}


@given(
    good=st.lists(st.sampled_from(["change", "split", "refuse", "drop", "state", "again"]), max_size=3),
    bad=st.sampled_from(sorted(BAD)),
    place=st.integers(0, 3),
    kind=st.sampled_from([Mapper, Enricher]),
)
def test_a_failing_plugin_never_changes_what_the_others_did(
    good: list[str], bad: str, place: int, kind: type[Any]
) -> None:
    logging.disable(logging.CRITICAL)
    try:
        item = make_item("x", utctimestamp="2026-01-01T00:00:00Z")
        plugins = [Plugin(f"good{number}", Mapper(ANSWERS[name])) for number, name in enumerate(good)]
        without = Line(*plugins).run(item)
        plugins.insert(place, Plugin("bad", kind(BAD[bad])))
        with_it = Line(*plugins).run(item)
    finally:
        logging.disable(logging.NOTSET)

    def shown(done: Processed) -> Any:
        bodies = [(event.id, event.to_dict()) for event in done.events]
        bodies += [(state.id, dict(state.document)) for state in done.states]
        for _, body in bodies:
            body["mozdef"]["problems"] = [
                note for note in body["mozdef"]["problems"] if note.get("plugin") != "bad"
            ]
        return bodies, done.dead_letters, done.dropped

    assert shown(with_it) == shown(without)
