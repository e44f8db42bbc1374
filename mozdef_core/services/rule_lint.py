"""Lint: what about rules is likely to be a mistake, or costs more than it needs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat
from mozdef_core.exemptions import Exemption
from mozdef_core.host import Plugin
from mozdef_core.ports import Between, EventStore
from mozdef_core.query import glob
from mozdef_core.query.lists import NO_LISTS, Lists, names_in, unknown
from mozdef_core.query.model import Bool, Query, Regexp, Wildcard
from mozdef_core.query.plain import plain
from mozdef_core.rules import Rule
from mozdef_core.services.hints import named, unknown_among

SOON: Final = timedelta(days=14)
"""An exception that ends within this time is told of."""

CODES: Final = {
    "leading-wildcard": "A pattern begins with a wildcard, so that every distinct value of the field is looked at.",
    "costly-regex": "An expression begins with no literal text, so that every distinct value is looked at.",
    "no-events": "No event of the time is stored, so that fields cannot be looked at.",
    "unknown-field": "No stored event of the time has a field that the rule's query names.",
    "unknown-list": "The query looks into a list that does not exist.",
    "invalid-query": "The query has no meaning.",
    "window-too-long": "The window is longer than events are kept.",
    "no-technique": "The rule names no ATT&CK technique.",
    "no-severity": "The rule does not say how severe its alerts are.",
    "no-category": "The rule gives its alerts no category.",
    "no-example-fires": "The rule has no example that fires.",
    "no-example-nearly": "The rule has no example that nearly fires.",
    "exception-ending": "An exception from the rule ends soon.",
    "needs-plugin": "A plugin without which the rule cannot find what it should is not enabled.",
    "inactive": "The rule can find nothing as it is configured.",
}
"""What is looked for, by the code under which it is reported."""

_PLAIN_BEGINNING: Final = re.compile(r"\\[^A-Za-z0-9]|[^\\.\[({|*+?^$)]")
_MICROSECOND: Final = timedelta(microseconds=1)


class Remark(NamedTuple):
    """Something about a rule that should be looked at.

    :param rule: its name; empty for what is not about one rule.
    :param code: one of :data:`CODES`.
    """

    rule: str
    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return it as a JSON document."""
        return self._asdict()


@dataclass(frozen=True)
class Surroundings:
    """What rules are looked at against.

    :param between: in which time stored events are looked at, microseconds since 1970.
    :param plugins: names of the plugins that are enabled.
    :param examples: returns how many examples of a rule fire, and how many nearly do.
    :param retention: how long events are kept; None for ever.
    :param exemptions: the exceptions that there are.
    :param now_us: from when on :data:`SOON` counts.
    """

    store: EventStore
    between: Between
    plugins: Collection[str]
    examples: Callable[[str], tuple[int, int]]
    now_us: int
    retention: timedelta | None = None
    lists: Lists = field(default=NO_LISTS)
    exemptions: Sequence[Exemption] = ()

    @cached_property
    def fields(self) -> Sequence[str]:
        """The names of all fields that stored events of the time have."""
        return [info.name for info in self.store.fields(self.between)]


def lint(rules: Iterable[Plugin], around: Surroundings) -> Sequence[Remark]:
    """Return remarks about rules, in their order, after one about none of them.

    :raises StoreUnavailableError: the store cannot be asked.
    """
    remarks = [Remark(rule.name, *found) for rule in rules for found in _remarks(rule, around)]
    if around.fields:
        return remarks
    return [
        Remark("", "no-events", "no event of this time is stored, so fields cannot be looked at"),
        *remarks,
    ]


_Found = tuple[str, str]


def _remarks(rule: Plugin, around: Surroundings) -> Iterator[_Found]:
    instance: Any = rule.instance
    inactive = getattr(instance, "inactive", None)
    if inactive:
        yield "inactive", f"it can find nothing as it is configured: {inactive}"
    yield from _of_queries(getattr(instance, "looks_for", ()), around)
    yield from _of_the_window(instance, around.retention)
    yield from _of_what_it_says(instance)
    fires, nearly = around.examples(rule.name)
    if not fires:
        yield "no-example-fires", "it has no example that fires"
    if not nearly:
        yield "no-example-nearly", "it has no example that nearly fires"
    for name in getattr(instance, "needs", ()):
        if name not in around.plugins:
            yield "needs-plugin", f"it needs the plugin {name}, which is not enabled"
    tags = {*getattr(instance, "tags", ()), *getattr(getattr(instance, "options", None), "tags_add", ())}
    soon_us = around.now_us + SOON // _MICROSECOND
    for exemption in around.exemptions:
        if around.now_us < exemption.expires_us <= soon_us and exemption.concerns(rule.name, tags):
            ends = isoformat(exemption.expires_us)[:16]
            yield "exception-ending", f"the exception {exemption.id} for {exemption.query!r} ends at {ends}"


def _of_queries(queries: Sequence[Query], around: Surroundings) -> Iterator[_Found]:
    fields: set[str] = set()
    for query in queries:
        try:
            simple, lists = plain(query), names_in(query)
        except QueryError as error:
            yield "invalid-query", str(error)
            continue
        fields.update(named(simple))
        yield from dict.fromkeys(_costs(simple))
        for name in sorted(lists):
            if around.lists.members(name) is None:
                yield "unknown-list", unknown(name, around.lists.names())
    if fields and around.fields:
        yield from (("unknown-field", hint) for hint in unknown_among(sorted(fields), around.fields))


def _costs(query: Query) -> Iterator[_Found]:
    """Yield the patterns in a plain query for which a store looks at every value that there is."""
    if isinstance(query, Bool):
        for clause in (*query.must, *query.should, *query.must_not):
            yield from _costs(clause)
    elif isinstance(query, Wildcard):
        pattern = glob.read(query.value)
        if len(pattern) > 1 and pattern[0].kind != "literal":
            yield "leading-wildcard", f"{query.field}: the pattern {query.value!r} begins with a wildcard"
    elif isinstance(query, Regexp) and not begins_literally(query.value):
        text = f"{query.field}: the expression {query.value!r} begins with no literal text"
        yield "costly-regex", text


def begins_literally(expression: str) -> bool:
    """Return whether whatever matches an expression begins with one known character."""
    beginning = _PLAIN_BEGINNING.match(expression)
    if beginning is None or "|" in expression:
        return False
    return expression[beginning.end() : beginning.end() + 1] not in ("*", "?", "{")


def _of_the_window(instance: Any, retention: timedelta | None) -> Iterator[_Found]:
    if retention is None:
        return
    spans = {getattr(instance, name, None) for name in ("window", "span", "look_back")}
    longest = max((span for span in spans if isinstance(span, timedelta)), default=timedelta(0))
    if longest > retention:
        yield "window-too-long", f"it looks back {longest}, but events are kept for {retention}"


def _of_what_it_says(instance: Any) -> Iterator[_Found]:
    if not getattr(instance, "attack", ()):
        yield "no-technique", "it names no ATT&CK technique"
    if not getattr(instance, "category", ""):
        yield "no-category", "its alerts have no category"
    own = (cls for cls in type(instance).__mro__ if cls is not Rule)
    chosen = getattr(getattr(instance, "options", None), "severity", None)
    if chosen is None and not any("severity" in vars(cls) for cls in own):
        yield "no-severity", "it does not say how severe its alerts are"
