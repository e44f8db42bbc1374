from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueryError, StoreUnavailableError
from mozdef_core.event import Event, now_us
from mozdef_core.ports import Page
from mozdef_core.query import order
from mozdef_core.query.model import Search
from mozdef_core.services import exporting as module
from mozdef_core.services.exporting import Export, Wanted, blocks
from mozdef_core.services.transfer import Pager, TransferError
from mozdef_core.services.transfer_files import read_lines
from mozdef_core.services.transfer_parquet import read as read_parquet
from mozdef_core.testing_contracts.store_events import BASE_US, ZOO, stored_event

ENDINGS = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"]


class CutStore(MemoryStore):
    """Cuts every page short after some events, and fails now and then."""

    def __init__(self, pieces: Sequence[int], fails: Sequence[int] = ()) -> None:
        super().__init__()
        self.pieces, self.fails, self.calls = pieces, fails, 0

    def search(self, search: Search) -> Page:
        self.calls += 1
        if self.calls in self.fails:
            raise StoreUnavailableError("the disk is gone")
        page = super().search(search)
        piece = self.pieces[self.calls % len(self.pieces)]
        if piece >= len(page.events):
            return page
        if not piece:
            return Page([], search.after, complete=False)
        return Page(page.events[:piece], order.encode(order.position(page.events[piece - 1])), complete=False)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_EVENTS", 40)


def wanted(query: str = "*", **more: Any) -> Wanted:
    return Wanted(query, more.get("since_us"), more.get("until_us"), more.get("received_us", now_us()))


def filled(count: int = 100, store: MemoryStore | None = None) -> MemoryStore:
    store = store or MemoryStore()
    store.write([stored_event(BASE_US + n // 30, details={"n": n}) for n in range(count)])
    return store


def in_order(store: MemoryStore) -> list[Event]:
    return list(store.search(Search(order="oldest", size=10_000)).events)


def events_of(path: Path) -> list[Event]:
    if path.suffix == ".parquet":
        return [Event.from_bytes(line.raw) for line in read_parquet(path)]
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if path.suffix == ".zst":
        content = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    return [Event.from_bytes(line) for line in content.splitlines()]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_event_is_in_the_file_once_in_order_of_time(tmp_path: Path, ending: str) -> None:
    store, target, steps = filled(), tmp_path / f"all{ending}", []
    store.write([stored_event(BASE_US, **fields) for fields in ZOO.values()])
    export = Export(target, wanted(), resume=False)
    export.run(store, steps.append)
    assert events_of(target) == in_order(store)
    assert sum(steps) == export.events == 100 + len(ZOO)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_export_of_nothing_is_a_file_that_can_be_read(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"none{ending}"
    Export(target, wanted("hostname:nobody"), resume=False).run(filled(), lambda _: None)
    assert events_of(target) == []
    if ending != ".parquet":
        with target.open("rb") as file:
            assert list(read_lines(file, "x")) == []


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "step", ["write_sidecar", "os.fsync", "sync_directory", "Path.replace", "Path.unlink"]
)
def test_killed_before_any_step_and_gone_on_with_nothing_is_missing_or_doubled(
    tmp_path: Path, ending: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start gets one step further than the one before, until one gets through."""
    store, target = filled(), tmp_path / f"all{ending}"
    owner = {"os": module.os, "Path": Path}.get(step.partition(".")[0], module)
    name = step.rpartition(".")[2]
    real, starts = getattr(owner, name), 0
    while True:
        starts += 1
        left = starts // 2 + 1

        def die(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                raise Killed
            return real(*args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, die)
            try:
                Export(target, wanted(), resume=True).run(store, lambda _: None)
                break
            except Killed:
                continue
    assert starts > 1
    assert events_of(target) == in_order(store)
    assert list(tmp_path.iterdir()) == [target]


def test_what_stands_behind_the_last_note_is_cut_off(tmp_path: Path) -> None:
    store, target = CutStore([1_000], fails=range(3, 20)), tmp_path / "all.jsonl"
    filled(100, store)
    fail(Export(target, wanted(), resume=False), store)
    part = target.with_name("all.jsonl.part")
    with part.open("ab") as file:
        file.write(b'{"id": "half a li')
    store.fails = ()
    export = Export(target, wanted(), resume=True)
    assert (export.resumed, export.events) == (True, 44)
    export.run(store, lambda _: None)
    assert events_of(target) == in_order(store)


def fail(export: Export, store: MemoryStore) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mozdef_core.services.transfer._PAUSES_S", ())
        with pytest.raises(TransferError, match="the disk is gone"):
            export.run(store, lambda _: None)


@given(pieces=st.lists(st.integers(0, 12), min_size=2, max_size=9).filter(any), count=st.integers(0, 90))
def test_a_page_that_was_cut_short_is_gone_on_with(pieces: list[int], count: int) -> None:
    store = filled(count, CutStore(pieces))
    found = [event for events, _ in blocks_without_pause(store) for event in events]
    assert found == in_order(filled_like(store))


def filled_like(store: MemoryStore) -> MemoryStore:
    copy = MemoryStore()
    copy.write(list(store.between_ids("0", "Z" * 26)))
    return copy


def blocks_without_pause(store: MemoryStore) -> list[tuple[list[Event], str | None]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mozdef_core.services.transfer._PAUSES_S", (0,) * 12)
        return list(blocks(store, wanted()))


def test_a_store_that_does_not_get_ahead_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    with pytest.raises(TransferError, match="cut short before its first event"):
        list(Pager(filled(9, CutStore([0])), Search(order="oldest"), 5, slept.append))
    assert len(slept) == 5


def test_a_store_that_comes_back_is_gone_on_with() -> None:
    store = filled(20, CutStore([99], fails=[2, 3]))
    slept: list[float] = []
    pages = list(Pager(store, Search(order="oldest"), 7, slept.append))
    assert [len(page.events) for page in pages] == [7, 7, 6]
    assert len(slept) == 2


def test_what_is_received_after_the_start_is_left_out(tmp_path: Path) -> None:
    store = filled(3)
    store.write([stored_event(BASE_US, received_us=BASE_US + 5_000_000)])
    export = Export(tmp_path / "x.jsonl", wanted(received_us=BASE_US + 4_000_000), resume=False)
    export.run(store, lambda _: None)
    assert export.events == 3


def test_the_span_of_time_holds(tmp_path: Path) -> None:
    export = Export(tmp_path / "x.jsonl", wanted(since_us=BASE_US + 1, until_us=BASE_US + 2), resume=False)
    export.run(filled(), lambda _: None)
    assert export.events == 30


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    target.write_text("precious")
    with pytest.raises(TransferError, match=r"x\.jsonl exists already; remove it or name another file"):
        Export(target, wanted(), resume=False)
    done = Export(target, wanted(), resume=True)
    assert done.complete
    done.run(MemoryStore(), lambda _: None)
    assert target.read_text() == "precious"


def test_a_part_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    other = tmp_path / "x.jsonl.part"
    other.write_text("precious")
    for resume in (False, True):
        with pytest.raises(TransferError, match=r"x\.jsonl\.part is there, and no export has noted"):
            Export(tmp_path / "x.jsonl", wanted(), resume=resume).run(filled(), lambda _: None)
    (tmp_path / "x.jsonl").write_text("whole")
    Export(tmp_path / "x.jsonl", wanted(), resume=True).run(filled(), lambda _: None)
    assert other.read_text() == "precious"


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_file_that_comes_meanwhile_is_not_overwritten(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"x{ending}"
    with pytest.raises(TransferError, match="exists already"):
        Export(target, wanted(), resume=False).run(filled(), lambda _: target.write_text("precious"))
    assert target.read_text() == "precious"
    target.unlink()
    Export(target, wanted(), resume=True).run(MemoryStore(), lambda _: None)
    assert len(events_of(target)) == 100


def test_half_an_export_is_not_thrown_away_for_a_file_of_its_name(tmp_path: Path) -> None:
    interrupted(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text("precious")
    with pytest.raises(TransferError, match="exists already"):
        Export(tmp_path / "x.jsonl", wanted("hostname:*"), resume=True)
    assert (tmp_path / "x.jsonl.part").stat().st_size


def test_what_another_has_ended_meanwhile_is_not_cut(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    first, second = (Export(target, wanted(), resume=False) for _ in range(2))
    with second._part.open("ab") as file:
        first.run(filled(), lambda _: None)
        assert "another process has ended" in str(second._problem(file))
    assert len(events_of(target)) == 100


def interrupted(target: Path) -> None:
    store = filled(100, CutStore([1_000], fails=range(2, 20)))
    fail(Export(target, wanted("hostname:*"), resume=False), store)


def test_an_unfinished_export_is_not_begun_again_unasked(tmp_path: Path) -> None:
    interrupted(tmp_path / "x.jsonl")
    with pytest.raises(TransferError, match=r"did not end; go on with --resume, or remove it"):
        Export(tmp_path / "x.jsonl", wanted("hostname:*"), resume=False)


def test_an_export_is_not_gone_on_with_by_another_query(tmp_path: Path) -> None:
    interrupted(tmp_path / "x.jsonl")
    with pytest.raises(TransferError, match=re.escape("is an export of 'hostname:*'; repeat that query")):
        Export(tmp_path / "x.jsonl", wanted("tags:a"), resume=True)


def test_two_do_not_write_one_file(tmp_path: Path) -> None:
    target = tmp_path / "x.jsonl"
    first, second = (Export(target, wanted(), resume=True) for _ in range(2))
    with first._opened(), pytest.raises(TransferError, match="another process writes"):
        second.run(filled(), lambda _: None)


@pytest.mark.parametrize(
    ("note", "complaint"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "another version"),
        ('{"format": 99}', "another version"),
    ],
)
def test_a_note_that_cannot_be_read_is_said_to_be(tmp_path: Path, note: str, complaint: str) -> None:
    (tmp_path / "x.jsonl.part.json").write_text(note)
    with pytest.raises(TransferError, match=complaint):
        Export(tmp_path / "x.jsonl", wanted(), resume=True)


def test_a_part_that_has_lost_its_end_is_not_gone_on_with(tmp_path: Path) -> None:
    interrupted(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl.part").write_bytes(b"")
    with pytest.raises(TransferError, match=r"is shorter than x\.jsonl\.part\.json says"):
        Export(tmp_path / "x.jsonl", wanted("hostname:*"), resume=True).run(filled(), lambda _: None)


def test_a_name_says_which_form_is_meant(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match=r"ends in \.jsonl, \.jsonl\.gz, \.jsonl\.zst or \.parquet"):
        Export(tmp_path / "x.csv", wanted(), resume=False)


def test_a_search_string_without_meaning_is_an_error_with_its_place() -> None:
    with pytest.raises(QueryError) as caught:
        wanted("hostname:(").condition()
    assert caught.value.position == 9


def test_parquet_has_the_same_columns_whatever_the_events_hold(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    odd = stored_event(summary=7, tags="none", details=[], hostname=None)
    store = MemoryStore()
    store.write([stored_event(BASE_US, tags=["a", "b"]), Event(odd.id, odd.body)])
    target = tmp_path / "x.parquet"
    Export(target, wanted(), resume=False).run(store, lambda _: None)
    table = parquet.read_table(target)
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "utctimestamp": "timestamp[us, tz=UTC]",
        "receivedtimestamp": "timestamp[us, tz=UTC]",
        "category": "string",
        "hostname": "string",
        "severity": "string",
        "source": "string",
        "summary": "string",
        "tags": "list<element: string>",
        "event": "string",
    }
    rows = {row["id"]: row for row in table.to_pylist()}
    assert rows[odd.id]["summary"] is None
    assert orjson.loads(rows[odd.id]["event"]) == odd.body
    assert [row["tags"] for row in rows.values() if row["id"] != odd.id] == [["a", "b"]]


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(TransferError, match=r"pip install 'mozdef-core\[parquet\]'"):
        Export(tmp_path / "x.parquet", wanted(), resume=False)
