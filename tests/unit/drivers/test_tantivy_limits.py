"""What a query may cost, and what holds while another process writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mozdef_core.drivers import tantivy_compile, tantivy_fields
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_compile import Compiler
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.errors import QueryError, QueryTimeoutError
from mozdef_core.event import Event
from mozdef_core.query import evaluate
from mozdef_core.query.model import (
    All,
    Bool,
    Match,
    MatchPhrase,
    Query,
    Regexp,
    Search,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.query.order import position
from mozdef_core.query.plain import plain
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event

OPTIONS = TantivyStore.Options(heap_mb=15)
VALUES = 600


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return [
        stored_event(
            BASE_US + step,
            summary=f"{'a' * (step % 50)} step {step}",
            details={
                "host": f"{'aab'[step % 3] * (step % 40)}{step}.example{'é' if step % 1000 == 7 else ''}",
                "sourceipaddress": f"10.{step % 7}.{step // 256}.{step % 256}",
            },
        )
        for step in range(VALUES)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Iterator[TantivyStore]:
    opened = TantivyStore(OPTIONS, tmp_path_factory.mktemp("limits") / "store", "writer")
    opened.write(events[: VALUES // 2])
    opened.write(events[VALUES // 2 :])
    yield opened
    opened.close()


def deep(query: Query, levels: int) -> Query:
    for level in range(levels):
        query = Bool(must=[query]) if level % 2 else ~query
    return query


HEAVY: dict[str, Query] = {
    "a star before many values": Wildcard("details.host", "*77.example"),
    "a star in any case": Wildcard("details.host", "*7A?.EXAMPLE*", case_insensitive=True),
    "a star before something beyond ASCII": Wildcard("details.host", "*7.example?"),
    "a star over all fields": Wildcard("*", "*77.exampl*"),
    "a pattern whose automaton explodes": Wildcard("details.host", "*a" + "?" * 18 + "b*"),
    "the same over all fields": Wildcard("*", "*a" + "?" * 18 + "a*"),
    "the same in the summary": Wildcard("summary", "*a" + "?" * 18 + "a*"),
    "forty stars": Wildcard("details.host", "*a" * 40 + "*"),
    "forty stars in the summary": Wildcard("summary", "*a" * 40 + "*"),
    "an expression that explodes when tried back and forth": Regexp(
        "details.host", "(a|aa)+(a|b)*[0-9]+x?.*"
    ),
    "the same in the summary, event by event": Regexp("summary", "((a|aa)+)+ step .*7"),
    "thousands of conditions": Bool(should=[Term("details.host", f"{n}.example") for n in range(3_000)]),
    "thousands of exclusions": Bool(must_not=[Term("details.host", f"a{n}.example") for n in range(3_000)]),
    "a hundred thousand values": Terms("details.host", [f"a{n}.example" for n in range(100_000)]),
    "thousands of networks": Subnet(
        "details.sourceipaddress", [f"10.1.{n // 128}.{n % 128 * 2}" for n in range(1_500)]
    ),
    "thousands of words": Match("summary", "step " * 2_000),
    "a phrase of thousands of words": MatchPhrase("summary", " ".join(f"w{n}" for n in range(5_000))),
    "ninety conditions in one another": deep(Term("details.host", "77.example"), 90),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_query_is_answered_exactly(store: TantivyStore, events: list[Event], name: str) -> None:
    matches = evaluate.compile(HEAVY[name])
    assert store.count(HEAVY[name]) == sum(map(matches, events))


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        (deep(All(), 5_000), "nested more than 100 deep"),
        (Regexp("details.host", "((a{0,100}){0,100}){0,100}"), "not valid in RE2's syntax"),
        (Regexp("details.host", "(" * 1_000), "not valid in RE2's syntax"),
        (
            Bool(should=[Match("*", f"w{n}") for n in range(10_000)]),
            "more than 20,000 conditions.*name the fields",
        ),
    ],
)
def test_a_query_beyond_all_bounds_is_refused_with_a_reason(
    store: TantivyStore, query: Query, complaint: str
) -> None:
    for ask in (
        lambda: store.count(query),
        lambda: store.search(Search(query)),
        lambda: store.groups("details.host", query),
    ):
        with pytest.raises(QueryError, match=complaint):
            ask()


def test_values_are_not_tried_when_the_time_is_up(store: TantivyStore) -> None:
    (partition,) = store._shelf.all()
    wanted = plain(Wildcard("*", "*77.exampl*"))
    assert Compiler(partition.view(), Deadline(60)).compile(wanted)
    with pytest.raises(QueryTimeoutError, match="narrow"):
        Compiler(partition.view(), Deadline(0)).compile(wanted)


def test_a_page_that_is_cut_between_days_leads_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    written = [stored_event(BASE_US + day * DAY_US, details={"k": f"v{day}"}) for day in range(3)]
    store.write(written)
    check = Deadline.check
    calls = iter(range(1_000))

    def twice_too_late(deadline: Deadline) -> None:
        if next(calls) in (1, 4):
            raise QueryTimeoutError("too late")
        check(deadline)

    monkeypatch.setattr(Deadline, "check", twice_too_late)
    found: list[Event] = []
    after, cut = None, 0
    for _ in range(10):
        page = store.search(Search(Wildcard("details.k", "*v?"), after=after))
        found += page.events
        cut += not page.complete
        after = page.after
        if after is None:
            break
    assert cut == 2
    assert found == written[::-1]
    store.close()


def test_a_few_values_are_terms_and_many_a_set(store: TantivyStore) -> None:
    view = store._shelf.all()[0].view()
    few = Terms("details.host", [f"{n}.example" for n in range(tantivy_fields._FEW_TERMS)])
    many = Terms("details.host", [*few.values, "x"])
    assert "TermSetQuery" not in repr(Compiler(view).compile(few).query)
    assert "TermSetQuery" in repr(Compiler(view).compile(many).query)
    assert tantivy_compile.MOST_CONDITIONS == 20_000


WRITER = """
import sys
from pathlib import Path
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event
store = TantivyStore(TantivyStore.Options(heap_mb=15), Path(sys.argv[1]), "writer")
for round in range(40):
    store.write([stored_event(BASE_US + step // 9, details={"round": round}) for step in range(30)])
    print(round, flush=True)
    sys.stdin.readline()
(partition,) = store._shelf.all()
partition.rest()
print(partition.view().searcher.num_segments, flush=True)
store.close()
"""


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_have_no_gap_and_no_duplicate_while_another_process_writes_and_merges(
    tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mozdef_core.drivers.store_tantivy._REFRESH_S", 1e-9)
    path = tmp_path / "store"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    reader = TantivyStore(OPTIONS, path, "reader")
    found: list[Event] = []
    before: set[str] = set()
    after: str | None = None
    walks = 0
    for number in range(40):
        assert writer.stdout.readline() == f"{number}\n"
        if after is None:  # begin anew, and note what must be found
            before = {event.id for event in reader.between_ids("0", "Z" * 26)}
            assert len(before) == (number + 1) * 30
            found = []
        page = reader.search(Search(order=order, size=97, after=after))  # type: ignore[arg-type]
        assert page.complete
        found += page.events
        after = page.after
        if after is None:
            walks += 1
            ids = [event.id for event in found]
            assert len(set(ids)) == len(ids)
            assert set(ids) >= before
            assert found == sorted(found, key=position, reverse=order == "newest")
        writer.stdin.write("\n")
        writer.stdin.flush()
    segments = int(writer.stdout.readline())
    writer.communicate(timeout=60)
    assert walks > 3
    assert segments < 20
    assert reader.count(All()) == 40 * 30
    reader.close()
