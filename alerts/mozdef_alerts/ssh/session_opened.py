"""A listed user opened a session outside hours (detections.md D33)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator

from mozdef_alerts.conditions import any_of, program
from mozdef_alerts.ssh.expected import DAYS, Span, is_expected
from mozdef_core import (
    AggregationRule,
    Event,
    Field,
    Group,
    Items,
    ListOption,
    MatchPhrase,
    Query,
    Severity,
    Term,
)


class SessionOpenedSensitiveUser(AggregationRule["SessionOpenedSensitiveUser.Options"]):
    """A user whose sessions are sensitive opened one when none is expected."""

    class Options(AggregationRule.Options):
        """Options in the table ``[alerts.session_opened_sensitive_user]``."""

        users: ListOption = Field(
            ListOption(),
            description="names of the users, and lists such as @admins, or a table whose values are names; the rule is "
            "inactive without any",
        )
        expected: list[Span] = Field([], description="spans of the day in which sessions do not alert")
        timezone: str = Field("UTC", description="time zone of these spans, such as Europe/Lisbon")
        weekdays: Items = Field(
            list(DAYS), description="days on which these spans begin; on others sessions always alert"
        )

        @field_validator("users", mode="before")
        @classmethod
        def _names(cls, value: Any) -> Any:
            return list(value.values()) if isinstance(value, Mapping) else value

        @field_validator("weekdays")
        @classmethod
        def _days(cls, value: list[str]) -> list[str]:
            for day in value:
                if day not in DAYS:
                    raise ValueError(f"expected some of {', '.join(DAYS)}, got {day!r}")
            return value

        @field_validator("timezone")
        @classmethod
        def _zone(cls, value: str) -> str:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"expected a time zone such as Europe/Lisbon, got {value!r}") from None
            return value

    by = "details.program"
    window = timedelta(minutes=10)
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "session"
    tags: ClassVar[Sequence[str]] = ("pam", "syslog")
    attack: ClassVar[Sequence[str]] = ("T1078", "T1021.004")
    needs: ClassVar[Sequence[str]] = ("linux",)

    def __init__(self, options: SessionOpenedSensitiveUser.Options) -> None:
        super().__init__(options)
        self._zone = ZoneInfo(options.timezone)

    @property
    def inactive(self) -> str | None:
        """The rule finds nothing without users."""
        return None if self.options.users else "users is empty"

    def condition(self) -> Query:
        """A session that sshd opened for one of the users."""
        users = self.options.users
        named = users.condition("details.username") | any_of(
            MatchPhrase("summary", user) for user in users.texts
        )
        opened = MatchPhrase("summary", "session opened")
        return Term("category", "syslog") & program("sshd") & opened & named

    def matches(self, event: Event) -> bool:
        """Return whether no session is expected at the time."""
        options = self.options
        return not is_expected(event.detection_us, options.expected, self._zone, options.weekdays)

    def summary(self, group: Group) -> str:
        """Who, on which hosts, on how many, how often."""
        users = group.listed("details.username")
        hosts = group.distinct("hostname")
        return (
            f"sessions opened by {users} outside hours on {group.listed('hostname')} "
            f"(hosts: {hosts}, events: {group.count})"
        )
