"""Traits: what the evaluators need to know of a rule before they run it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, NamedTuple

from mozdef_core.host import Plugin
from mozdef_core.rules.schedule import STREAM, read_schedule

_MICROSECOND: Final = timedelta(microseconds=1)


class Traits(NamedTuple):
    """What a rule says about itself; an engine, which is a plugin and no rule, says nothing and is on the stream.

    :param schedule: ``stream``, an interval such as ``60s``, or a crontab: the attribute of that name.
    :param mode: ``live``, ``staged`` or ``off``: the option of that name.
    :param look_back_us: how far behind the start of an interval events can matter: the attribute ``look_back``.
    :param remembers: it keeps something from run to run and is given each event once: the attribute ``remembers``.
    :param absence: it looks for what is not there, so it may not run ahead of what is stored: the attribute
        ``absence``.
    :param needs: plugins without which its events are not what it expects: the attribute ``needs``.
    """

    schedule: str
    mode: str
    look_back_us: int
    remembers: bool
    absence: bool
    needs: tuple[str, ...]

    @property
    def streams(self) -> bool:
        """Whether it looks at events as they arrive."""
        return read_schedule(self.schedule) == STREAM and self.mode != "off"

    @property
    def scheduled(self) -> bool:
        """Whether it looks at spans of the store."""
        return read_schedule(self.schedule) != STREAM and self.mode != "off"


def traits_of(plugin: Plugin) -> Traits:
    """Return what a rule says about itself."""
    rule: Any = plugin.instance
    options = getattr(rule, "options", None)
    look_back = getattr(rule, "look_back", timedelta(0))
    return Traits(
        schedule=str(getattr(rule, "schedule", STREAM)),
        mode=str(getattr(options, "mode", "live")),
        look_back_us=look_back // _MICROSECOND if isinstance(look_back, timedelta) else 0,
        remembers=bool(getattr(rule, "remembers", False)),
        absence=bool(getattr(rule, "absence", False)),
        needs=tuple(getattr(rule, "needs", ())),
    )
