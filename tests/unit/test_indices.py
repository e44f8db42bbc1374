"""The store over indices with a scripted engine: what becomes of each event, and what an operator is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mozdef_core.discovery import options_of
from mozdef_core.drivers.store_elasticsearch import ElasticsearchStore
from mozdef_core.errors import ConfigError, QueryError, QueryTimeoutError, StoreUnavailableError
from mozdef_core.event import new_ids
from mozdef_core.indices import Answer, Dialect, IndexOptions, IndexStore
from mozdef_core.indices.catalogue import Catalogue
from mozdef_core.indices.names import Name, Names, day_of_id, name_of
from mozdef_core.indices.writing import Writing
from mozdef_core.query.dsl.document import FOREIGN, Layout
from mozdef_core.query.dsl.template import mapping
from mozdef_core.query.model import All, Regexp, Search
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

DIALECT = Dialect("Engine", (8,), "/_pit", "id", "/_pit", False, "there is another store for that")
VERSION = Answer(200, {"nodes": {"a": {"version": "8.1.0"}}})
Take = Callable[[str, str, bytes | None], Answer | None]


class ScriptedEngine:
    """Answers as a cluster that works, but for what a test has it say."""

    dialect = DIALECT

    def __init__(self, take: Take = lambda *_: None) -> None:
        self.take = take
        self.asked: list[tuple[str, str]] = []
        self.stored: dict[str, dict[str, Any]] = {}

    def perform(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        self.asked.append((method, path))
        answer = self.take(method, path, body)
        if answer is not None:
            return answer
        if path == "/_bulk":
            return self.bulk(body or b"")
        if path == "/_nodes/_local":
            return VERSION
        if path.endswith("/_mapping"):
            return Answer(200, {"x": {"mappings": mapping()}})
        return Answer(200, {})

    def bulk(
        self, body: bytes, judge: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _: None
    ) -> Answer:
        lines = list(map(orjson.loads, body.splitlines()))
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            event_id = action["create"]["_id"]
            result = judge(document)
            if result is None:
                result = {"status": 409 if event_id in self.stored else 201}
                self.stored.setdefault(event_id, document)
            items.append({"create": result})
        return Answer(200, {"errors": any(item["create"]["status"] > 299 for item in items), "items": items})

    def close(self) -> None:
        pass


def failure(status: int, kind: str, reason: str = "because") -> dict[str, Any]:
    return {"status": status, "error": {"type": kind, "reason": reason}}


def writing(engine: ScriptedEngine, patience_s: float = 60, bulk_bytes: int = 5_000_000) -> Writing:
    names = Names("mozdef")
    catalogue = Catalogue(engine, names, {})
    return Writing(
        engine, names, Layout(), catalogue, patience_s=patience_s, bulk_bytes=bulk_bytes, sleep=lambda _: None
    )


def test_each_event_is_stored_or_known_or_refused_or_tried_again() -> None:
    engine = ScriptedEngine()
    busy = [2]

    def judge(document: dict[str, Any]) -> dict[str, Any] | None:
        details = document["event"]["details"]
        if "hopeless" in str(details):
            return failure(400, "document_parsing_exception")
        if "odd" in details:
            return failure(400, "mapper_parsing_exception")
        if "late" in details and busy[0]:
            busy[0] -= 1
            return failure(429, "es_rejected_execution_exception")
        return None

    engine.take = lambda _, path, body: engine.bulk(body or b"", judge) if path == "/_bulk" else None
    events = {name: stored_event(details={name: 1}) for name in ("plain", "odd", "late", "hopeless", "known")}
    engine.stored[events["known"].id] = {}
    run = writing(engine)
    run.run(list(events.values()))
    assert [refusal.event for refusal in run.refusals] == [events["hopeless"]]
    assert "document_parsing_exception: because" in run.refusals[0].reason
    assert set(engine.stored) == {event.id for name, event in events.items() if name != "hopeless"}
    assert engine.stored[events["odd"].id]["event"]["details"] == {"fallback": '{"odd": 1}'}
    assert engine.stored[events["known"].id] == {}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "es_rejected_execution_exception"),
        (503, "unavailable_shards_exception"),
        (403, "cluster_block_exception"),
        (400, "validation_exception"),
        (400, "index_closed_exception"),
        (500, "exception"),
    ],
)
def test_what_is_not_about_the_document_costs_no_event(status: int, kind: str) -> None:
    engine = ScriptedEngine()
    engine.take = lambda _, path, body: (
        engine.bulk(body or b"", lambda _: failure(status, kind)) if path == "/_bulk" else None
    )
    run = writing(engine, patience_s=0)
    with pytest.raises(StoreUnavailableError, match=kind):
        run.run([stored_event()])
    assert not run.refusals


@pytest.mark.parametrize("status", [400, 413])
def test_one_event_that_a_node_will_not_read_costs_no_other(status: int) -> None:
    engine = ScriptedEngine()
    said: dict[int, object] = {400: failure(400, "illegal_argument_exception"), 413: "no"}
    engine.take = lambda _, path, body: (
        Answer(status, said[status]) if path == "/_bulk" and b"poison" in (body or b"") else None
    )
    events = [stored_event(details={"poison" if step == 5 else "good": 1}) for step in range(11)]
    run = writing(engine)
    run.run(events)
    assert [refusal.event for refusal in run.refusals] == [events[5]]
    assert set(engine.stored) == {event.id for event in events if event is not events[5]}


def test_a_proxy_that_will_not_read_anything_costs_no_event() -> None:
    engine = ScriptedEngine(
        lambda _, path, __: Answer(400, "<html>Bad Request") if path == "/_bulk" else None
    )
    run = writing(engine, patience_s=0)
    with pytest.raises(StoreUnavailableError, match="400: <html>Bad Request"):
        run.run([stored_event(), stored_event()])
    assert not run.refusals


def test_a_day_that_was_dropped_is_made_again() -> None:
    engine = ScriptedEngine()
    gone = [True]

    def judge(_: dict[str, Any]) -> dict[str, Any] | None:
        return failure(404, "index_not_found_exception") if gone.pop() else None

    engine.take = lambda _, path, body: engine.bulk(body or b"", judge) if path == "/_bulk" and gone else None
    writing(engine).run([stored_event()])
    assert sum(asked == ("PUT", "/mozdef_events_2026-03-29_default") for asked in engine.asked) == 2
    assert len(engine.stored) == 1


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(1, 5_000))
def test_events_are_cut_into_requests_of_a_size_and_none_is_left_out(sizes: list[int], most: int) -> None:
    engine = ScriptedEngine()
    events = [stored_event(details={"fill": "x" * size}) for size in sizes]
    writing(engine, bulk_bytes=most).run(events)
    assert list(engine.stored) == [event.id for event in events]


def test_an_id_that_does_not_tell_its_day_is_marked() -> None:
    engine = ScriptedEngine()
    ordinary, foreign = stored_event(), stored_event(event_id="x1")
    writing(engine).run([ordinary, foreign])
    assert FOREIGN not in engine.stored[ordinary.id].get("odd", [])
    assert FOREIGN in engine.stored["x1"]["odd"]


@given(st.text(min_size=1, max_size=20), st.integers(0, 200_000))
def test_an_index_tells_its_day_and_class(retention_class: str, day: int) -> None:
    names = Names("mozdef")
    event = stored_event(BASE_US, received_us=day * 80_000_000_000, mozdef={"retention": retention_class})
    name = name_of(event)
    assert name.retention_class == retention_class
    assert names.read(names.index(name)) == name
    assert names.index(name) == names.index(name).lower()
    assert len(names.index(name).encode()) < 255


@pytest.mark.parametrize(
    "index", ["mozdef_events_2026-03-29", "mozdef_events_x_default", "mozdef-a_events_2026-03-29_a"]
)
def test_what_is_no_index_of_events_is_left_alone(index: str) -> None:
    assert Names("mozdef").read(index) is None


@given(st.integers(0, 4_000_000_000_000_000))
def test_an_id_tells_its_day(received_us: int) -> None:
    event = stored_event(received_us=received_us, event_id=new_ids(received_us, 1)[0])
    assert day_of_id(event.id) == name_of(event).day


def opened(take: Take, **others: Any) -> IndexStore:
    return IndexStore(ScriptedEngine(take), IndexOptions(**others), "writer")


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        ("/_nodes/_local", Answer(401, ""), "refuses the credentials"),
        ("/_nodes/_local", Answer(403, {"error": {"type": "x", "reason": "action is unauthorized"}}), "lack a privilege"),
        ("/_nodes/_local", Answer(200, {"nodes": {"a": {"version": "2.1.0"}}}), "says 2.1.0; there is another store"),
        ("/_nodes/_local", Answer(200, {}), "is no Engine"),
        ("/_nodes/_local", Answer(406, {}), "is no Engine"),
        ("/_index_template/mozdef_events", Answer(400, {"error": {"type": "x", "reason": "same priority"}}), "same priority"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_cluster_is_said_at_the_start(path: str, answer: Answer, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened(lambda _, asked, __: answer if asked == path else None)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (Answer(400, {"error": {"type": "too_complex", "reason": "x"}}), QueryError, "too_complex"),
        (Answer(429, {}), StoreUnavailableError, "429"),
        (Answer(200, {"_shards": {"failed": 1, "failures": [{"reason": {"type": "io"}}]}}), StoreUnavailableError, "io"),
        (Answer(200, {"_shards": {"failed": 0}, "timed_out": True, "hits": {}}), QueryTimeoutError, "longer than"),
    ],
)  # fmt: skip
def test_a_count_is_exact_or_refused(answer: Answer, error: type[Exception], message: str) -> None:
    store = opened(lambda _, path, __: answer if path.endswith("_search") else None)
    with pytest.raises(error, match=message):
        store.count(All())


def test_a_search_that_the_engine_gives_up_says_that_it_is_not_complete() -> None:
    event = stored_event()
    hit = {"_id": event.id, "_source": {"event": event.body}, "sort": [BASE_US, 5]}
    answer = Answer(200, {"_shards": {"failed": 0}, "timed_out": True, "hits": {"hits": [hit]}})
    page = opened(lambda _, path, __: answer if path.endswith("_search") else None).search(Search())
    assert (list(page.events), page.after, page.complete) == ([event], None, False)


def test_points_in_time_that_are_always_gone_are_not_opened_for_ever() -> None:
    hit = {"_id": "x", "sort": [1, 1], "_source": {"event": stored_event().body}}
    opened = 0

    def take(_method: str, path: str, body: bytes | None) -> Answer | None:
        nonlocal opened
        if path.endswith("/_pit"):
            opened += 1
            assert opened < 100
            return Answer(200, {"id": "p"})
        if path.endswith("/_search"):
            wanted = orjson.loads(body or b"")
            full = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": [hit] * wanted["size"]}}
            return Answer(404, {}) if "pit" in wanted else Answer(200, full)
        return None

    store = IndexStore(ScriptedEngine(take), IndexOptions(), "reader")
    with pytest.raises(StoreUnavailableError, match="5 points in time in a row were gone"):
        store.search(Search(Regexp("summary", "no such summary")))
    with pytest.raises(StoreUnavailableError, match="5 points in time in a row were gone"):
        list(store.between_ids("0", "Z"))


def test_a_reader_writes_nothing() -> None:
    engine = ScriptedEngine()
    store = IndexStore(engine, IndexOptions(), "reader")
    with pytest.raises(StoreUnavailableError, match="open for reading"):
        store.write([stored_event()])
    assert not [asked for asked in engine.asked if asked[0] == "PUT"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"urls": ["ftp://node"]}, "expected an address"),
        ({"urls": ["https://me:word@node"]}, "a password does not belong"),
        ({"urls": []}, "at least 1"),
        ({"prefix": "a_b"}, "pattern"),
        ({"username": "a"}, "belong together"),
        ({"ca_certs": Path("x")}, "begin with https"),
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IndexOptions(**wrong)


@pytest.mark.parametrize("url", ["elastic:word@node:9200", "ftp://me:word@node", "https://me:word@[node"])
def test_a_password_in_an_address_is_shown_by_no_complaint(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options_of(ElasticsearchStore, {"urls": [url]}, "store.elasticsearch")
    assert "word@" not in str(caught.value)
    assert "a password does not belong" in str(caught.value)


@pytest.mark.parametrize("ending", ["\n", "\u20ac", "\r\nX: y"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_shown(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", f"word{ending}")
    for table in ({"api_key": "env:WORD"}, {"username": "a", "password": "env:WORD"}):
        with pytest.raises(ConfigError) as caught:
            options_of(ElasticsearchStore, table, "store.elasticsearch")
        assert "word\n" not in str(caught.value)
        assert f"{list(table)[-1]}: expected printable ASCII" in str(caught.value)


def test_retention_removes_only_its_own_indices() -> None:
    names = Names("mozdef")
    there = {
        names.index(Name(day, kind)): {}
        for day in ("2026-01-01", "2026-01-02")
        for kind in ("default", "long")
    }
    there["mozdef_events_other"] = {}
    engine = ScriptedEngine(lambda method, path, _: Answer(200, there) if path.endswith("_alias") else None)
    assert IndexStore(engine, IndexOptions(), "reader").drop_before("2026-01-02") == 1
    assert [path for method, path in engine.asked if method == "DELETE"] == [
        "/mozdef_events_2026-01-01_default"
    ]
