"""Answers: what each hook may return, checked and made plain before the core uses it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from mozdef_core.alert import Alert, AlertChange, Block, Severity
from mozdef_core.event import Change, Drop, Event, Problem, Refuse, Split, State

MOST_ALERTS: Final = 100_000
"""An ``alert_match`` that yields more than this in one call has gone wrong."""
MOST_PROBLEMS: Final = 100
"""So many problems of a change are noted; a thousand bad fields need no thousand notes."""


def _change(value: Any, allowed: str) -> Change:
    """Return a change whose parts are plain containers, so that using it runs no code of the plugin."""
    if type(value) is not Change:
        raise TypeError(f"returned {_kind(value)}, expected {allowed}")
    fields, removed = value.set, value.remove
    if not isinstance(fields, Mapping):
        raise TypeError(
            f"returned a Change whose 'set' is {_kind(fields)}, expected a mapping of names to values"
        )
    if isinstance(removed, str):
        raise TypeError("returned a Change whose 'remove' is one text, expected a collection of names")
    if not value.problems and type(fields) is dict and (type(removed) is tuple or type(removed) is list):
        return value
    return Change(dict(fields), tuple(removed), bool(value.again), _sentences(value.problems))


def _sentences(problems: Any) -> tuple[str | Problem, ...]:
    if isinstance(problems, str):
        raise TypeError("returned a Change whose 'problems' is one text, expected a collection of texts")
    texts = tuple(itertools.islice(problems, MOST_PROBLEMS))
    if not all(isinstance(one, str) or _is_problem(one) for one in texts):
        raise TypeError("returned a Change whose 'problems' are not all texts or Problems made of texts")
    return texts


def _is_problem(value: Any) -> bool:
    if type(value) is not Problem:
        return False
    return isinstance(value.code, str) and isinstance(value.message, str) and isinstance(value.field, str)


def _accept_on_event(value: Any) -> Any:
    kind = value.__class__
    if value is None:
        return None
    if kind is Drop:
        return _checked(value, (("reason", str, "text"),))
    if kind is Refuse:
        return _checked(value, (("code", str, "text"), ("reason", str, "text")))
    if kind is State:
        _checked(value, (("collection", str, "text"), ("id", str, "text")))
        f"{value.collection}{value.id}".encode()  # half a surrogate pair names nothing
        return value
    if kind is Split:
        changes = tuple(_change(change, "a Split of Changes") for change in value.changes)
        if not changes:
            raise ValueError("returned a Split into nothing; a Drop says why an event is discarded")
        return Split(changes)
    return _change(value, "Change, Split, Refuse, Drop, State or None")


def _accept_enrich(value: Any) -> Any:
    return None if value is None else _change(value, "Change or None")


def _accept_alert_match(value: Any) -> Any:
    if value is None:
        return None
    alerts = list(itertools.islice(value, MOST_ALERTS + 1))
    if len(alerts) > MOST_ALERTS:
        raise ValueError(f"yielded more than {MOST_ALERTS} alerts in one call")
    for alert in alerts:
        if not isinstance(alert, Alert):
            raise TypeError(f"yielded {_kind(alert)}, expected Alerts")
        _checked(alert, _ALERT)
        _all_of(alert, "events", Event)
        _all_of(alert, "tags", str)
        _all_of(alert, "attack", str)
        if alert.group is not None and list(map(type, alert.group)) != [str, str]:
            raise TypeError("returned an Alert whose 'group' is not a pair of texts")
        _storable(alert)
    return alerts or None


def _accept_alert_action(value: Any) -> Any:
    if value is None:
        return None
    if type(value) is not AlertChange:
        raise TypeError(f"returned {_kind(value)}, expected AlertChange or None")
    _checked(value, _ALERT_CHANGE)
    if value.block is not None:
        _checked(value.block, _BLOCK)
    _storable(value)
    return value


_ALERT: Final = (
    *((name, str, "text") for name in ("rule_version", "summary", "category", "url", "channel")),
    ("first", tuple, "a Moment"),
    ("last", tuple, "a Moment"),
    ("severity", Severity, "a Severity"),
    ("count", int, "a whole number"),
    ("group", tuple | None, "a pair of texts or None"),
    ("group_for", timedelta, "a timedelta"),
    ("group_max", timedelta, "a timedelta"),
    ("details", Mapping, "a mapping"),
    ("notify", bool | None, "true, false or None"),
)
_ALERT_CHANGE: Final = (
    ("details", Mapping, "a mapping"),
    ("summary_suffix", str, "text"),
    ("severity", Severity | None, "a Severity or None"),
    ("note", str, "text"),
    ("skipped", bool, "true or false"),
    ("block", Block | None, "a Block or None"),
)
_BLOCK: Final = (
    *((name, str, "text") for name in ("address", "duration", "comment", "creator")),
    ("max_per_hour", int, "a whole number"),
    ("dry_run", bool, "true or false"),
)


def _checked(value: Any, members: Any) -> Any:
    """Return a value whose members have the types that the core relies on."""
    for name, kind, wanted in members:
        member = getattr(value, name)
        if not isinstance(member, kind):
            raise TypeError(
                f"returned {_article(value)} whose {name!r} is {_kind(member)}, expected {wanted}"
            )
    return value


def _all_of(value: Any, name: str, kind: type) -> None:
    """See that a member is a list or tuple of one type."""
    members = getattr(value, name)
    if not isinstance(members, list | tuple) or not all(isinstance(member, kind) for member in members):
        raise TypeError(f"returned {_article(value)} whose {name!r} is not a list of {kind.__name__}")


def _storable(value: Alert | AlertChange) -> None:
    """See that the details can be written; what JSON has no form for is written as text."""
    json.dumps(dict(value.details), default=str)


def _article(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "AE" else f"a {name}"


ACCEPT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "on_event": _accept_on_event,
    "enrich": _accept_enrich,
    "alert_match": _accept_alert_match,
    "alert_action": _accept_alert_action,
}
"""By hook, a function that returns the answer as it may be used, or raises TypeError or ValueError.

It runs inside the plugin's containment: iterators and mappings of the plugin are emptied here and not later.
"""


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"
