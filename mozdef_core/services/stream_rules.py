"""The rules of a worker's stream, exchanged between two batches for those that are in force by then."""

from __future__ import annotations

import logging
from typing import Final

from mozdef_core.detection import Detector, traits_of
from mozdef_core.errors import BookUnavailableError
from mozdef_core.event import first_id_at
from mozdef_core.ports import AlertBook, BatchRecord, OwedSpan
from mozdef_core.services.rules_in_force import Force, RulesInForce

log = logging.getLogger(__name__)

LOADED: Final = "the rule was being loaded"


class StreamRules:
    """Gives a detector other rules, and notes what the new ones have not seen here since they are active.

    All workers begin with a rule at the same moment as far as its alerts can tell: what a worker has processed between
    that moment and its first batch with the rule is owed to it.
    """

    def __init__(self, rules: RulesInForce, detector: Detector, book: AlertBook) -> None:
        self._rules = rules
        self._detector = detector
        self._book = book
        self._force = rules.force
        self._waits = False

    @property
    def stale(self) -> bool:
        """Whether other rules are in force than the detector has."""
        return self._force is not self._rules.force

    def renew(self, last: str) -> None:
        """Take the rules in force; to be called when everything that was processed is stored.

        While the database is away the detector keeps the rules that it has.

        :param last: the greatest id that was processed until now; empty for none.
        """
        force = self._rules.force
        try:
            self._book.record(BatchRecord(owed=self._owed(force, last)))
        except BookUnavailableError as error:
            if not self._waits:
                log.warning("the stream keeps its rules until the casework database is back: %s", error)
            self._waits = True
            return
        self._waits = False
        self._detector.renew(force.host)
        self._force = force

    def _owed(self, force: Force, last: str) -> list[OwedSpan]:
        before, owed = self._force.plugins, []
        for name, plugin in force.plugins.items():
            first = first_id_at(force.since_us[name])
            if before.get(name) is not plugin and traits_of(plugin).streams and last >= first:
                owed.append(OwedSpan(name, first, last, LOADED))
        return owed
