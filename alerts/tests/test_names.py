from __future__ import annotations

import itertools
import threading

import pytest
from mozdef_alerts.names import Names

TABLE = {"10.0.0.1": "db1.lab.example.", "10.0.0.2": "db2.lab.example", "2001:db8::1": "six.lab.example"}


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


class Server:
    """A name server that notes what it was asked."""

    def __init__(self, table=TABLE):
        self.table = table
        self.asked = []
        self.open = threading.Event()
        self.open.set()

    def __call__(self, address):
        self.asked.append(address)
        self.open.wait()
        if address not in self.table:
            raise OSError("no such name")
        return self.table[address]


@pytest.fixture
def server():
    made = Server()
    yield made
    made.open.set()


@pytest.fixture
def make_names(server):
    made = []

    def make(lookup=server, **options):
        made.append(Names(lookup, **{"limit_s": 60.0, **options}))
        return made[-1]

    yield make
    for names in made:
        names.close()


def test_names_stand_in_parentheses_behind_their_addresses(make_names):
    shown = make_names().shown(["10.0.0.2", "10.9.9.9", "2001:db8::1"])
    assert shown == "10.0.0.2 (db2.lab.example), 10.9.9.9, 2001:db8::1 (six.lab.example)"


def test_each_address_is_asked_for_once_until_the_answer_is_old(make_names, server):
    clock = Clock()
    names = make_names(clock=clock)
    for _ in range(3):
        assert names.known(["10.0.0.1", "10.9.9.9", "10.0.0.1"]) == {"10.0.0.1": "db1.lab.example"}
    assert sorted(server.asked) == ["10.0.0.1", "10.9.9.9"]
    clock.now_s = 400.0
    names.known(["10.0.0.1", "10.9.9.9"])
    assert sorted(server.asked) == ["10.0.0.1", "10.9.9.9", "10.9.9.9"]
    clock.now_s = 4_000.0
    names.known(["10.0.0.1"])
    assert server.asked.count("10.0.0.1") == 2


def test_a_server_that_does_not_answer_costs_names_and_one_limit_a_minute(make_names, server):
    clock = Clock()
    server.open.clear()
    names = make_names(limit_s=0.01, clock=clock)
    assert names.shown(["10.0.0.1"]) == "10.0.0.1"
    assert names._patience_s == 0.0
    clock.now_s = 30.0
    assert names.shown(["10.0.0.2"]) == "10.0.0.2"
    server.open.set()
    for _ in range(100_000):  # each waits for the limit at most; the answer comes in the end
        clock.now_s += 60.0
        if names.known(["10.0.0.1"]):
            break
    assert names.known(["10.0.0.1"]) == {"10.0.0.1": "db1.lab.example"}
    assert server.asked.count("10.0.0.1") == 1


def test_only_so_many_questions_wait(make_names, server):
    server.open.clear()
    names = make_names(limit_s=0.0)
    names.known(f"10.1.{high}.{low}" for high, low in itertools.product(range(4), range(256)))
    assert len(names._pending) == 256
    assert names._threads == 4


def test_only_so_many_answers_are_kept(make_names, server):
    names = make_names(most=2)
    for address in ("10.0.0.1", "10.0.0.2", "2001:db8::1"):
        names.known([address])
    assert list(names._kept) == ["10.0.0.2", "2001:db8::1"]


@pytest.mark.parametrize(
    "name", ["", ".", "10.0.0.1", "a b", "evil\nname", "<b>x</b>", "-x", "a..b", "x" * 300, "ü.example"]
)
def test_what_no_host_can_be_called_is_no_name(make_names, name):
    assert make_names(lambda address: name).known(["10.0.0.1"]) == {}


def test_without_a_lookup_and_when_closed_nothing_is_asked(make_names, server):
    assert Names(None).shown(["10.0.0.1"]) == "10.0.0.1"
    names = make_names()
    names.close()
    assert names.shown(["10.0.0.1"]) == "10.0.0.1"
    assert server.asked == []
    assert names._threads == 0
