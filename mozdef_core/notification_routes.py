"""Routes: which notifier is told of an alert, over which channel, and why (detections.md D2)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from mozdef_core.alert import Alert
from mozdef_core.errors import ConfigError
from mozdef_core.event import Event
from mozdef_core.notification_hours import Hours, read_hours
from mozdef_core.notification_settings import NotifySettings
from mozdef_core.problems import suggestion
from mozdef_core.query import evaluate
from mozdef_core.query.model import All, QueryString


class Decision(NamedTuple):
    """Whether a notifier is told of an alert.

    :param channel: where to; "" is the notifier's default; None: it is not told.
    :param reason: the route that decided, or why there is none.
    """

    channel: str | None
    reason: str


class _Route(NamedTuple):
    label: str
    matches: Callable[[Event], bool]
    notifiers: frozenset[str]
    channel: str
    hours: Hours


class Router:
    """Decides by the routes of the configuration.

    :param notifiers: the enabled plugins that tell somebody.
    :raises ConfigError: a route names something else.
    """

    def __init__(self, settings: NotifySettings, notifiers: Collection[str]) -> None:
        problems = [
            f"notify.routes[{place}].notifiers: no notifier {name!r} is enabled{suggestion(name, notifiers)}"
            for place, route in enumerate(settings.routes)
            for name in route.notifiers
            if name not in notifiers
        ]
        if problems:
            raise ConfigError(problems)
        self._routes = [
            _Route(
                f"route {number}" + (f" ({route.query})" if route.query else ""),
                evaluate.compile(QueryString(route.query) if route.query else All()),
                frozenset(route.notifiers),
                route.channel,
                read_hours(route.hours, route.days, route.timezone),
            )
            for number, route in enumerate(settings.routes, 1)
        ]

    def decide(self, notifier: str, alert: Alert, at_us: int) -> Decision:
        """Return whether and where a notifier tells somebody of an alert.

        :param at_us: when it became due, microseconds since 1970; what a route's hours are compared with.
        """
        if not alert.notifies:
            return Decision(None, "the alert is not meant to notify anybody")
        if not self._routes:
            return Decision(alert.channel, "there are no routes")
        document = Event(alert.id, alert.to_dict())
        closed = ""
        for route in self._routes:
            if notifier in route.notifiers and route.matches(document):
                if route.hours.contain(at_us):
                    return Decision(route.channel or alert.channel, route.label)
                closed = closed or f"; {route.label} is not within its hours"
        return Decision(None, f"no route takes it to {notifier}{closed}")
