"""The four hooks: everything that a plugin can do to events and alerts."""

from __future__ import annotations

from collections.abc import Iterable

from mozdef_core.alert import Alert, AlertChange, Occasion
from mozdef_core.event import Change, Drop, Event, Refuse, Split, State
from mozdef_core.markers import hookspec
from mozdef_core.window import Window


@hookspec
def on_event(event: Event) -> Change | Split | Refuse | Drop | State | None:
    """Read the event itself: parse its text, rename its fields, or discard it.

    Called in the worker for every event that the plugin's ``applies_to`` admits, plugins of lower ``order`` first,
    ties in the order of the operator's list; each plugin sees the event as those before it left it. No I/O, and
    no memory between events: the same event may come again after a crash and must give the same result.

    :returns: None for nothing to say; a :class:`~mozdef_core.Change` of fields; a :class:`~mozdef_core.Split` into
        several events; :class:`~mozdef_core.Refuse` to make it a dead letter; :class:`~mozdef_core.Drop` to
        discard it by the operator's decision; :class:`~mozdef_core.State` to keep it as a state document as well.
    :raises Exception: anything; the event goes on as it was before this plugin and names it in ``mozdef.problems``.

    .. versionadded:: 1.0
    """


@hookspec
def enrich(event: Event) -> Change | None:
    """Add to an event what the plugin knows from elsewhere, such as a country or an owner.

    Called in the worker for every event that no ``on_event`` dropped or refused, in the order of that hook; each
    plugin sees the fields set by those before it. A look-up must come from memory or a local file: a slow
    enricher is suspended.

    :returns: the fields to set and remove, or None for nothing to add. Later plugins win.
    :raises Exception: anything; the event goes on without these fields and names the plugin in ``mozdef.problems``.

    .. versionadded:: 1.0
    """


@hookspec
def alert_match(window: Window) -> Iterable[Alert] | None:
    """Find what is worth an alert in a span of events.

    Called in the worker with each batch just accepted, in the scheduler with a span of the store, and in a
    backtest with a span of history; a rule cannot tell which. Rules usually leave this to
    :class:`~mozdef_core.EventRule` and declare a query instead.

    :returns: the alerts found, or None for none. Finding the same alert again is harmless: its id is made from the
        rule, the group value and the earliest event.
    :raises Exception: anything; nothing that this call found is kept, and the span is owed to the rule and run again.

    .. versionadded:: 1.0
    """


@hookspec
def alert_action(alert: Alert, occasion: Occasion, delivery: str) -> AlertChange | None:
    """Do something about an alert: add context, tell someone, open or close a ticket, block an address.

    Called in the scheduler, once per plugin, alert and occasion, after the alert was stored. Plugins whose class
    says ``stage = "enrich"`` come first, in the operator's order, and each sees what the ones before it added.
    After a crash a call may be made again.

    A plugin whose class says ``notifies = True`` is called only for alerts that its routes lead to it, with
    ``alert.channel`` as they say, and with a :class:`~mozdef_core.Digest` for several alerts at once.

    :param delivery: identifies this telling, the same at each try: receivers recognise repeats by it.
    :returns: what to add to the alert, or None. What is returned for a digest is not kept.
    :raises DeliveryError: it did not get through; it is tried again with back-off, or after ``retry_after_s``,
        unless it says ``final``.
    :raises Exception: anything else; treated in the same way. The last failure stands on the alert.

    .. versionadded:: 1.0
    """
