from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
import zstandard

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueueFullError, QueueUnavailableError
from mozdef_core.event import Event
from mozdef_core.ports import Item, PutResult, QueueDepth
from mozdef_core.services import importing as module
from mozdef_core.services import transfer_files
from mozdef_core.services.backfill import read_event, restore
from mozdef_core.services.importing import BACKLOG, Import, Outcome, Positions
from mozdef_core.services.transfer import TransferError
from mozdef_core.services.transfer_files import PACKERS, read_lines
from mozdef_core.services.transfer_parquet import write as write_parquet
from mozdef_core.settings import RetentionSettings
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

FOR_EVER = RetentionSettings(default=None)


class Queue(MemoryQueue):
    """Keeps what it is given; is as full as it is told."""

    def __init__(self, waiting: Sequence[int] = (), refusals: Sequence[Exception] = ()) -> None:
        super().__init__(MemoryQueue.Options())
        self.waiting, self.refusals = list(waiting), list(refusals)
        self.puts: list[list[Item]] = []
        self.size_bytes = 0

    def put(self, items: Sequence[Item]) -> PutResult:
        if self.refusals:
            raise self.refusals.pop(0)
        self.puts.append(list(items))
        return PutResult([item.id for item in items], 0)

    def depth(self) -> QueueDepth:
        items = self.waiting.pop(0) if self.waiting else 0
        return QueueDepth(items, self.size_bytes, 100, None)

    @property
    def events(self) -> list[Event]:
        return [event for items in self.puts for event in restore(items).events]


class Site:
    def __init__(
        self,
        tmp_path: Path,
        queue: Queue | None = None,
        retention: RetentionSettings = FOR_EVER,
        working: Callable[[], bool] = lambda: True,
    ) -> None:
        self.queue, self.store = queue or Queue(), MemoryStore()
        self.slept: list[float] = []
        self.positions = Positions(tmp_path / "imports")
        self.doing = Import(self.queue, self.store, retention, working, self.positions, self.slept.append)

    def file(self, path: Path, *, resume: bool = False) -> Outcome:
        self.steps: list[int] = []
        self.doing.file(path, self.steps.append, resume=resume)
        return self.doing.done


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)


def events(count: int = 45) -> list[Event]:
    return [stored_event(BASE_US + n, details={"n": n}) for n in range(count)]


def written(path: Path, some: Sequence[Event]) -> Path:
    if path.suffix == ".parquet":
        write_parquet(path, some)
        return path
    pack = next(pack for ending, pack in PACKERS.items() if path.name.endswith(ending))
    lines = [event.to_bytes() + b"\n" for event in some]
    path.write_bytes(pack(b"".join(lines[:20])) + pack(b"".join(lines[20:])))
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_every_event_goes_into_the_queue_with_its_id(tmp_path: Path, ending: str) -> None:
    some = events()
    site = Site(tmp_path)
    path = written(tmp_path / f"x{ending}", some)
    assert site.file(path) == Outcome(queued=45)
    assert sum(site.steps) == path.stat().st_size
    assert site.queue.events == [read_event(event.to_bytes()) for event in some]
    assert [item.id for items in site.queue.puts for item in items] == [event.id for event in some]


def test_the_form_is_told_by_the_content_not_by_the_name(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl.gz", events())
    assert Site(tmp_path).file(path.rename(tmp_path / "x.txt")) == Outcome(queued=45)


def test_what_is_stored_is_not_sent_again(tmp_path: Path) -> None:
    some, site = events(), Site(tmp_path)
    site.store.write(some[:30])
    assert site.file(written(tmp_path / "x.jsonl", [*some, some[-1]])) == Outcome(queued=15, known=31)
    assert len(site.queue.events) == 15


def test_a_line_that_is_no_event_is_named_with_its_number_and_costs_no_other(tmp_path: Path) -> None:
    some, site = events(3), Site(tmp_path)
    lines = [some[0].to_bytes(), b"", b"nonsense", some[1].to_bytes(), b'{"id": "\xff"}', some[2].to_bytes()]
    (tmp_path / "x").write_bytes(b"\r\n".join(lines))
    assert site.file(tmp_path / "x") == Outcome(queued=3, rejected=2)
    assert [(error["line"], error["code"]) for error in site.doing.errors] == [
        (3, "invalid-json"),
        (5, "not-an-event"),
    ]
    assert site.doing.errors[0]["file"] == str(tmp_path / "x")


def test_a_line_that_is_much_too_long_is_skipped_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_files, "LONGEST_LINE", 1_000)
    first, last = events(2)
    (tmp_path / "x").write_bytes(b"\n".join([first.to_bytes(), b"x" * 5_555, last.to_bytes()]))
    site = Site(tmp_path)
    assert site.file(tmp_path / "x") == Outcome(queued=2, rejected=1)
    assert site.doing.errors[0] | {"file": ""} == {
        "file": "", "line": 2, "code": "too-large", "reason": "it is longer than 1000 bytes",
    }  # fmt: skip


def test_a_file_of_other_logs_is_given_up_early(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("Jan  1 00:00:00 host sshd: hello\n" * 5_000)
    site = Site(tmp_path)
    with pytest.raises(
        TransferError, match="none of its first 1000 lines is an event that 'mozdef export' wrote"
    ):
        site.file(tmp_path / "x")
    assert len(site.doing.errors) == module.MOST_ERRORS
    assert sum(site.doing.per_code.values()) == 1_000


def cut_gzip() -> bytes:
    return gzip.compress(b"".join(one.to_bytes() + b"\n" for one in events()))[:-20]


def cut_zstd() -> bytes:
    return zstandard.ZstdCompressor().compress(b"".join(one.to_bytes() + b"\n" for one in events()))[:-20]


@pytest.mark.parametrize(
    "content",
    [cut_gzip(), cut_zstd(), b"\x1f\x8bnonsense", b"\x28\xb5\x2f\xfdnonsense", b"PAR1nonsense", b"PAR1"],
)
def test_a_damaged_file_is_no_end(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(TransferError):
        Site(tmp_path).file(tmp_path / "x")


def test_a_parquet_file_of_something_else_is_said_to_be_one(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"id": ["x"], "value": [1]}), tmp_path / "x")
    with pytest.raises(TransferError, match="expected the columns id and event with texts, got id, value"):
        Site(tmp_path).file(tmp_path / "x")


def test_a_row_of_nulls_is_named(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    good = stored_event()
    columns = {"id": ["x", None, good.id], "event": [None, "{}", orjson.dumps(good.body).decode()]}
    parquet.write_table(pa.table(columns), tmp_path / "x")
    site = Site(tmp_path)
    assert site.file(tmp_path / "x") == Outcome(queued=1, rejected=2)


def test_a_row_that_is_no_utf8_is_named_and_costs_no_other(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    good = stored_event()
    texts = pa.array([b"\xff{}", orjson.dumps(good.body)], pa.binary())
    whole = pa.Array.from_buffers(pa.string(), 2, texts.buffers())
    parquet.write_table(
        pa.table([pa.array([good.id, good.id]), whole], names=["id", "event"]), tmp_path / "x"
    )
    assert Site(tmp_path).file(tmp_path / "x") == Outcome(queued=1, rejected=1)


def test_a_parquet_file_with_a_column_twice_is_said_to_be_one(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = [pa.array(["x"]), pa.array(["{}"]), pa.array(["{}"])]
    parquet.write_table(pa.table(columns, names=["id", "event", "event"]), tmp_path / "x")
    with pytest.raises(
        TransferError, match="expected the columns id and event with texts, got id, event, event"
    ):
        Site(tmp_path).file(tmp_path / "x")


def test_a_small_file_that_unfolds_to_much_takes_little_memory() -> None:
    block, last = (((131_072 << 3 | 1 << 1 | end).to_bytes(3, "little") + b"x") for end in (0, 1))
    bomb = b"\x28\xb5\x2f\xfd\x00\x38" + block * 8_000 + last  # of 32 KB a gigabyte
    tracemalloc.start()
    try:
        (line,) = read_lines(io.BytesIO(bomb), "bomb")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert line.wrong is not None
    assert most < 160 << 20


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.zst", ".parquet"])
def test_interrupted_and_gone_on_with_it_repeats_one_batch_at_most(tmp_path: Path, ending: str) -> None:
    some = events()
    path = written(tmp_path / f"x{ending}", some)
    broken = [QueueUnavailableError("gone")] * 99
    first = Site(tmp_path)
    first.queue.put = stop_after(first.queue, 2, broken)  # type: ignore[method-assign]
    with pytest.raises(TransferError, match="the queue takes nothing: gone"):
        first.file(path)
    second = Site(tmp_path)
    assert second.file(path, resume=True) == Outcome(queued=45)
    assert len(first.queue.events) == 20
    assert [event.id for event in second.queue.events] == [event.id for event in some[20:]]
    assert Site(tmp_path).file(path, resume=True) == Outcome(
        queued=45
    )  # it has ended, and only says so again
    second.positions.forget()
    assert not list((tmp_path / "imports").iterdir())


def stop_after(
    queue: Queue, puts: int, errors: list[QueueUnavailableError]
) -> Callable[[Sequence[Item]], PutResult]:
    def put(items: Sequence[Item]) -> PutResult:
        if len(queue.puts) == puts:
            raise errors.pop()
        return Queue.put(queue, items)

    return put


def test_a_file_that_has_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", events())
    Site(tmp_path).file(path)
    written(path, events(46))
    with pytest.raises(TransferError, match="has changed since; start without --resume"):
        Site(tmp_path).file(path, resume=True)
    assert Site(tmp_path).file(path) == Outcome(queued=46)


def test_it_stays_behind_the_events_of_the_present(tmp_path: Path) -> None:
    site = Site(tmp_path, Queue(waiting=[BACKLOG, BACKLOG + 5, BACKLOG - 1]))
    site.file(written(tmp_path / "x.jsonl", events(5)))
    assert len(site.slept) == 2


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    site = Site(tmp_path, Queue(refusals=[QueueFullError("full"), QueueUnavailableError("no disk")]))
    assert site.file(written(tmp_path / "x.jsonl", events(5))).queued == 5
    assert len(site.slept) == 2


def test_without_a_worker_half_of_the_queue_is_used(tmp_path: Path) -> None:
    queue = Queue(waiting=[BACKLOG] * 9)
    site = Site(tmp_path, queue, working=lambda: False)
    assert site.file(written(tmp_path / "x.jsonl", events(5))).queued == 5
    queue.size_bytes = 50
    with pytest.raises(TransferError, match="no worker runs and half of the queue is full; start"):
        site.file(written(tmp_path / "y.jsonl", events(5)))


def test_what_retention_removes_again_is_counted(tmp_path: Path) -> None:
    old = [
        stored_event(BASE_US - 400 * 86_400_000_000, mozdef={"retention": name}) for name in ("audit", "7d")
    ]
    retention = RetentionSettings(default=timedelta(days=90), classes={"audit": None})
    site = Site(tmp_path, retention=retention)
    assert site.file(written(tmp_path / "x.jsonl", old)) == Outcome(queued=2, expired=1)


def test_standard_input_is_read_to_its_end(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.doing.stream(
        io.BytesIO(gzip.compress(b"\n".join(one.to_bytes() for one in events()))), lambda _: None
    )
    assert site.doing.done == Outcome(queued=45)
