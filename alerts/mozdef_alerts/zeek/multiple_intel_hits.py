"""An indicator that is seen again and again (detections.md D22)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Final

from mozdef_alerts.zeek.notice import in_log
from mozdef_core import AggregationRule, Event, Exists, Field, Group, ListOption, Query, Severity, Term

_AT_DESTINATION: Final = frozenset(
    {"Conn::IN_ORIG", "HTTP::IN_X_CLUSTER_CLIENT_IP_HEADER", "HTTP::IN_X_FORWARDED_FOR_HEADER"}
)
"""Places where the indicator is the client, so that whom it went to is worth knowing; elsewhere it is who came."""
_SHOWN: Final = 3


class MultipleIntelHits(AggregationRule["MultipleIntelHits.Options"]):
    """A sensor saw one indicator of a threat many times."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.multiple_intel_hits]``."""

        sensors: ListOption = Field(
            ListOption(), description="host names of the sensors that count; none for any"
        )

    by = "details.seenindicator"
    window = timedelta(minutes=2)
    threshold = 10
    severity: ClassVar[Severity] = Severity.NOTICE
    category: ClassVar[str] = "bro"
    tags: ClassVar[Sequence[str]] = ("nsm", "bro", "intel")
    attack: ClassVar[Sequence[str]] = ("T1071",)
    needs: ClassVar[Sequence[str]] = ("bro",)

    def condition(self) -> Query:
        """A hit that names its indicator, of a sensor that counts."""
        query = in_log("intel") & Exists("details.seenindicator") & ~Term("details.seenindicator", "")
        return query & self.options.sensors.condition("hostname") if self.options.sensors else query

    def summary(self, group: Group) -> str:
        """How many, where, of what, and whom the first of them are about."""
        hits = ", ".join(self._hit(event) for event in group.events[:_SHOWN])
        return f"{group.count} intel hits at {group.listed('hostname')} of {group.key}: {hits}"

    def _hit(self, event: Event) -> str:
        where = self.value(event, "details.seenwhere")
        end = "destination" if where in _AT_DESTINATION else "source"
        return f"{self.value(event, f'details.{end}ipaddress')} in {where}"
