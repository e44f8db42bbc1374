"""MozDef's own health as events: what an operator should know comes in like any other event, and a rule tells of it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from mozdef_core.errors import QueueError
from mozdef_core.event import now_us
from mozdef_core.ports import Intake, Origin
from mozdef_core.services.decoders import OWN
from mozdef_core.settings import HealthSettings

if TYPE_CHECKING:
    from mozdef_core.casework.book import SqlBook
    from mozdef_core.host import Host

log = logging.getLogger(__name__)

ORIGIN: Final = Origin(OWN, "queue")
"""Where these events come in; no sender can use this name."""

_SILENT_US: Final = 30_000_000
_MINUTE_US: Final = 60_000_000
_LOOK_BACK: Final = 1_440
_SETTLED: Final = 2
_LOOKED: Final = "health:looked"
_LETTERS: Final = "health:letters"


class Ailment(NamedTuple):
    """Something that an operator should know.

    :param check: which check has found it; ``subject`` what it is about, such as the name of a rule.
    :param text: one sentence with the value and what would be right.
    """

    check: str
    subject: str
    text: str
    value: float = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks look at, at one moment.

    :param reports: of each live process its role and what it counts.
    :param new_letters: how many dead letters there are more than at the last look.
    :param disk_used: which share of the disk with the data is used.
    :param blind: how many minutes have been found in which MozDef was not listening.
    :param problems: by rule or plugin, what in its options cannot be used.
    :param silent_sources: by source, for how many minutes it has been silent, and what its usual gap is.
    """

    now_us: int
    reports: Sequence[tuple[str, Mapping[str, Any]]] = ()
    new_letters: int = 0
    disk_used: float = 0.0
    blind: int = 0
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    silent_sources: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def ailments(facts: Facts, settings: HealthSettings) -> Iterator[Ailment]:
    """Yield everything that is not as it should be, each once."""
    yield from _queue(facts, settings.queue_age_s)
    if facts.new_letters:
        text = f"{facts.new_letters} new dead letters; see mozdef dead-letters list"
        yield Ailment("dead-letters", "dead letters", text, facts.new_letters)
    if facts.disk_used > settings.disk_share:
        text = f"the disk with the data is {facts.disk_used:.0%} full, {settings.disk_share:.0%} are allowed"
        yield Ailment("disk", "data", text, facts.disk_used)
    if facts.blind:
        text = f"MozDef was not listening for {facts.blind} minutes; rules about silence do not count them"
        yield Ailment("blind", "listening", text, facts.blind)
    yield from _suspended(facts)
    yield from _rules(facts)
    for name, problems in facts.problems.items():
        yield Ailment("invalid-rule", name, f"{name}: {'; '.join(problems)}")
    for source, (silent, usual) in facts.silent_sources.items():
        text = f"nothing from the source {source} for {silent} minutes; its longest gap in a day is {usual} minutes"
        yield Ailment("silent-source", source, text, silent)


def _queue(facts: Facts, most_s: float) -> Iterator[Ailment]:
    oldest = [counters["queue"]["oldest_us"] for _, counters in facts.reports if _tells_age(counters)]
    age_s = (facts.now_us - min(oldest)) / 1_000_000 if oldest else 0.0
    if age_s > most_s:
        text = f"the oldest item in the queue waits for {age_s:.0f} s, {most_s:g} s are allowed"
        yield Ailment("queue-age", "queue", text, age_s)


def _tells_age(counters: Mapping[str, Any]) -> bool:
    return bool(counters.get("queue", {}).get("oldest_us"))


def _suspended(facts: Facts) -> Iterator[Ailment]:
    found: dict[str, str] = {}
    for role, counters in facts.reports:
        for name, state in counters.get("plugins", {}).items():
            if state.get("suspended"):
                found.setdefault(name, f"{name} is suspended in the {role}: {state.get('reason', 'unknown')}")
    for name, text in found.items():
        yield Ailment("suspended", name, text)


def _rules(facts: Facts) -> Iterator[Ailment]:
    for _, counters in facts.reports:
        for name, state in counters.get("rules", {}).items():
            if state.get("quarantine"):
                yield Ailment("quarantined-rule", name, f"the rule {name} rests: {state['quarantine']}")
            elif state.get("late"):
                why = f": {state['last_error']}" if state.get("last_error") else ""
                yield Ailment("late-rule", name, f"the rule {name} runs late{why}")


class OwnHealth:
    """The scheduler's job that looks each minute, and puts an event for each ailment into the queue.

    :param rules: returns by name what is wrong with rules; the plugins say it themselves.
    :param sources: returns the sources that are silent for longer than usual, by :class:`Facts`.
    """

    def __init__(
        self,
        book: SqlBook,
        host: Host,
        intake: Intake,
        settings: HealthSettings,
        *,
        node: str,
        data_dir: Path,
        rules: Callable[[], Mapping[str, Sequence[str]]] = dict,
        sources: Callable[[int], Mapping[str, tuple[int, int]]] = lambda _: {},
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._book = book
        self._host = host
        self._intake = intake
        self._settings = settings
        self._node = node
        self._data_dir = data_dir
        self._rules = rules
        self._sources = sources
        self._clock = clock

    def __call__(self) -> None:
        """Look, and tell; what cannot be told now is told the next minute if it lasts.

        :raises BookUnavailableError, StoreUnavailableError: the next minute tries again.
        """
        found = list(ailments(self._facts(), self._settings))
        if not found:
            return
        try:
            self._intake.put([self._event(ailment) for ailment in found])
        except QueueError as error:
            log.warning("%d findings about MozDef's own health are not in the queue: %s", len(found), error)

    def _event(self, ailment: Ailment) -> bytes:
        details = {"check": ailment.check, "subject": ailment.subject, "value": ailment.value}
        return orjson.dumps(
            {
                "category": "mozdef",
                "source": "health",
                "hostname": self._node,
                "processname": "mozdef",
                "severity": "WARNING",
                "summary": ailment.text,
                "tags": ["mozdef", "health"],
                "details": details,
            }
        )

    def _facts(self) -> Facts:
        from mozdef_core.casework import dead_letters, processes

        now = self._clock()
        with self._book.database.read() as session:
            live = [
                (report.role, report.counters)
                for report in processes.reports(session)
                if report.heartbeat_us > now - _SILENT_US
            ]
            letters = sum(dead_letters.counts(session).values())
        problems = {
            plugin.name: tuple(found)
            for plugin in self._host.plugins
            if (found := getattr(plugin.instance, "problems", ()))
        }
        problems |= {name: tuple(found) for name, found in self._rules().items()}
        usage = shutil.disk_usage(self._data_dir)
        return Facts(
            now,
            live,
            self._grown(_LETTERS, letters),
            usage.used / usage.total,
            self._blind(now),
            problems,
            self._sources(now),
        )

    def _blind(self, now: int) -> int:
        """Return how many minutes since the last look there was no listening, and remember this look.

        Before anything listened for the first time there is nothing to be blind to.
        """
        end = now // _MINUTE_US - _SETTLED
        looked = self._moved(_LOOKED, lambda before: max(before, end) if before else end + _SETTLED)
        start = max(looked, end - _LOOK_BACK)
        if not looked or start >= end:
            return 0
        return end - start - len(self._book.listened(start * _MINUTE_US, end * _MINUTE_US))

    def _grown(self, name: str, present: int) -> int:
        """Return by how much a number is larger than at the last look; at the first look by nothing."""
        before = self._moved(name, lambda _: present + 1)
        return max(present + 1 - before, 0) if before else 0

    def _moved(self, name: str, moved: Callable[[int], int]) -> int:
        """Set a counter to what follows from its value, and return what it was."""
        from mozdef_core.casework.database import next_number, read_number

        with self._book.database.write() as session:
            before = read_number(session, name)
            next_number(session, name, moved(before) - before)
        return before
