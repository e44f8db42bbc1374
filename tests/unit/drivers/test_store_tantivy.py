from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from tantivy import Query

from mozdef_core.drivers import (
    store_tantivy,
    tantivy_catalogue,
    tantivy_deadline,
    tantivy_partition,
    tantivy_search,
)
from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.drivers.tantivy_catalogue import Catalogue
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_partition import Partition
from mozdef_core.errors import QueryTimeoutError, StoreUnavailableError
from mozdef_core.event import Event, first_id_at
from mozdef_core.query.model import All, Exists, Match, Prefix, Range, Regexp, Search, Term, Wildcard
from mozdef_core.testing_contracts.store import EventStoreContract
from mozdef_core.testing_contracts.store_events import BASE_US, DAY_US, stored_event
from mozdef_core.testing_contracts.store_matching import Mode

OPTIONS = TantivyStore.Options(heap_mb=15)
DAY = "2026-03-29"


class TestTantivyStore(EventStoreContract):
    def open_store(self, path: Path, mode: Mode) -> TantivyStore:
        return TantivyStore(OPTIONS, path, mode)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TantivyStore]:
    opened = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    yield opened
    opened.close()


def batch(count: int, first_us: int = BASE_US) -> list[Event]:
    return [stored_event(first_us + step, details={"step": step}) for step in range(count)]


def ids(events: list[Event]) -> set[str]:
    return {event.id for event in events}


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """Let the system refuse to write beyond a size, which to the engine is what a full disk is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_an_io_error_costs_the_writer_and_no_event(store: TantivyStore, tmp_path: Path) -> None:
    first, second, third = batch(500), batch(3000), batch(500)
    store.write(first)
    for _ in range(3):
        with files_limited_to(16_384), pytest.raises(StoreUnavailableError, match="cannot be written"):
            store.write(second)
        assert store.count(All()) == 500
    store.write(second)
    store.write(third)
    expected = ids([*first, *second, *third])
    assert store.count(All()) == len(expected)
    store.close()
    again = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    assert again.count(All()) == len(expected)
    assert again.known(expected) == expected
    again.close()


def test_what_one_partition_has_committed_is_not_stored_twice_when_the_next_one_fails(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [stored_event(BASE_US, received_us=BASE_US + day * DAY_US) for day in range(3)]
    commit = Partition.commit

    def fail_on_the_second_day(partition: Partition) -> None:
        if partition.name.day == "2026-03-30":
            raise OSError(28, "No space left on device")
        commit(partition)

    monkeypatch.setattr(Partition, "commit", fail_on_the_second_day)
    with pytest.raises(StoreUnavailableError, match="No space left"):
        store.write(events)
    assert store.count(All()) == 1
    monkeypatch.undo()
    store.write(events)
    assert store.count(All()) == 3


def test_a_panic_of_the_engine_is_an_error_like_any_other(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Panic(BaseException):
        pass

    def panic(_partition: Partition) -> None:
        raise Panic("called unwrap on None")

    monkeypatch.setattr(Partition, "commit", panic)
    with pytest.raises(StoreUnavailableError, match="unwrap"):
        store.write(batch(1))
    monkeypatch.undo()
    store.write(batch(2))
    assert store.count(All()) == 2


def test_what_a_failed_write_has_added_does_not_come_with_the_next_commit(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, kept = batch(5), batch(3)
    monkeypatch.setattr(Catalogue, "save", lambda _self: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(StoreUnavailableError):
        store.write(lost)
    monkeypatch.undo()
    store.write(kept)
    assert store.known(ids([*lost, *kept])) == ids(kept)


def test_the_catalogue_is_durable_before_the_commit_and_the_directory_after_it(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.write(batch(1))
    path = tmp_path / "store" / f"{DAY}.default"
    steps: list[str] = []
    sync, save = os.fsync, Catalogue.save

    def note_sync(descriptor: int) -> None:
        steps.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def note_save(catalogue: Catalogue) -> None:
        save(catalogue)
        steps.append(f"saved at {meta.stat().st_mtime_ns}")

    meta = path / "index" / "meta.json"
    before = meta.stat().st_mtime_ns
    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Catalogue, "save", note_save)
    store.write([stored_event(BASE_US + DAY_US, received_us=BASE_US, details={"new": "path"})])
    assert steps == ["sync partition.json.new", f"sync {path.name}", f"saved at {before}", "sync index"]
    content = orjson.loads((path / "partition.json").read_bytes())
    assert content["days"] == [BASE_US // DAY_US, BASE_US // DAY_US + 1]
    assert content["paths"]["details.new"] == tantivy_catalogue.Kind.STRING


def test_only_one_process_may_write_and_the_other_learns_which_does(tmp_path: Path) -> None:
    first = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    with pytest.raises(StoreUnavailableError, match=f"open for writing in process {os.getpid()}"):
        TantivyStore(OPTIONS, tmp_path / "store", "writer")
    first.close()
    TantivyStore(OPTIONS, tmp_path / "store", "writer").close()


def test_a_reader_neither_writes_nor_drops(tmp_path: Path) -> None:
    reader = TantivyStore(OPTIONS, tmp_path / "store", "reader")
    assert reader.count(All()) == 0
    assert not (tmp_path / "store").exists()
    with pytest.raises(StoreUnavailableError, match="open for reading"):
        reader.write(batch(1))
    with pytest.raises(StoreUnavailableError, match="open for reading"):
        reader.drop_before(DAY)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="file/store cannot be opened for writing"):
        TantivyStore(OPTIONS, tmp_path / "file" / "store", "writer")


def test_what_a_killed_process_has_left_is_removed_at_opening(tmp_path: Path) -> None:
    store = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    store.write(batch(3))
    store.close()
    index = tmp_path / "store" / f"{DAY}.default" / "index"
    orphan = index / f"{'ab' * 16}.term"
    orphan.write_bytes(b"half a segment")
    managed = index / ".managed.json"
    managed.write_bytes(orjson.dumps([*orjson.loads(managed.read_bytes()), orphan.name]))
    for leftover in (f".new-{DAY}.default", f".dropped-{DAY}.old"):
        (tmp_path / "store" / leftover / "index").mkdir(parents=True)
    again = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    (partition,) = again._shelf.all()
    partition.add(partition.document(stored_event()))
    assert not orphan.exists()
    partition.discard_writer()
    again.write(batch(2))
    assert again.count(All()) == 5
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [f"{DAY}.default", "writer.lock"]
    again.close()


def test_a_search_opens_only_partitions_that_may_hold_its_time(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write([stored_event(BASE_US + day * DAY_US) for day in (0, 1, 2, 2)])
    store.write([stored_event(0, received_us=BASE_US)])
    opened: list[str] = []
    view = Partition.view

    def note(partition: Partition) -> tantivy_partition.View:
        opened.append(partition.name.day)
        return view(partition)

    monkeypatch.setattr(Partition, "view", note)
    assert store.count(All(), (0, 1000)) == 1
    assert opened == [DAY]
    opened.clear()
    assert store.count(All(), (BASE_US + DAY_US, BASE_US + DAY_US + 1)) == 1
    assert opened == ["2026-03-30"]
    opened.clear()
    assert len(store.search(Search(size=1)).events) == 1
    assert opened == ["2026-03-31"]


def test_a_time_may_end_with_any_microsecond_of_the_day_of_a_partition(store: TantivyStore) -> None:
    start = BASE_US // DAY_US * DAY_US
    last = start + DAY_US - 1
    store.write([stored_event(us, received_us=BASE_US) for us in (start, start + 1, last - 1, last)])
    for between, expected in (
        ((start, last + 1), 4),
        ((None, last), 3),
        ((start, last), 3),
        ((start, last - 1), 2),
        ((start + 1, None), 3),
        ((start + 1, last + 1), 3),
        ((last, last + 1), 1),
        ((last, last), 0),
    ):
        assert store.count(All(), between) == len(store.search(Search(All(), between)).events) == expected
        assert sum(store.groups("category", between=between).values()) == expected


def test_a_catalogue_of_too_many_days_and_paths_says_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tantivy_catalogue, "MOST_DAYS", 5)
    monkeypatch.setattr(tantivy_catalogue, "MOST_PATHS", 30)
    store = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    for round_number in range(2):
        store.write(
            [
                stored_event(
                    BASE_US - (40 * round_number + day) * DAY_US,
                    received_us=BASE_US,
                    details={f"key{day}": f"value{day}", "number": day, "inner": {"deep": [day]}},
                )
                for day in range(40)
            ]
        )
    store.close()
    content = orjson.loads((tmp_path / "store" / f"{DAY}.default" / "partition.json").read_bytes())
    assert content["days"] is None
    assert content["paths"] is None
    store = TantivyStore(OPTIONS, tmp_path / "store", "reader")
    for query, expected in (
        (Term("details.key7", "value7"), 2),
        (Match("*", "value9"), 2),
        (Exists("details.inner"), 80),
        (Exists("details.inner.deep"), 80),
        (Exists("details.nothing"), 0),
        (Range("details.number", gte=38), 4),
        (Prefix("details.key1", "value"), 2),
        (Match("summary", "nothing"), 80),
        (~Term("details.number", 3), 78),
    ):
        assert store.count(query) == expected, query
    assert store.count(All(), (BASE_US - 79 * DAY_US, BASE_US - 78 * DAY_US)) == 1
    store.close()


def test_a_reader_looks_for_new_events_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    reader = TantivyStore(OPTIONS, tmp_path / "store", "reader")
    assert reader.count(All()) == 0
    monkeypatch.setattr(store_tantivy, "_REFRESH_S", 3600)
    events = batch(3)
    writer.write(events)
    assert reader.count(All()) == 0
    monkeypatch.setattr(store_tantivy, "_REFRESH_S", 1e-9)
    assert reader.count(All()) == 3
    writer.write(batch(2))
    assert reader.count(All()) == 5
    assert reader.get(events[0].id) == events[0]
    writer.drop_before("2026-04-01")
    assert reader.count(All()) == 0
    reader.close()
    writer.close()


def test_a_reader_outlives_the_removal_of_what_it_reads(tmp_path: Path) -> None:
    writer = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    events = sorted(batch(50), key=lambda event: event.id)
    writer.write(events)
    reader = TantivyStore(OPTIONS, tmp_path / "store", "reader")
    found = reader.between_ids("0", "Z" * 26)
    writer.drop_before("2026-04-01")
    assert list(found) == events
    reader.refresh()
    assert list(reader.between_ids("0", "Z" * 26)) == []
    assert reader.status().events == 0
    reader.close()
    writer.close()


@pytest.mark.parametrize("name", ["long", "a/b", "..", "ü. x", "%2e"])
def test_a_retention_class_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    event = stored_event(mozdef={"retention": name})
    store.write([event])
    store.close()
    assert {path.name for path in tmp_path.iterdir()} == {"store"}
    again = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    assert again.get(event.id) == event
    assert again.drop_before("2027-01-01") == 0
    assert again.drop_before("2027-01-01", name) == 1
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["writer.lock"]
    again.close()


def test_an_event_is_found_by_an_id_of_another_day(store: TantivyStore) -> None:
    replayed = stored_event(BASE_US, received_us=BASE_US, event_id=first_id_at(BASE_US + 9 * DAY_US))
    foreign = stored_event(BASE_US + DAY_US, event_id="from-elsewhere")
    store.write([stored_event(), stored_event(BASE_US + 9 * DAY_US)])
    assert store.get(replayed.id) is None
    store.write([replayed, foreign])
    assert store.get(replayed.id) == replayed
    assert store.known([replayed.id, foreign.id, "other"]) == ids([replayed, foreign])
    store.write([replayed, foreign], maybe_known=True)
    assert store.count(All()) == 4
    assert list(store.between_ids("from", "from-z")) == [foreign]
    assert list(store.between_ids('from"', "from-z")) == [foreign]


def test_many_ids_are_read_in_pieces(store: TantivyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [stored_event(BASE_US + step, received_us=BASE_US + step * 2_000) for step in range(200)]
    events += [Event(f"{events[0].id}-{child}", events[0].body) for child in range(1, 4)]
    store.write(events)
    monkeypatch.setattr(tantivy_search, "_IDS_AT_ONCE", 7)
    read: list[int] = []
    sort = tantivy_search._sorted

    def note(view: tantivy_partition.View, query: object, first: str, last: str) -> list[Event]:
        found = sort(view, query, first, last)  # type: ignore[arg-type]
        read.append(len(found))
        return found

    monkeypatch.setattr(tantivy_search, "_sorted", note)
    expected = sorted(events, key=lambda event: event.id)
    assert list(store.between_ids("0" * 26, "Z" * 26)) == expected
    assert max(read) <= 7
    assert list(store.between_ids(expected[5].id, expected[150].id)) == expected[5:151]


def test_a_search_that_takes_too_long_is_cut_short_and_can_be_continued(tmp_path: Path) -> None:
    store = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    events = batch(50)
    store.write(events)
    store.close()
    hasty = TantivyStore(
        TantivyStore.Options(heap_mb=15, search_timeout_s=1e-9), tmp_path / "store", "reader"
    )
    page = hasty.search(Search(Regexp("summary", ".*see")))
    assert not page.complete
    with pytest.raises(QueryTimeoutError, match="narrow"):
        hasty.count(Regexp("summary", ".*see"))
    assert hasty.count(All()) == 50
    hasty.close()


def test_a_cut_page_leads_on_from_what_was_looked_at(
    store: TantivyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        stored_event(BASE_US + step, summary="rare" if step in (3, 39) else "plain") for step in range(40)
    ]
    store.write(events)
    seconds = iter(range(10_000))
    monkeypatch.setattr(tantivy_deadline.time, "monotonic", lambda: float(next(seconds)))
    found: list[Event] = []
    after, pages = None, 0
    while True:
        search = Search(Regexp("summary", "ra.e"), size=5, after=after)
        page = tantivy_search.find(store._shelf.all(), search, Deadline(8))
        found += page.events
        pages += 1
        after = page.after
        if page.complete:
            break
    assert ids(found) == {events[39].id, events[3].id}
    assert len(found) == 2
    assert pages > 1


def test_writers_of_other_days_are_closed(tmp_path: Path) -> None:
    store = TantivyStore(TantivyStore.Options(heap_mb=15, open_writers=1), tmp_path / "store", "writer")
    for day in range(4):
        store.write([stored_event(BASE_US + day * DAY_US)])
    assert [partition.writing for partition in store._shelf.all()] == [False, False, False, True]
    store.write([stored_event()])
    assert [partition.writing for partition in store._shelf.all()] == [True, False, False, False]
    assert store.count(All()) == 5
    store.close()


def test_a_partition_of_another_version_is_not_touched(tmp_path: Path) -> None:
    store = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    store.write(batch(1))
    store.close()
    path = tmp_path / "store" / f"{DAY}.default" / "partition.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "format": 99}))
    store = TantivyStore(OPTIONS, tmp_path / "store", "writer")
    with pytest.raises(StoreUnavailableError, match="expected format 4, got 99"):
        store.count(All())
    with pytest.raises(StoreUnavailableError, match="expected format 4, got 99"):
        store.write(batch(1))
    store.close()


def test_a_value_without_a_field_is_looked_for_by_the_known_paths(store: TantivyStore) -> None:
    store.write([stored_event(details={f"key{number}": "needle"}) for number in range(5)])
    store.write([stored_event(summary="a needle in it"), stored_event(details={"list": [{"x": ["needle"]}]})])
    store.write([stored_event(details={"key1": "needles", "number": 7})])
    assert store.count(Match("*", "needle")) == 7
    assert store.count(Wildcard("*", "needle?")) == 1
    assert store.count(Wildcard("*", "n?edl*")) == 8
    assert store.count(Match("*", "7")) == 0


def test_a_prefix_finds_more_values_than_the_engine_follows_by_itself(store: TantivyStore) -> None:
    store.write([stored_event(details={"user": f"user{number}"}) for number in range(200)])
    store.write([stored_event(details={"user": user}) for user in ("use", "uses", "User1")])
    (partition,) = store._shelf.all()
    view = partition.view()
    cut = Query.phrase_prefix_query(view.index.schema, "e.details.user", ["user"])
    assert view.count(cut) == 50
    assert store.count(Prefix("details.user", "user")) == 200
    assert store.count(Prefix("details.user", "user", case_insensitive=True)) == 201
    assert store.count(Wildcard("details.user", "user*")) == 200
    assert store.count(Prefix("details.user", "")) == 203


def test_a_batch_without_times_makes_no_partition(store: TantivyStore, tmp_path: Path) -> None:
    broken = stored_event(receivedtimestamp="2026-99-99T00:00:00.000000+00:00")
    assert [refusal.event for refusal in store.write([broken])] == [broken]
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["writer.lock"]
