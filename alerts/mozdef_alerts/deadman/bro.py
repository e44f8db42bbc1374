"""A sensor that has gone quiet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import ClassVar

from mozdef_alerts.zeek.notice import in_log
from mozdef_core import Awaited, DeadmanRule, Field, Items, Term


class DeadmanBro(DeadmanRule["DeadmanBro.Options"]):
    """A Zeek sensor has sent no heartbeat for 20 minutes in which MozDef was listening."""

    class Options(DeadmanRule.Options):
        """Options in the table ``[alerts.deadman_bro]``."""

        hosts: Items = Field([], description="host names of the sensors; without any the rule is inactive")
        heartbeat_note: str = Field(
            "MozillaAlive::Bro_Is_Watching_You",
            description="the notice by which a sensor says that it is alive",
        )

    by = "hostname"
    window = timedelta(minutes=20)
    tags: ClassVar[Sequence[str]] = ("bro", "bro_deadman")
    attack: ClassVar[Sequence[str]] = ("T1562.001",)
    needs: ClassVar[Sequence[str]] = ("bro",)

    @property
    def inactive(self) -> str | None:
        """Without a sensor to wait for there is nothing to find."""
        return None if self.options.hosts else "no sensor is named in 'hosts'"

    def awaited(self) -> Iterator[Awaited]:
        """A heartbeat of each sensor."""
        heartbeat = in_log("notice") & Term("details.note", self.options.heartbeat_note)
        for host in self.options.hosts:
            yield Awaited(host, heartbeat & Term("hostname", host))

    def summary(self, awaited: Awaited, window: timedelta, last_us: int | None) -> str:
        """Which sensor, for how long, and when it was last heard of."""
        heard = (
            "no heartbeat is known" if last_us is None else f"the last heartbeat was at {self.seen(last_us)}"
        )
        return f"No heartbeat of the sensor {awaited.key} for {self.span(window)}; {heard}"
