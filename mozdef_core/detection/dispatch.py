"""Dispatch: which events of a batch concern which rule, found for all rules together before any is called."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.host import Plugin
from mozdef_core.query.index import QueryIndex
from mozdef_core.query.model import Query

log = logging.getLogger(__name__)

FEW: Final = 20
"""So few rules are asked one by one, which costs less than an index."""

CONCERNS: Final = "concerns"
"""The attribute in which a rule says what an event must match for the rule to find anything: a query, or None."""


class _Filed(NamedTuple):
    rule: Plugin
    query: Query
    test: Callable[[Event], bool]


class Dispatch:
    """Knows of some rules which events concern them, by an index over what they ask for.

    A rule without such a query, an engine say, is concerned by every event, and so is one whose query has no meaning:
    it will say so itself when it is called.

    :param compiled: returns a query as a function of an event.
    :param few: with no more rules than this each is asked.
    """

    def __init__(
        self, rules: Sequence[Plugin], compiled: Callable[[Query], Callable[[Event], bool]], few: int = FEW
    ) -> None:
        self._filed: list[_Filed] = []
        for rule in rules:
            query = getattr(rule.instance, CONCERNS, None)
            if not isinstance(query, Query):
                continue
            try:
                self._filed.append(_Filed(rule, query, compiled(query)))
            except QueryError as error:
                log.warning("rule %s: %s", rule.name, error)
        self._index = QueryIndex([filed.query for filed in self._filed]) if len(self._filed) > few else None
        self._names = frozenset(filed.rule.name for filed in self._filed)

    def knows(self, rule: Plugin) -> bool:
        """Return whether what concerns a rule is known; if not, everything may."""
        return rule.name in self._names

    def concerned(self, events: Sequence[Event]) -> Mapping[str, Sequence[Event]]:
        """Return by name of a rule the events that match its query, in the order given; one without any is left out."""
        if self._index is None:
            found = {filed.rule.name: list(filter(filed.test, events)) for filed in self._filed}
            return {name: matching for name, matching in found.items() if matching}
        concerned: dict[str, list[Event]] = {}
        for event in events:
            for position in self._index.candidates(event):
                filed = self._filed[position]
                if filed.test(event):
                    concerned.setdefault(filed.rule.name, []).append(event)
        return concerned
