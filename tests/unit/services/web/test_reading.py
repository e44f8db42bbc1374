from __future__ import annotations

import asyncio
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozdef_core.services.web import reading
from mozdef_core.services.web.policy import BodyLimits, RefusalError
from mozdef_core.services.web.reading import Bodies, hear_out

LIMITS = BodyLimits(body_bytes=100_000, timeout_s=30, rate_bytes_s=4096, memory_bytes=250_000)
CLOSED = object()


class Sender:
    """A body as Granian hands it out: what is fed to it, then an empty piece, and one more after an error."""

    def __init__(self, *pieces, left=10**9):
        self._pieces = asyncio.Queue()
        self._left = left
        self.asked = False
        self.read_bytes = 0
        self._state = "new"
        self._ends = 0
        self.feed(*pieces)

    def feed(self, *pieces):
        for piece in pieces:
            if isinstance(piece, bytes) and piece:
                piece = piece[: self._left]
                self._left -= len(piece)
                if not piece:
                    continue
            self._pieces.put_nowait(piece)

    async def __call__(self):
        self.asked = True
        whole = b""
        while piece := await self._pieces.get():
            if piece is CLOSED:
                raise RuntimeError("RSGI transport is closed")
            whole += piece
        return whole

    def __aiter__(self):
        if self._state != "new":
            raise RuntimeError("the body is begun")
        self._state = "begun"
        return self

    async def __anext__(self):
        if self._state != "begun":
            raise StopAsyncIteration
        self.asked = True
        piece = await self._pieces.get()
        if piece is CLOSED:
            self.feed(b"")
            return b""
        if not piece:
            self._state = "over"
        self.read_bytes += len(piece)
        return piece


def length(size_bytes, **fields):
    return {"CONTENT_LENGTH": str(size_bytes), **fields}


CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}


def outcome(environ, sender, bodies):
    """Read to the end; return the body, or status and code of the refusal."""

    async def run():
        try:
            return await bodies.read(environ, sender)
        except RefusalError as error:
            assert asyncio.current_task().cancelling() == 0  # or what the task awaits next would be cut short
            return error.status, error.code

    return run()


def read(environ, *pieces, limits=LIMITS):
    async def run():
        bodies = Bodies(limits)
        found = await outcome(environ, Sender(*pieces), bodies)
        held = len(found) if isinstance(found, bytes) else 0
        assert bodies.snapshot() == {"reading": 0, "held_bytes": held}
        return found

    return asyncio.run(run())


@given(st.lists(st.binary(min_size=1, max_size=50_000), max_size=4), st.booleans())
def test_a_body_is_read_however_it_arrives(pieces, chunked):
    body = b"".join(pieces)
    found = read(CHUNKED if chunked else length(len(body)), *pieces, b"")
    assert found == (body if len(body) <= 100_000 else (413, "too-large"))


@pytest.mark.parametrize("announced", [9, 90_000])
def test_a_body_shorter_than_announced_is_refused(announced):
    assert read(length(announced), b"12345678", b"") == (400, "incomplete-body")
    assert read(length(announced), b"12345678", CLOSED) == (400, "incomplete-body")


def test_a_chunked_body_that_is_cut_short_is_not_taken_for_a_whole_one():
    assert read(CHUNKED, b'{"a":1}\n', b"") == b'{"a":1}\n'
    assert read(CHUNKED, b'{"a":1}\n', CLOSED) == (400, "incomplete-body")
    assert read(CHUNKED, CLOSED) == (400, "incomplete-body")


def test_the_limit_itself_is_allowed():
    for environ in (length(100_000), CHUNKED):
        assert len(read(environ, b"x" * 100_000, b"")) == 100_000
    assert read(length(100_001), b"x" * 100_001, b"") == (413, "too-large")
    assert read(CHUNKED, b"x" * 100_001, b"") == (413, "too-large")


def test_what_is_announced_too_large_is_not_read_at_all():
    async def run():
        sender = Sender(b"x")
        assert await outcome(length(10_000_000), sender, Bodies(LIMITS)) == (413, "too-large")
        assert not sender.asked

    asyncio.run(run())


def test_who_asks_before_sending_too_much_is_not_told_to_go_on():
    """Granian says 100 Continue when the first piece is asked for."""

    async def run():
        sender = Sender(b"x")
        environ = length(10_000_000, HTTP_EXPECT="100-continue")
        assert await outcome(environ, sender, Bodies(LIMITS)) == (413, "too-large")
        await hear_out(sender)
        assert not sender.asked

    asyncio.run(run())


def test_a_sender_is_heard_out_after_the_answer_but_not_for_ever(monkeypatch):
    async def run():
        sender = Sender(*[b"x" * 50_000] * 10, b"")
        assert await outcome(CHUNKED, sender, Bodies(LIMITS)) == (413, "too-large")
        assert sender.read_bytes == 150_000
        await hear_out(sender)
        assert sender.read_bytes == 500_000
        monkeypatch.setattr(reading, "_DRAIN_S", 0.01)
        stalled = Sender(b"x" * 150_000)
        await outcome(CHUNKED, stalled, Bodies(LIMITS))
        await hear_out(stalled)

    asyncio.run(run())


@pytest.mark.parametrize("text", ["x", "-1", "1e3", "²"])
def test_a_length_that_is_no_number_is_refused(text):
    assert read({"CONTENT_LENGTH": text}) == (400, "invalid-length")


def test_a_request_without_a_length_has_no_body():
    assert read({}) == b""
    assert read({"CONTENT_LENGTH": "0"}) == b""


def test_a_body_in_pieces_of_a_byte_takes_little_more_memory_than_its_size():
    async def run():
        sender = Sender()
        bodies = Bodies(LIMITS)
        task = asyncio.create_task(outcome(CHUNKED, sender, bodies))
        tracemalloc.start()
        for _ in range(50_000):
            sender.feed(b"%d" % (time.monotonic_ns() % 10))
            await asyncio.sleep(0)
        held_bytes = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        sender.feed(b"")
        assert len(await task) == 50_000
        assert held_bytes < 200_000

    asyncio.run(run())


@pytest.mark.parametrize("environ", [length(10), length(90_000), CHUNKED])
def test_a_body_that_stalls_is_given_up_when_its_time_is_over(environ):
    async def run():
        bodies = Bodies(BodyLimits(body_bytes=100_000, timeout_s=0.05, rate_bytes_s=10**9))
        sender = Sender(b"1")
        assert await asyncio.wait_for(outcome(environ, sender, bodies), 10) == (408, "slow-body")
        assert bodies.snapshot() == {"reading": 0, "held_bytes": 0}

    asyncio.run(run())


@pytest.mark.parametrize(("environ", "buys_s"), [(length(40_960), 10), (CHUNKED, 5), (length(90_000), 5)])
def test_what_has_arrived_buys_time_and_a_small_body_has_all_of_it_from_the_start(
    environ, buys_s, monkeypatch
):
    now_s = [0.0]

    async def run():
        bodies = Bodies(LIMITS)
        task = asyncio.create_task(outcome(environ, Sender(b"x" * 20_480), bodies))
        await asyncio.sleep(0.01)
        now_s[0] = 29.9 + buys_s
        bodies._sweep()
        await asyncio.sleep(0)
        assert not task.done()
        now_s[0] = 30.1 + buys_s
        bodies._sweep()
        assert await task == (408, "slow-body")

    class Clock:
        def monotonic(self):
            return now_s[0]

    monkeypatch.setattr(reading, "time", Clock())
    asyncio.run(run())


def test_the_clock_is_not_looked_at_while_nothing_is_on_its_way():
    async def run():
        bodies = Bodies(BodyLimits(timeout_s=0.04))
        sender = Sender()
        task = asyncio.create_task(outcome(length(2), sender, bodies))
        await asyncio.sleep(0)
        assert bodies._timer is not None
        sender.feed(b"ok", b"")
        assert await task == b"ok"
        await asyncio.sleep(0.05)
        assert bodies._timer is None

    asyncio.run(run())


def test_when_memory_runs_out_the_oldest_goes_and_is_told_to_come_back():
    async def run():
        bodies = Bodies(LIMITS)
        stalled = [Sender(b"x" * 90_000) for _ in range(2)]
        tasks = [asyncio.create_task(bodies.read(length(95_000), one)) for one in stalled]
        await asyncio.sleep(0.01)
        assert bodies.snapshot() == {"reading": 2, "held_bytes": 180_000}
        assert len(await bodies.read(length(95_000), Sender(b"y" * 95_000, b""))) == 95_000
        with pytest.raises(RefusalError) as caught:
            await tasks[0]
        assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "busy", 5)
        stalled[1].feed(b"x" * 5_000, b"")
        assert len(await tasks[1]) == 95_000
        assert bodies.snapshot() == {"reading": 0, "held_bytes": 190_000}
        with pytest.raises(RefusalError, match="250000 bytes"):  # what is worked on is not taken away
            await bodies.read(length(95_000), Sender(b"z" * 95_000, b""))
        bodies.release(190_000)
        assert bodies.snapshot() == {"reading": 0, "held_bytes": 0}

    asyncio.run(run())


def test_small_bodies_that_stall_are_counted_by_what_they_announce():
    async def run():
        bodies = Bodies(LIMITS)
        tasks = [asyncio.create_task(outcome(length(50_000), Sender(b"x"), bodies)) for _ in range(6)]
        await asyncio.sleep(0.01)
        assert bodies.snapshot() == {"reading": 5, "held_bytes": 250_000}
        assert [task.result() for task in tasks if task.done()] == [(503, "busy")]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert bodies.snapshot() == {"reading": 0, "held_bytes": 0}

    asyncio.run(run())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from([length(30_000), length(95_000), CHUNKED])),
        st.tuples(st.just("feed"), st.integers(0, 9), st.integers(1, 60_000)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("break"), st.integers(0, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(st.just("late"), st.integers(0, 9)),
        st.tuples(st.just("turn")),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_memory_is_bounded_and_none_is_lost_whatever_happens_in_whatever_order(steps):
    async def run():
        bodies, senders, tasks, worked_on = Bodies(LIMITS), [], [], []

        def collect():
            for task in [task for task in tasks if task.done()]:
                tasks.remove(task)
                if not task.cancelled() and task.exception() is None:
                    worked_on.append(len(task.result()))
                elif not task.cancelled():
                    assert isinstance(task.exception(), RefusalError)

        for what, *arguments in steps:
            if what == "begin":
                senders.append(Sender(left=int(arguments[0].get("CONTENT_LENGTH", 10**9))))
                tasks.append(asyncio.create_task(bodies.read(arguments[0], senders[-1])))
            elif what == "release" and worked_on:
                bodies.release(worked_on.pop(arguments[0] % len(worked_on)))
            elif what == "turn":
                await asyncio.sleep(0)
            elif what == "late" and bodies._readings:
                list(bodies._readings)[arguments[0] % len(bodies._readings)].began_s -= 10_000
                bodies._sweep()
            elif what == "cancel" and tasks:
                tasks[arguments[0] % len(tasks)].cancel()
            elif what in ("feed", "end", "break") and senders:
                piece = b"x" * arguments[1] if what == "feed" else b"" if what == "end" else CLOSED
                senders[arguments[0] % len(senders)].feed(piece)
            held = bodies.snapshot()["held_bytes"]
            assert 0 <= held <= LIMITS.memory_bytes
            collect()
        for sender in senders:
            sender.feed(b"")
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        collect()
        assert tasks == []
        assert bodies.snapshot() == {"reading": 0, "held_bytes": sum(worked_on)}

    asyncio.run(run())
