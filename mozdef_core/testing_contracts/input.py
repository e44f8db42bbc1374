"""What every input must do, as tests that a plugin inherits, and an intake that remembers what it was given."""

# a test's name is its sentence, and it asserts

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest

from mozdef_core.errors import InvalidItemError, QueueError, QueueFullError
from mozdef_core.host import contain
from mozdef_core.normalise import EntranceSettings, Normaliser
from mozdef_core.ports import Input, Intake, Item, Origin, PutResult

PATIENCE_S = 20
ODD = (
    b"",
    b"\x00",
    b"\xff\xfe\xfa",
    b"plain text",
    b"<34>",
    b"<999999999999999999999>x",
    b'{"a": 1}',
    b"[" * 10_000,
    b'{"a":' * 10_000,
    "\ud7ff \U0001f600 \u202e".encode(),
    b"x" * 100_000,
)
"""What senders send when nobody is looking. A decoder reads it, or says why not."""


class RememberedIntake(Intake):
    """Keeps what it is given, each sender id once, as the queue does.

    It raises ``refusal`` while there is one, waits for ``gate`` before it does anything, and raises
    ``failure_after_put`` when it has kept something, like a process that is killed before it can say so.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[list[bytes], str | None, dict[str, Any]]] = []
        self.losses: Counter[str] = Counter()
        self.repeats = 0
        self.refusal: QueueError | None = None
        self.failure_after_put: Exception | None = None
        self.asked = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def put(
        self,
        raw: Sequence[bytes],
        *,
        peer: str | None = None,
        sender_ids: Sequence[str | None] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> PutResult:
        """Keep items unless they are repeats; see the class."""
        self.asked.set()
        assert self.gate.wait(PATIENCE_S)
        if self.refusal is not None:
            raise self.refusal
        ids = [None] * len(raw) if sender_ids is None else sender_ids
        fresh = []
        with self._lock:
            for item, sender_id in zip(raw, ids, strict=True):
                if sender_id is not None and sender_id in self._seen:
                    self.repeats += 1
                    continue
                if sender_id is not None:
                    self._seen.add(sender_id)
                fresh.append(item)
            if fresh:
                self.calls.append((fresh, peer, dict(fields or {})))
        if self.failure_after_put is not None:
            raise self.failure_after_put
        return PutResult([""] * len(raw), len(raw) - len(fresh))

    def lost(self, count: int, reason: str) -> None:
        """Count what the input gave up."""
        self.losses[reason] += count

    @property
    def messages(self) -> list[bytes]:
        """The items that were kept, in order."""
        with self._lock:
            return [item for raw, _, _ in self.calls for item in raw]

    def until(self, number: int, timeout_s: float = PATIENCE_S) -> list[bytes]:
        """Wait until so many items are here and return them."""
        end_s = time.monotonic() + timeout_s
        while len(self.messages) < number and time.monotonic() < end_s:
            time.sleep(0.005)
        found = self.messages
        assert len(found) >= number, f"{len(found)} of {number} items arrived"
        return found


class RunningInput:
    """An input that runs in a thread until it is stopped."""

    def __init__(self, source: Input[Any], intake: Intake) -> None:
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self._source = source
        self._intake = intake
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.error = contain(self._source.run, self._intake, self.stopping).error

    def stop(self) -> None:
        """Tell it to stop and wait until it has."""
        self.stopping.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "run() must return soon after stop is set"
        assert self.error is None, self.error


Deliver = Callable[[Input[Any], Sequence[str]], None]
"""Sends lines to an input that is bound, as a real sender would, and returns when they are out of its hands."""


class InputContract:
    """The tests for every input; a plugin gives the fixtures ``make`` and ``deliver``.

    ``make`` is a function that makes the same input again and again, as a restarted worker does: with the same
    options and the same state on disk. ``deliver`` is a :data:`Deliver` that can be called again and again.
    """

    @pytest.fixture
    def make(self) -> Callable[[], Input[Any]]:
        """Give a function that makes the input."""
        raise NotImplementedError("a subclass gives the fixture make")

    @pytest.fixture
    def deliver(self) -> Deliver:
        """Give a function that sends lines to it."""
        raise NotImplementedError("a subclass gives the fixture deliver")

    @pytest.fixture
    def intake(self) -> RememberedIntake:
        """An intake that outlives restarts of the input."""
        return RememberedIntake()

    @pytest.fixture
    def start(self, intake: RememberedIntake) -> Iterator[Callable[[Input[Any]], RunningInput]]:
        """Give a function that binds an input and runs it."""
        made: list[RunningInput] = []

        def run(source: Input[Any]) -> RunningInput:
            source.bind()
            made.append(RunningInput(source, intake))
            return made[-1]

        yield run
        for running in made:
            running.stopping.set()
            running.stop()

    def test_what_is_sent_is_handed_over_in_order_and_once(
        self,
        make: Callable[[], Input[Any]],
        deliver: Deliver,
        start: Callable[[Input[Any]], RunningInput],
        intake: RememberedIntake,
    ) -> None:
        source = make()
        running = start(source)
        lines = [f"line {number}" for number in range(2_500)]
        deliver(source, lines)
        intake.until(len(lines))
        running.stop()
        summaries = [str(self._summary(source, raw)) for raw in intake.messages]
        assert [line for line in summaries if line.startswith("line ")] == lines
        assert not intake.losses

    def test_binding_again_does_no_harm_and_nothing_is_read_before_run(
        self,
        make: Callable[[], Input[Any]],
        start: Callable[[Input[Any]], RunningInput],
        intake: RememberedIntake,
    ) -> None:
        source = make()
        source.bind()
        source.bind()
        assert not intake.asked.is_set()
        start(source).stop()

    def test_while_the_queue_takes_nothing_nothing_is_lost_or_doubled(
        self,
        make: Callable[[], Input[Any]],
        deliver: Deliver,
        start: Callable[[Input[Any]], RunningInput],
        intake: RememberedIntake,
    ) -> None:
        source = make()
        intake.refusal = QueueFullError("the queue is full", retry_after_s=1)
        running = start(source)
        deliver(source, ["first", "second"])
        assert intake.asked.wait(PATIENCE_S), "the input never tried"
        assert not intake.messages
        intake.refusal = None
        deliver(source, ["third"])
        intake.until(3)
        running.stop()
        assert sorted(str(self._summary(source, raw)) for raw in intake.messages) == [
            "first",
            "second",
            "third",
        ]
        assert not intake.losses

    def test_it_runs_again_after_it_was_stopped(
        self,
        make: Callable[[], Input[Any]],
        deliver: Deliver,
        start: Callable[[Input[Any]], RunningInput],
        intake: RememberedIntake,
    ) -> None:
        first = make()
        running = start(first)
        deliver(first, ["before"])
        intake.until(1)
        running.stop()
        second = make()
        running = start(second)
        deliver(second, ["after"])
        intake.until(2)
        running.stop()
        assert [str(self._summary(second, raw)) for raw in intake.messages] == ["before", "after"]

    def test_it_stops_at_once_when_it_was_told_to_before_it_ran(self, make: Callable[[], Input[Any]]) -> None:
        source, stop = make(), threading.Event()
        source.bind()
        stop.set()
        thread = threading.Thread(target=source.run, args=(RememberedIntake(), stop))
        thread.start()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()

    @pytest.mark.parametrize("raw", ODD, ids=lambda raw: repr(raw[:12]))
    def test_its_decoder_reads_anything_or_says_why_not(
        self, make: Callable[[], Input[Any]], raw: bytes
    ) -> None:
        source = make()
        try:
            decoded = source.decode(raw)
        except NotImplementedError:
            assert source.decoder == "json", "an input with a decoder of its own must have decode()"
            return
        except InvalidItemError as error:
            assert error.code
            assert error.reason
            return
        assert source.decode(raw) == decoded, "a decoder must keep nothing between items"
        assert orjson.dumps(dict(decoded)) is not None

    def test_it_says_what_it_is(self, make: Callable[[], Input[Any]]) -> None:
        source = make()
        assert source.kind
        assert source.decoder
        for name, field in type(source).Options.model_fields.items():
            assert field.description, f"the option {name!r} needs a description"

    @staticmethod
    def _summary(source: Input[Any], raw: bytes) -> object:
        """Return the summary of the event that an item becomes."""
        decoded = source.decode(raw)
        item = Item("0" * 26, 1_700_000_000_000_000, Origin("test", source.kind, source.decoder), raw)
        return (
            Normaliser("test.example", 1, ())
            .normalise(dict(decoded), item, EntranceSettings())
            .get("summary")
        )
