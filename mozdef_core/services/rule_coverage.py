"""Coverage: which ATT&CK techniques would be noticed now, and why the other rules do not count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from mozdef_core.errors import QueryError
from mozdef_core.host import Plugin
from mozdef_core.ports import Between, EventStore
from mozdef_core.query.model import ANY_FIELD, All, Bool, Exists, Query
from mozdef_core.query.plain import plain

Tested = Callable[[str], Iterable[str]]
"""Runs the examples of a rule, and returns what is not as it should be, one sentence each."""


class Candidate(NamedTuple):
    """A rule that may count.

    :param attack: its ATT&CK techniques.
    :param rule: None for one that is not enabled, or cannot be made.
    :param problem: why it cannot be made.
    """

    name: str
    attack: Sequence[str]
    rule: Plugin | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """Whether a rule counts.

    :param reasons: why it does not, one sentence each; empty for one that counts.
    """

    rule: str
    attack: Sequence[str]
    reasons: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "rule": self.rule,
            "attack": list(self.attack),
            "counts": not self.reasons,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class Coverage:
    """What the rules cover.

    :param between: in which time their events were looked for, microseconds since 1970.
    """

    between: Between
    rules: Sequence[RuleCoverage]

    @cached_property
    def covered(self) -> Mapping[str, Sequence[str]]:
        """The techniques that are covered, each with the rules that count."""
        return self._techniques(lambda rule: not rule.reasons)

    @cached_property
    def uncovered(self) -> Mapping[str, Sequence[str]]:
        """The techniques that rules name of which none counts, each with those rules."""
        found = self._techniques(lambda rule: bool(rule.reasons))
        return {technique: rules for technique, rules in found.items() if technique not in self.covered}

    def _techniques(self, wanted: Callable[[RuleCoverage], bool]) -> dict[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for rule in filter(wanted, self.rules):
            for technique in rule.attack:
                found.setdefault(technique, []).append(rule.rule)
        return {technique: sorted(found[technique]) for technique in sorted(found)}

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "covered": self.covered,
            "uncovered": self.uncovered,
            "rules": [rule.to_dict() for rule in self.rules],
        }


def coverage(
    candidates: Iterable[Candidate],
    store: EventStore,
    between: Between,
    *,
    tested: Tested,
    plugins: Collection[str],
) -> Coverage:
    """Look at each rule: is it enabled, is it tested, and have events been stored by which it could find something?

    Costs one look at the names of all fields, and for a rule that says what its sources are a few counts.

    :param between: in which time events must have happened, microseconds since 1970.
    :param plugins: names of the plugins that are enabled.
    :raises StoreUnavailableError: the store cannot be asked.
    """
    seen = Seen(store, between)
    return Coverage(
        between,
        [
            RuleCoverage(one.name, tuple(one.attack), list(_reasons(one, seen, tested, plugins)))
            for one in candidates
        ],
    )


def _reasons(one: Candidate, seen: Seen, tested: Tested, plugins: Collection[str]) -> Iterable[str]:
    """Yield why a rule does not count; of one that does not run nothing else is looked at."""
    if not one.attack:
        yield "it names no ATT&CK technique"
    if one.rule is None:
        yield f"it cannot start: {one.problem}" if one.problem else "it is not enabled"
        return
    instance: Any = one.rule.instance
    mode = getattr(getattr(instance, "options", None), "mode", "live")
    if mode == "off":
        yield "its mode is 'off'"
        return
    if mode == "staged":
        yield "its mode is 'staged', so nobody is told of its alerts"
    inactive = getattr(instance, "inactive", None)
    if inactive:
        yield f"it can find nothing as it is configured: {inactive}"
    yield from (f"its examples: {problem}" for problem in tested(one.name))
    for name in getattr(instance, "needs", ()):
        if name not in plugins:
            yield f"it needs the plugin {name}, which is not enabled"
    if not inactive:
        yield from _unseen(instance, seen)


def _unseen(instance: Any, seen: Seen) -> Iterable[str]:
    """Yield what has not been stored of that by which a rule finds something; one about absence looks for that."""
    sources: Query | None = getattr(instance, "sources", None)
    try:
        if sources is not None and not seen.any(sources):
            yield "no event of this time is one of its sources"
            return
        if getattr(instance, "absence", False):
            return
        looks_for: Sequence[Query] = getattr(instance, "looks_for", ())
        fields = dict.fromkeys(
            field for query in looks_for for field in lacking(query, lambda name: seen.field(name, sources))
        )
        where = "" if sources is None else " of its sources"
        for field in fields:
            yield f"no event of this time{where} has the field {field}"
    except QueryError as error:
        yield f"what it looks for cannot be looked up: {error}"


class Seen:
    """What events of a time there are; asked once for each thing.

    :param between: microseconds since 1970.
    """

    def __init__(self, store: EventStore, between: Between) -> None:
        self._store = store
        self._between = between
        self._counts: dict[tuple[Query, str], bool] = {}

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all fields, and of the objects that they are in."""
        names: set[str] = set()
        for info in self._store.fields(self._between):
            parts = info.name.split(".")
            names.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
        return frozenset(names)

    def any(self, query: Query, field: str = "") -> bool:
        """Return whether any event matches, and has a field if one is named.

        :raises QueryError: the query has no meaning.
        """
        key = (query, field)
        if key not in self._counts:
            wanted = query & Exists(field) if field else query
            self._counts[key] = self._store.count(wanted, self._between) > 0
        return self._counts[key]

    def field(self, name: str, sources: Query | None = None) -> bool:
        """Return whether any event, or any of some sources, has a field."""
        return name in self.names and (sources is None or self.any(sources, name))


def lacking(query: Query, has: Callable[[str], bool]) -> Sequence[str]:
    """Return the fields for want of which no event can match; empty when some event could.

    Of alternatives those are named that lack least; what must not match need not be there.

    :param has: says whether there are events with a field.
    :raises QueryError: a search string in the query does not parse.
    """
    return list(dict.fromkeys(_lacking(plain(query), has)))


def _lacking(query: Query, has: Callable[[str], bool]) -> list[str]:
    if isinstance(query, Bool):
        found = [field for clause in query.must for field in _lacking(clause, has)]
        if query.should:
            alternatives = [_lacking(clause, has) for clause in query.should]
            least: list[str] = min(alternatives, key=len)
            found += least
        return found
    if isinstance(query, All):
        return []
    field: str = getattr(query, "field", ANY_FIELD)
    return [] if field == ANY_FIELD or has(field) else [field]
