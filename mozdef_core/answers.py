"""Answers: what each hook may return, checked and made plain before the core uses it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from mozdef_core.alert import Alert, AlertChange
from mozdef_core.event import Change, Drop, Refuse, Split, State

MOST_ALERTS: Final = 100_000
"""An ``alert_match`` that yields more than this in one call has gone wrong."""


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
    if type(fields) is dict and (type(removed) is tuple or type(removed) is list):
        return value
    return Change(dict(fields), tuple(removed), again=bool(value.again))


def _accept_on_event(value: Any) -> Any:
    kind = value.__class__
    if value is None or kind is Drop or kind is Refuse or kind is State:
        return value
    if kind is Split:
        allowed = "a Split of Changes"
        return Split(tuple(_change(change, allowed) for change in value.changes))
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
    return alerts or None


def _accept_alert_action(value: Any) -> Any:
    if value is not None and type(value) is not AlertChange:
        raise TypeError(f"returned {_kind(value)}, expected AlertChange or None")
    return value


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
