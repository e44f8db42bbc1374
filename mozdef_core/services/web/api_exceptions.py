"""``/api/v1/exceptions``: what rules are not to see, with an owner, a reason and an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mozdef_core.event import now_us
from mozdef_core.services.list_csv import read_expiry
from mozdef_core.services.web.api_casework import Casework, Until, refusing, shown
from mozdef_core.services.web.api_documents import EventDocument, document
from mozdef_core.services.web.api_errors import ApiError
from mozdef_core.services.web.api_requests import Asked
from mozdef_core.services.web.api_times import Moment

if TYPE_CHECKING:
    from mozdef_core.casework.exceptions import Kept, Wanted

_ANSWER = ConfigDict(extra="forbid")
Line = Annotated[str, Field(max_length=1_024)]


class ScopeAsked(Asked):
    """Which events of which rules."""

    scope: str = Field(description="all rules, those with a tag, or one rule", max_length=8)
    target: Line = Field("", description="the tag, or the name of the rule")
    query: str = Field(min_length=1, max_length=10_000, description="a search string")


class ExceptionAsked(ScopeAsked):
    """An exception to be made."""

    owner: Line = Field(description="who answers for it")
    reason: Line
    starts: Until = Field("", description="for events received from then on; empty for now")
    expires: Until = Field(description="and before then, at most a year later")


class ChangeAsked(Asked):
    """What is to be another; the rest stays."""

    scope: str | None = Field(None, max_length=8)
    target: Line | None = None
    query: str | None = Field(None, min_length=1, max_length=10_000)
    owner: Line | None = None
    reason: Line | None = None
    starts: Until | None = None
    expires: Until | None = None


class ExceptionsAsked(Asked):
    """Which exceptions."""

    expired: bool = Field(False, description="those too that have ended")


class NoneAsked(Asked):
    """Nothing but the id in the address."""


class SampleAnswer(BaseModel):
    """An event that an exception removed."""

    model_config = _ANSWER

    event: str = Field(description="id of the event")
    at: Moment
    rule: str


class ExceptionAnswer(BaseModel):
    """An exception."""

    model_config = _ANSWER

    id: str
    state: str = Field(description="planned, in force or expired")
    scope: str
    target: str
    query: str
    owner: str
    reason: str
    starts: Moment
    expires: Moment
    created: Moment
    created_by: str
    changed: Moment
    changed_by: str
    hits: int = Field(description="how many events it has removed")
    last_hit: Moment | None
    samples: list[SampleAnswer] = Field(description="the last of them, newest last")


class ExceptionsAnswer(BaseModel):
    """Exceptions, those that end first before the others."""

    model_config = _ANSWER

    items: list[ExceptionAnswer]


class RulePreviewAnswer(BaseModel):
    """A rule whose alerts an exception touches."""

    model_config = _ANSWER

    rule: str
    alerts: int = Field(description="how many of its alerts keep events that match")
    hidden: int = Field(description="how many of these keep no other events")
    events: int = Field(description="how many kept events match")


class PreviewAnswer(BaseModel):
    """What an exception would have hidden."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    from_: Moment = Field(alias="from", description="events received since then were looked at")
    matching: int = Field(description="how many stored events match, whatever rules make of them")
    rules: list[RulePreviewAnswer]
    alerts: list[str] = Field(description="ids of some of these alerts")
    samples: list[EventDocument]


def list_exceptions(casework: Casework, asked: ExceptionsAsked) -> ExceptionsAnswer:
    """Answer with the exceptions."""
    from mozdef_core.casework import exceptions

    with refusing(), casework.database.read() as session:
        found = exceptions.collect(session, expired=asked.expired)
    return ExceptionsAnswer(items=[_answer(one) for one in found])


def create_exception(casework: Casework, asked: ExceptionAsked) -> ExceptionAnswer:
    """Make an exception."""
    from mozdef_core.casework import exceptions

    wanted = _wanted(asked.model_dump())
    with refusing(), casework.database.write() as session:
        return _answer(exceptions.create(session, wanted, casework.lists, casework.actor))


def preview_exception(casework: Casework, asked: ScopeAsked) -> PreviewAnswer:
    """Answer with what an exception would have hidden in the last 30 days.

    :raises ApiError: there cannot be such an exception.
    """
    from mozdef_core.services.exception_preview import preview

    if asked.scope not in ("all", "tag", "rule"):
        raise ApiError(
            400, "invalid-value", f"scope: expected all, tag or rule, got {asked.scope!r}", field="scope"
        )
    with refusing():
        found = preview(
            casework.store,
            casework.database,
            casework.lists,
            scope=asked.scope,
            target=asked.target,
            query=asked.query,
        )
    known: dict[str, Any] = {
        "from": shown(found.since_us),
        "matching": found.matching,
        "rules": [RulePreviewAnswer(**one._asdict()) for one in found.rules],
        "alerts": list(found.alerts),
        "samples": [document(event) for event in found.samples],
    }
    return PreviewAnswer(**known)


def get_exception(casework: Casework, _asked: NoneAsked, id: str) -> ExceptionAnswer:
    """Answer with one exception."""
    from mozdef_core.casework import exceptions

    with refusing(), casework.database.read() as session:
        return _answer(exceptions.show(session, id))


def change_exception(casework: Casework, asked: ChangeAsked, id: str) -> ExceptionAnswer:
    """Change an exception that has not expired."""
    from mozdef_core.casework import exceptions

    with refusing(), casework.database.write() as session:
        before = exceptions.show(session, id)._asdict()
        given = {name: value for name, value in asked.model_dump().items() if value is not None}
        times = {name: shown(before[f"{name}_us"]) for name in ("starts", "expires")}
        wanted = _wanted({**before, **times, **given})
        return _answer(exceptions.change(session, id, wanted, casework.lists, casework.actor))


def end_exception(casework: Casework, _asked: NoneAsked, id: str) -> ExceptionAnswer:
    """End an exception now."""
    from mozdef_core.casework import exceptions

    with refusing(), casework.database.write() as session:
        return _answer(exceptions.end(session, id, casework.actor))


def _wanted(given: dict[str, Any]) -> Wanted:
    """Return what is asked for as the service takes it."""
    from mozdef_core.casework.exceptions import Wanted

    now = now_us()
    names = ("scope", "target", "query", "owner", "reason")
    return Wanted(
        **{name: given[name] for name in names},
        starts_us=read_expiry(given["starts"], now) or now,
        expires_us=read_expiry(given["expires"], now) or 0,
    )


def _answer(kept: Kept) -> ExceptionAnswer:
    row = kept._asdict()
    for name in ("starts", "expires", "created", "changed", "last_hit"):
        row[name] = shown(row.pop(f"{name}_us"))
    row["samples"] = [
        SampleAnswer(event=one["event"], at=shown(one["at_us"]) or "", rule=one["rule"])
        for one in kept.samples
    ]
    return ExceptionAnswer(**row, state=kept.state(now_us()))
