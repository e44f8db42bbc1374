"""The contract of all plugins: what the core relies on, whatever a plugin does."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

import mozdef_core
from mozdef_core.calltable import ANY, Plugin
from mozdef_core.detection.memory import LedgerMemory
from mozdef_core.drivers.book_memory import MemoryBook
from mozdef_core.errors import ConfigError, QueryError
from mozdef_core.event import Change, Event, Split
from mozdef_core.host import Host, Outcome
from mozdef_core.options import Options
from mozdef_core.query.model import Query
from mozdef_core.testing_contracts.trial import Trial, make_event
from mozdef_core.window import RuleMemory, Window

ODD: Final[Sequence[Mapping[str, Any] | str]] = (
    "",
    "x" * 40_000,
    "\x00\x1b[31m\ud7ff\U0001f600 ünïcödé \u202e",
    "key=value key= =value \"unclosed 'quotes [brackets {braces",
    '{"json": [1, {"nested": null}], "unclosed": ',
    '{"a": {"b": [1, 2, {"c": "d"}]}}',
    {"summary": "no details", "details": {}},
    {"summary": "numbers", "details": {"sourceipaddress": 1, "username": 2.5, "program": 3, "port": -1}},
    {
        "summary": "lists",
        "details": {"sourceipaddress": ["192.0.2.1", None, {}], "username": [], "port": [[1]]},
    },
    {
        "summary": "tables",
        "details": {"sourceipaddress": {"v4": "192.0.2.1"}, "username": {}, "data": {"a": {}}},
    },
    {
        "summary": "no addresses",
        "details": {"sourceipaddress": "not an address", "destinationipaddress": "::g"},
    },
    {
        "summary": "addresses",
        "details": {"sourceipaddress": "2001:db8::1", "destinationipaddress": "0.0.0.0"},
    },
    {
        "summary": "long",
        "details": {"username": "u" * 40_000, "deep": {"a": {"b": {"c": {"d": {"e": "f"}}}}}},
    },
    {
        "hostname": "h",
        "processname": "p",
        "processid": "-1",
        "severity": "INFO",
        "tags": ["a", "b"],
        "details": {},
    },
)
"""What senders send when nobody is looking. No plugin may fail on any of it."""


_NONE: Final = timedelta(0)


class EmptyWindow(Window):
    """A window in which nothing happened, of a rule that has run never before."""

    @property
    def memory(self) -> RuleMemory:
        """A memory that holds nothing."""
        return LedgerMemory(MemoryBook(), "rule")

    def last(
        self, query: Query, *, since_us: int | None = None, before_us: int | None = None
    ) -> Event | None:
        """Return nothing."""
        return next(self.search(query), None)

    def first(self, query: Query, *, since_us: int, before_us: int | None = None) -> Event | None:
        """Return nothing."""
        return next(self.search(query), None)

    def search(self, query: Query, *, before: timedelta = _NONE) -> Iterator[Event]:
        """Yield nothing."""
        if not isinstance(query, Query):
            raise QueryError(f"expected a query, got {query!r}")
        return iter(())

    def compiled(self, query: Query) -> Callable[[Event], bool]:
        """Return what holds for no event, whatever lists there are."""
        return lambda _event: False

    def __iter__(self) -> Iterator[Event]:
        """Yield nothing."""
        return iter(())


def run(cls: type[Any], options: Mapping[str, Any] | None = None, events: Sequence[Event] = ()) -> None:
    """Check that a plugin keeps the promises of all plugins (see :class:`mozdef_core.testing.RunContract`).

    Its ``alert_action`` is not called: it reaches out, and only its own tests can tell where to.

    :raises AssertionError: it does not.
    """
    check_options(cls, options or {})
    check_imports(cls)
    host = Trial([(cls, options or {})])
    (plugin,) = host.plugins
    try:
        given = [*events, *odd_events(plugin)]
        for hook in ("on_event", "enrich"):
            if host.table(hook).plugins:
                first = [check_call(host, plugin, hook, event) for event in given]
                again = [check_call(host, plugin, hook, event) for event in reversed(given)]
                assert hook == "enrich" or first == again[::-1], "on_event must keep nothing between events"
        if host.table("alert_match").plugins:
            outcome = host.call(plugin, "alert_match", window=EmptyWindow(0, 60_000_000))
            assert outcome.problem is None, f"alert_match on an empty window: {outcome.problem}"
            assert not outcome.value, "alert_match found something where nothing happened"
    finally:
        close = getattr(plugin.instance, "close", None)
        if close is not None:
            close()


def check_options(cls: type[Any], options: Mapping[str, Any]) -> None:
    """Check that the options are declared as the core can check and explain them."""
    model = getattr(cls, "Options", Options)
    assert isinstance(model, type) and issubclass(model, BaseModel), (
        "Options must subclass mozdef_core.Options"
    )
    assert issubclass(model, Options), "Options must subclass mozdef_core.Options"
    for name, field in model.model_fields.items():
        assert field.description, f"the option {name!r} needs a description, for 'mozdef plugins show'"
    unknown = "no_such_option"
    try:
        Trial([(cls, {**options, unknown: 1})])
    except ConfigError as error:
        assert any(f"unknown option {unknown!r}" in problem for problem in error.problems), error.problems
    else:
        raise AssertionError("an unknown option must be refused")


def check_imports(cls: type[Any]) -> None:
    """Check that the plugin's package imports only what the core promises to keep, and that it is typed."""
    module = sys.modules[cls.__module__.partition(".")[0]]
    place = Path(module.__file__ or "")
    if place.name != "__init__.py":
        return  # a module beside its test, not a package
    assert (place.parent / "py.typed").exists(), f"{module.__name__} needs an empty file py.typed"
    for path in sorted(place.parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            if isinstance(node, ast.ImportFrom) and node.module == "mozdef_core" and not node.level:
                private = sorted(set(names) - set(mozdef_core.__all__))
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if not node.level else []
                private = [name for name in names if name.startswith("mozdef_core.")]
            else:
                private = [name for name in names if name.startswith("mozdef_core.")]
            assert not private, f"{path.name}: {private} is not in mozdef_core.__all__ and may change"


def odd_events(plugin: Plugin) -> list[Event]:
    """Return odd events, made such that the plugin's ``applies_to`` admits them."""
    made = [make_event(document) for document in ODD]
    if not plugin.applies_to:
        return made
    return [
        _admitted(event, field, value)
        for field, values in plugin.applies_to.items()
        for value in sorted(map(str, values))
        for event in made
    ]


def _admitted(event: Event, field: str, value: str) -> Event:
    text = "x" if value == ANY else value
    path = {"program": "details.program", "endpoint": "mozdef.input.endpoint", "tag": "tags"}.get(
        field, field
    )
    changed = event.with_change(Change({path: [text] if path == "tags" else text}))
    book = dict(changed.body["mozdef"])
    book["defaulted"] = [name for name in book.get("defaulted", ()) if name != path]
    return Event(changed.id, {**changed.body, "mozdef": book})


def check_call(host: Host, plugin: Plugin, hook: str, event: Event) -> Any:
    """Call a hook with an event, check that it held up and left the event alone, and return its answer."""
    before = event.to_bytes()
    outcome: Outcome = host.call(plugin, hook, event=event)
    shown = before[:500].decode("utf-8", "replace")
    assert outcome.problem is None, f"{hook} failed with {outcome.problem} on {shown}"
    assert event.to_bytes() == before, (
        f"{hook} changed the event in place; it must return a Change; on {shown}"
    )
    changes = outcome.value.changes if isinstance(outcome.value, Split) else [outcome.value]
    for change in changes:
        if isinstance(change, Change):
            try:
                event.with_change(change).to_bytes()
            except (TypeError, ValueError) as error:
                raise AssertionError(
                    f"{hook} set a value that JSON cannot hold: {error}; on {shown}"
                ) from error
    return outcome.value
