"""The settings of telling people: the table ``[notify]`` and its routes (detections.md D2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from mozdef_core.errors import QueryError
from mozdef_core.notification_hours import read_days, read_span, read_zone
from mozdef_core.options import Duration
from mozdef_core.setting_values import Settings


def _query(text: str) -> str:
    from mozdef_core.query import evaluate  # 60 ms of grammar: only for who has routes
    from mozdef_core.query.model import QueryString

    try:
        if text:
            evaluate.compile(QueryString(text))
    except QueryError as error:
        where = "" if error.position is None else f" at character {error.position + 1}"
        raise ValueError(f"expected a search string{where}: {error}") from None
    return text


def _hours(text: str) -> str:
    if text:
        read_span(text)
    return text


def _day(text: str) -> str:
    read_days(text)
    return text


def _zone(name: str) -> str:
    read_zone(name)
    return name


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.password):
        raise ValueError("expected an address such as https://siem.example")
    return text.rstrip("/")


class Route(Settings):
    """``[[notify.routes]]``: which notifiers are told of which alerts.

    For each notifier the first route decides that names it, whose query matches the alert, and whose hours it is.
    """

    query: Annotated[str, AfterValidator(_query)] = Field(
        default="",
        description="search string over the alert, such as `severity:(CRITICAL OR ERROR) AND tags:ssh`; empty: all",
    )
    notifiers: list[str] = Field(min_length=1, description="names of plugins that tell somebody")
    channel: str = Field(
        default="", description="where the notifier shall send it; empty: the alert's channel, or its default"
    )
    hours: Annotated[str, AfterValidator(_hours)] = Field(
        default="", description="time of day, such as `08:00-18:00` or `22:00-06:00`; empty: all day"
    )
    days: list[Annotated[str, AfterValidator(_day)]] = Field(
        default=[], description="days of the week, such as `mon` or `mon-fri`; none: every day"
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="where the hours and days are, such as `Europe/Berlin`"
    )


class NotifySettings(Settings):
    """``[notify]``: how alerts are told. Without routes every notifier is told of every alert that notifies."""

    web_url: Annotated[str, AfterValidator(_web_address)] = Field(
        default="", description="address of the web pages as people reach them, for links in messages"
    )
    act_within: Duration = Field(
        default=timedelta(hours=1),
        gt=timedelta(0),
        description="alerts whose last event is older go out as one digest, and actions that must not come late are "
        "skipped",
    )
    every: Duration = Field(
        default=timedelta(seconds=2),
        ge=timedelta(0),
        description="a notifier sends at most one message in this time; what comes meanwhile is told together",
    )
    routes: Sequence[Route] = Field(
        default=(), description="tables `[[notify.routes]]`, the first that fits decides"
    )
