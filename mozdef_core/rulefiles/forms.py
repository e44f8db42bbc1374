"""The forms that a rule file can have; what they say is checked here, what it means is in the classes made of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from mozdef_core.alert import Severity
from mozdef_core.errors import QueryError
from mozdef_core.options import Duration, Items, ListOption
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.query.groups import check_group_field
from mozdef_core.query.lists import names_in
from mozdef_core.query.model import Bool, Query, QueryString, Term
from mozdef_core.rulefiles.template import Template, is_field
from mozdef_core.rules.rule import Mode, Schedule, SpanSchedule

_NONE: Final = timedelta(0)
Scalar: TypeAlias = str | int | float | bool
OF_EVENT: Final = ("count", "name")
OF_GROUP: Final = ("count", "group", "name")
OF_SILENCE: Final = ("description", "window", "last_seen", "name")
OF_NEW: Final = ("entity", "value", "name")


def checked(query: Query) -> Query:
    """Return a query that can be run.

    :raises QueryError: it cannot; what its lists hold is only known then.
    """
    if not names_in(query):
        compile_query(query)
    return query


def _search(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a search string, got an empty text")
    try:
        checked(QueryString(text))
    except QueryError as error:
        raise ValueError(str(error)) from None
    return text


def _group(text: str) -> str:
    try:
        check_group_field(text)
    except QueryError as error:
        raise ValueError(str(error)) from None
    return text


def _path(text: str) -> str:
    if not is_field(text):
        raise ValueError(f"expected the name of a field such as hostname or details.username, got {text!r}")
    return text


def _alone(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_is(value: Any) -> Any:
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    """Return values as a list of what a filter can want."""
    values = value if isinstance(value, list) else [value]
    return [str(each).lower() if isinstance(each, bool) else each for each in values]


SearchString = Annotated[str, AfterValidator(_search)]
GroupField = Annotated[str, AfterValidator(_group)]
GroupFields = Annotated[
    list[GroupField], BeforeValidator(_alone, json_schema_input_type=list[str] | str), Field(min_length=1)
]
FieldPath = Annotated[str, AfterValidator(_path)]
Level = Annotated[Severity, BeforeValidator(_upper, json_schema_input_type=str)]
Wanted = Annotated[
    list[Scalar], BeforeValidator(_texts, json_schema_input_type=list[Scalar] | Scalar), Field(min_length=1)
]
Span = Annotated[Duration, Field(gt=_NONE)]


class Form(BaseModel):
    """Some keys of a rule file; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kibana(Form):
    """A search saved in Kibana."""

    file: str = Field(min_length=1, description="the export, beside the rule file")
    title: str | None = Field(None, description="of the search; unset: the only one in the file")


class Condition(Form):
    """What an event must match; all that is given must hold."""

    query: SearchString | None = Field(None, description="a search string")
    filters: dict[FieldPath, Wanted] = Field(
        {},
        description="by field, the value that it must have, or several of which it must have one; @name is a list",
    )
    kibana: Kibana | None = Field(None, description="a search exported from Kibana")

    @model_validator(mode="after")
    def _something(self) -> Condition:
        if self.query is None and not self.filters and self.kibana is None:
            raise ValueError("expected a condition: 'query', 'filters' or 'kibana'")
        return self

    def condition(self, saved: Query | None = None) -> Query:
        """Return the query.

        :param saved: what ``kibana`` names.
        :raises QueryError: it cannot be run.
        """
        parts = [*([QueryString(self.query)] if self.query is not None else []), *([saved] if saved else [])]
        parts += [
            ListOption([str(each) for each in values]).condition(name)
            for name, values in self.filters.items()
        ]
        return checked(parts[0] if len(parts) == 1 else Bool(must=parts))


class RuleForm(Form):
    """What rules of every kind say."""

    name: str | None = Field(None, description="of the rule; unset: the name of the file without its ending")
    description: str = Field("", description="what it finds and why that matters, for people")
    enabled: bool = True
    mode: Mode | None = Field(None, description="live, staged or off")
    severity: Level | None = Field(None, description="of its alerts; unset: NOTICE")
    category: str = Field("", description="of its alerts")
    tags: Items = Field([], description="of its alerts")
    attack: Items = Field([], description="MITRE ATT&CK techniques, such as T1110")
    summary: str = Field(
        min_length=1, description="of its alerts, with placeholders such as {details.username}"
    )
    details: list[FieldPath] = Field([], description="fields of the events that the alert's details keep")
    url: str | None = Field(None, description="run-book link stored with each alert")
    channel: str | None = Field(None, description="where notifiers send its alerts, instead of their default")
    notify: bool | None = Field(None, description="whether notifiers send its alerts; unset: by severity")
    needs: Items = Field(
        [], description="plugins without whose work on the events it cannot find what it should"
    )
    examples: dict[str, Any] | None = Field(None, description="what it must find and what it must not")

    placeholders: ClassVar[tuple[str, ...]] = OF_GROUP
    of_events: ClassVar[bool] = True

    @field_validator("summary")
    @classmethod
    def _template(cls, text: str) -> str:
        Template(text, cls.placeholders, fields=cls.of_events)
        return text


class EventForm(RuleForm, Condition):
    """An event rule: one alert for each event that matches."""

    placeholders: ClassVar[tuple[str, ...]] = OF_EVENT
    kind: Literal["event"]
    schedule: Schedule | None = Field(
        None, description="stream, an interval or crontab fields; unset: stream"
    )
    group_for: Duration | None = Field(
        None, ge=_NONE, description="how long an open alert is extended; unset: 0"
    )
    suppress_by: Items = Field([], description="fields whose values tell alerts apart within group_for")


class GroupedForm(RuleForm):
    """What rules say that look at the events of a group together."""

    by: GroupFields = Field(description="the grouping field, or several")
    window: Span = Field(description="the span within which the events of one finding lie")
    schedule: SpanSchedule | None = Field(None, description="an interval or crontab fields; unset: 60s")
    samples: int | None = Field(None, ge=0, le=100, description="events kept with each alert; unset: 10")
    group_for: Duration | None = Field(
        None, ge=_NONE, description="how long an open alert is extended; unset: window"
    )


class AggregationForm(GroupedForm, Condition):
    """An aggregation rule: one alert for each group with so many events within the window."""

    kind: Literal["aggregation"]
    threshold: int = Field(1, ge=1, description="occurrences within the window that make an alert")
    having: dict[GroupField, Annotated[int, Field(ge=1)]] = Field(
        {}, description="by field, how many distinct values there must be"
    )


class StepForm(Condition):
    """One step of a sequence."""

    at_least: int = Field(1, ge=1, description="occurrences that make the step")


class SequenceForm(GroupedForm):
    """A sequence rule: several steps by one group within the window."""

    kind: Literal["sequence"]
    steps: list[StepForm] = Field(min_length=1)
    ordered: bool = Field(True, description="whether the steps must come one after the other")


class DeadmanForm(RuleForm, Condition):
    """A dead-man rule: one alert when nothing has matched for the window. There are no events to keep details of."""

    placeholders: ClassVar[tuple[str, ...]] = OF_SILENCE
    of_events: ClassVar[bool] = False
    kind: Literal["deadman"]
    window: Span = Field(description="how long nothing may match")
    schedule: SpanSchedule | None = Field(None, description="an interval or crontab fields; unset: 60s")


class NewValueForm(RuleForm, Condition):
    """A new-value rule: one alert for each value that something did not have for long."""

    placeholders: ClassVar[tuple[str, ...]] = OF_NEW
    kind: Literal["new_value"]
    by: GroupFields = Field(description="the field of whose values it is told, such as a user, or several")
    value_of: GroupFields = Field(
        description="the field of the value that is new, such as a country, or several"
    )
    span: Span = Field(timedelta(days=30), description="how long a value must not have been seen to be new")
    schedule: SpanSchedule | None = Field(None, description="an interval or crontab fields; unset: 60s")
    samples: int | None = Field(None, ge=0, le=100, description="events kept with each alert; unset: 10")
    group_for: Duration | None = Field(
        None, ge=_NONE, description="how long an open alert is extended; unset: 0"
    )


class GenericForm(Form):
    """A generic rule in the classical form (detections.md C1)."""

    search_string: SearchString
    filters: list[tuple[str, Scalar]] = Field(description="pairs of field and value that must all hold")
    aggregation_key: GroupField
    time_window: float = Field(gt=0, lt=1e7, description="minutes")
    num_samples: int = Field(ge=0, le=100)
    num_aggregations: int = Field(ge=1)
    alert_category: str
    alert_tags: Items
    alert_severity: Level
    alert_summary: str
    alert_url: str
    channel: str = ""
    notify_mozdefbot: bool | None = None
    additional_summary_fields: list[str] = []
    enabled: bool = True
    description: str = ""
    exceptions: list[SearchString] = Field(
        [], description="search strings; events that match one do not count"
    )
    tests: dict[str, Any] | None = Field(None, description="examples, in the form that other rule files have")

    def condition(self) -> Query:
        """Return the query.

        :raises QueryError: it cannot be run.
        """
        filters = [Term(name, value) for name, value in self.filters]
        excluded = [QueryString(text) for text in self.exceptions]
        return checked(Bool(must=(QueryString(self.search_string), *filters), must_not=excluded))


class DeadmanListForm(Form):
    """A list of searches that must find something, in the classical form (detections.md C2)."""

    severity: Level = Severity.ERROR
    alerts: list[Any] = Field(min_length=1, description="one bad entry does not stop the others")
    enabled: bool = True
    description: str = ""


class SilentForm(Form):
    """One entry of such a list."""

    description: str = Field(min_length=1)
    search_query: SearchString
    time_window: Annotated[float, BeforeValidator(_as_is, json_schema_input_type=float | str)] = Field(
        gt=0, lt=1e9, description="a number, which may be written as a text"
    )
    time_window_type: Literal["seconds", "minutes", "hours", "days"]
    tags: Items = []
    severity: Level | None = None

    @property
    def window(self) -> timedelta:
        """The span of time."""
        return timedelta(**{self.time_window_type: self.time_window})


FORMS: Final[Mapping[str, type[RuleForm]]] = {
    "event": EventForm,
    "aggregation": AggregationForm,
    "sequence": SequenceForm,
    "deadman": DeadmanForm,
    "new_value": NewValueForm,
}
"""The forms of MozDef's own format, by their ``kind``."""
