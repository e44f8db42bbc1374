"""When sessions are expected: spans of the day, on some days of the week, in a time zone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, time, timedelta, tzinfo
from typing import Final

from pydantic import BaseModel, ConfigDict

from mozdef_core import Field

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = timedelta(days=1)


class Span(BaseModel):
    """A span of the day, both ends included; one that ends before it starts goes on into the next day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: time = Field(description="when it starts, as hh:mm:ss")
    end: time = Field(description="when it ends, as hh:mm:ss; all of that second is part of it")

    def started_on(self, moment: datetime) -> datetime | None:
        """Return a moment of the day on which the span that holds this moment began; None when it holds it not.

        :param moment: in whole seconds.
        """
        clock = moment.time()
        if self.start <= self.end:
            return moment if self.start <= clock <= self.end else None
        if clock >= self.start:
            return moment
        return moment - _DAY if clock <= self.end else None


def is_expected(us: int, spans: Iterable[Span], zone: tzinfo, days: Collection[str]) -> bool:
    """Return whether a moment lies in one of the spans that begin on one of the days.

    :param us: microseconds since 1970.
    :param days: out of :data:`DAYS`.
    """
    moment = datetime.fromtimestamp(us // 1_000_000, zone).replace(tzinfo=None)
    begun = (span.started_on(moment) for span in spans)
    return any(day is not None and DAYS[day.weekday()] in days for day in begun)
