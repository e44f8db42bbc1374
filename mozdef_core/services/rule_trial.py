"""A trial of a rule: an example led through decoder, mappers and rule, all in memory and with a time made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mozdef_core import discovery
from mozdef_core.alert import Alert
from mozdef_core.detection import Budget, Detector, Runner, Scheduled
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import ConfigError
from mozdef_core.event import microseconds, new_ids
from mozdef_core.health import Health, Limits
from mozdef_core.host import Host, Plugin
from mozdef_core.normalise import EntranceSettings, Normaliser
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import BatchRecord, Item, Origin
from mozdef_core.query.lists import GivenLists
from mozdef_core.services.decoders import CORE, decoder_of
from mozdef_core.services.examples import Example, Examples, Expected
from mozdef_core.services.listed_store import ListedStore

MakeRule = Callable[[Mapping[str, Any]], Plugin]
"""Makes the rule with options; raises ConfigError when they are wrong."""

_MINUTE_US: Final = 60_000_000
_MOST_TICKS: Final = 1_000
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of an example.

    :param alerts: that were raised, oldest first.
    :param problems: what went wrong on the way, such as a line that no event came of.
    """

    alerts: Sequence[Alert]
    problems: Sequence[str]


def made_by_name(name: str) -> MakeRule:
    """Return what makes an installed rule."""

    def make(options: Mapping[str, Any]) -> Plugin:
        cls = discovery.load_class(discovery.RULES, name)
        return discovery.as_plugin(name, cls, options, f"alerts.{name}")

    return make


def judge(make: MakeRule, examples: Examples, example: Example, *, fires: bool) -> list[str]:
    """Try an example and return what is not as it says; nothing when all is well.

    :raises ConfigError: the rule or a plugin cannot be made with these options.
    """
    tried = try_example(make, examples, example)
    found = list(tried.problems)
    expected = (example.alerts or [Expected()]) if fires else []
    if len(tried.alerts) != len(expected):
        what = "; ".join(f"{alert.summary!r} ({alert.count})" for alert in tried.alerts[:5]) or "none"
        found.append(f"expected {len(expected)} alerts, got {len(tried.alerts)}: {what}")
        return found
    for number, (alert, wanted) in enumerate(zip(tried.alerts, expected, strict=True), 1):
        found.extend(f"alert {number}: {text}" for text in _differences(alert, wanted))
    return found


def _differences(alert: Alert, wanted: Expected) -> Iterator[str]:
    group = alert.group[1] if alert.group else None
    pairs = (
        ("summary", wanted.summary, alert.summary),
        ("count", wanted.count, alert.count),
        ("group", wanted.group, group),
        ("severity", wanted.severity, alert.severity),
        ("category", wanted.category, alert.category),
        ("tags", wanted.tags, list(alert.tags)),
        ("samples", wanted.samples, len(alert.events)),
        *((f"details.{name}", value, alert.details.get(name)) for name, value in wanted.details.items()),
    )
    for name, expected, found in pairs:
        if expected is not None and expected != found:
            yield f"{name}: expected {expected!r}, got {found!r}"


def try_example(make: MakeRule, examples: Examples, example: Example) -> Tried:
    """Lead an example's events through everything, at the times it says, and return the alerts.

    :raises ConfigError: the rule or a plugin cannot be made with these options.
    """
    rule = make(examples.options if example.options is None else example.options)
    plugins = [
        discovery.as_plugin(name, discovery.load_class(discovery.PLUGINS, name), options, f"plugin.{name}")
        for name, options in examples.plugins.items()
    ]
    host = Host([*plugins, rule], Health(Limits.patient(60.0)))
    try:
        return _Stage(host, rule, examples).play(example)
    finally:
        host.close()


class _Stage:
    """Worker, scheduler, store and book in memory, and a clock that is put where it should be."""

    def __init__(self, host: Host, rule: Plugin, examples: Examples) -> None:
        self._now_us = self._told_us = 0
        self._examples = examples
        self._host = host
        self._decoder, decoders = _decoders(examples.input, examples.input_options)
        self._origin = Origin(
            examples.entrance or examples.input, examples.kind, self._decoder, endpoint=examples.endpoint
        )
        settings: Mapping[str, EntranceSettings] = {}
        self._pipeline = Pipeline(host, Normaliser("example", 1, host.recognisers), decoders, settings)
        lists = GivenLists({name: each.made() for name, each in examples.lists.items()})
        self._store = ListedStore(MemoryStore(), lists)
        self._book = MemoryBook(clock=lambda: self._now_us)
        self._detector = Detector(host, lists)
        self._runner = Runner(host, self._store, self._book, Budget(), clock=lambda: self._now_us)
        self._rule = Scheduled.of(rule, lambda us: us + _MINUTE_US)
        self._problems: list[str] = []

    def play(self, example: Example) -> Tried:
        """Send everything, run the rule at every tick between, and return what it found."""
        sent = sorted(
            (pair for sending in example.send for pair in sending.sent(example.received)),
            key=lambda pair: pair[0],
        )
        start_us = microseconds(example.received) - _MINUTE_US
        rest_us = max(example.until // _MICROSECOND, self._rule.traits.look_back_us, 0) + 2 * _MINUTE_US
        end_us = sent[-1][0] + rest_us
        step_us = max(_MINUTE_US, (end_us - start_us) // _MOST_TICKS)
        self._told_us = start_us - 60 * _MINUTE_US
        self._tick(start_us)
        tick_us = start_us + step_us
        for received_us, raw in sent:
            while tick_us <= received_us:
                self._tick(tick_us)
                tick_us += step_us
            self._receive(received_us, raw, {**self._examples.fields, **example.fields})
        while tick_us <= end_us:
            self._tick(tick_us)
            tick_us += step_us
        alerts = sorted(self._book.alerts.values(), key=lambda alert: alert.first)
        return Tried(alerts, self._problems)

    def _receive(self, received_us: int, raw: bytes, fields: Mapping[str, Any]) -> None:
        """Do what the worker does with one item."""
        self._now_us = received_us
        item = Item(new_ids(received_us, 1)[0], received_us, self._origin, raw, fields=fields)
        done = self._pipeline.process([item])
        for letter in done.dead_letters:
            self._problems.append(f"{raw[:200]!r} became a dead letter: {letter.reason}")
        for event in done.events:
            self._problems.extend(
                f"plugin {note['plugin']}: {note['message']}"
                for note in event.body["mozdef"]["problems"]
                if note["code"].startswith("plugin-")
            )
        window = self._detector.window(done.events)
        ids = [event.id for event in done.events]
        found = self._detector.stream(window, min(ids), max(ids)) if ids else None
        if found is not None:
            self._problems.extend(f"the rule did not get through: {span.reason}" for span in found.owed)
        self._store.write(done.events)
        self._book.record(
            BatchRecord(arrivals=window.arrivals(), alerts=found.alerts if found is not None else ())
        )

    def _tick(self, at_us: int) -> None:
        """Do what the scheduler does at its next time."""
        self._now_us = at_us
        up = {"queue": {"oldest_us": None}, "worker": {"watermark_us": at_us}}
        for minute_us in (*range(self._told_us + _MINUTE_US, at_us, _MINUTE_US), at_us):
            self._book.report("worker", "trial", up, minute_us)
            self._book.report("web", "trial", {}, minute_us)
        self._told_us = at_us
        if not self._rule.traits.scheduled:
            return
        while self._runner.run(self._rule) == timedelta(0):
            pass
        failed = [row for row in self._book.intervals(self._rule.key, 0, at_us) if row.state == "failed"]
        self._problems.extend(f"the rule failed: {row.reason}" for row in failed)


def _decoders(name: str, options: Mapping[str, Any]) -> tuple[str, Mapping[str, Callable[[bytes], object]]]:
    """Return the decoder that an input's items carry, and all that there are.

    :raises ConfigError: there is no such input, or its options are wrong.
    """
    if name in CORE:
        if options:
            raise ConfigError([f"input_options: the input {name} has none"])
        return name, CORE
    cls = discovery.load_class(discovery.INPUTS, name)
    try:
        source = cls(discovery.options_of(cls, options, f"input.{name}"))
    except ValueError as error:
        raise ConfigError([f"input.{name}: {error}"]) from error
    carried = decoder_of(name, source)
    return carried, {**CORE, carried: source.decode} if carried == name else CORE
