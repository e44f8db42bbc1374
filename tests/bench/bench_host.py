"""What plugins cost an event: forty that do not concern it, one that does, and the containment of a call.

Run it as ``python tests/bench/bench_host.py``. Figures are microseconds, the median of several rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mozdef_core.event import Change, Event
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.inflight import InFlight
from mozdef_core.markers import hookimpl

ROUNDS, CALLS = 15, 20_000


class Mapper:
    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        return None


class Changing:
    CHANGE = Change({"details.username": "ines", "details.sourceipaddress": "192.0.2.1"})

    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        return self.CHANGE


EVENT = Event(
    "01JDEXAMPLE000000000000001",
    {
        "summary": "Failed password for root from 192.0.2.1 port 22 ssh2",
        "category": "syslog",
        "source": "auth.log",
        "hostname": "web1.example",
        "processname": "sshd",
        "tags": ["production", "web"],
        "details": {"program": "sshd", "sourceipaddress": "192.0.2.1"},
        "mozdef": {"input": {"name": "syslog", "endpoint": None}, "defaulted": ["severity"], "plugins": []},
    },
)

WANTED = [
    lambda n: {"category": {f"category{n}", f"other{n}"}},
    lambda n: {"program": {f"program{n}", f"daemon{n}"}},
    lambda n: {"source": {f"source{n}"}, "category": {f"log{n}"}},
    lambda n: {"tags": {f"tag{n}"}, "endpoint": {f"endpoint{n}"}},
    lambda n: {"category": {f"category{n}"}, "details.eventname": {"*"}},
]


def median_us(action: Callable[[], object]) -> float:
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS):
            action()
        found.append((time.perf_counter() - began) / CALLS * 1e6)
    return statistics.median(found)


def forty(kinds: int) -> Host:
    plugins = [Plugin(f"m{n}", Mapper(), applies_to=WANTED[n % kinds](n)) for n in range(40)]
    return Host(plugins, Health())


def figures() -> dict[str, float]:
    found = {}
    for kinds, text in [(1, "category"), (3, "category, source, program"), (4, "and tags, endpoint")]:
        table = forty(kinds).table("on_event")
        assert table.next_index(EVENT, 0) == 40
        found[f"40 mappers that do not concern the event, by {text}"] = median_us(
            lambda t=table: t.next_index(EVENT, 0)
        )
    table = forty(5).table("on_event")
    assert table.next_index(EVENT, 0) == 40
    found["40 mappers that do not concern the event, and a dotted path"] = median_us(
        lambda: table.next_index(EVENT, 0)
    )
    one = Plugin("one", Mapper())
    host = Host([one], Health())
    bare = one.instance.on_event
    found["a plugin called bare"] = median_us(lambda: bare(event=EVENT))
    found["a plugin called by the host"] = median_us(lambda: host.call(one, "on_event", event=EVENT))
    changing = Plugin("changing", Changing())
    changed = Host([changing], Health())
    found["a plugin that returns a change, called by the host"] = median_us(
        lambda: changed.call(changing, "on_event", event=EVENT)
    )
    with tempfile.TemporaryDirectory() as directory:
        flight = InFlight(Path(directory) / "calls")
        label = flight.label("geoip", "enrich")
        found["publishing a call and its end"] = median_us(
            lambda: flight.end(flight.begin(label, EVENT.id, 1))
        )
        watched = Host([one], Health(in_flight=flight))
        found["a plugin called by the host and published"] = median_us(
            lambda: watched.call(one, "on_event", event=EVENT)
        )
    return found


if __name__ == "__main__":
    for text, microseconds in figures().items():
        print(f"{microseconds:8.2f} us  {text}")
