"""The classes of rules that stand in files: ordinary rules that have what the file says as their own defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import ValidationError, create_model

from mozdef_core.event import Event
from mozdef_core.problems import describe
from mozdef_core.query.model import Query, QueryString
from mozdef_core.rulefiles.forms import (
    AggregationForm,
    DeadmanForm,
    DeadmanListForm,
    EventForm,
    GenericForm,
    NewValueForm,
    RuleForm,
    SequenceForm,
    SilentForm,
)
from mozdef_core.rulefiles.template import SHOWN, Template, distinct, of_event, of_group, texts_of
from mozdef_core.rules import (
    AggregationRule,
    Awaited,
    DeadmanRule,
    EventRule,
    Group,
    NewValueRule,
    Rule,
    RuleOptions,
    SequenceRule,
    Step,
)

_DEFAULTS: Final = ("mode", "url", "channel", "notify", "suppress_by")
_ATTRIBUTES: Final = (
    "window",
    "threshold",
    "samples",
    "group_for",
    "schedule",
    "severity",
    "span",
    "ordered",
    "having",
)


class OfFile:
    """A rule that stands in a file.

    :cvar name: of the rule, as the file has it.
    :cvar stands_in: the file.
    :cvar examples: as they stand in it.
    """

    name: ClassVar[str]
    stands_in: ClassVar[Path | None] = None
    examples: ClassVar[Mapping[str, Any] | None] = None


class EventOfFile(OfFile, EventRule[RuleOptions]):
    """An event rule that stands in a file."""

    template: ClassVar[Template]
    kept: ClassVar[Sequence[str]] = ()

    def summary(self, event: Event) -> str:
        """The template, filled in."""
        known = {"count": event.get("details.repeated", 1), "name": self.name}
        return self.template.fill(known, of_event(event))

    def details(self, event: Event) -> Mapping[str, Any]:
        """Source address and user name, and the fields that the file names."""
        return {**super().details(event), **_kept([event], self.kept)}


class _Grouped(OfFile):
    """What files say of rules that look at groups."""

    template: ClassVar[Template]
    kept: ClassVar[Sequence[str]] = ()

    def summary(self, group: Group) -> str:
        """The template, filled in."""
        known = {"count": group.count, "group": group.key, "name": self.name}
        return self.template.fill(known, of_group(group))


class AggregationOfFile(_Grouped, AggregationRule[AggregationRule.Options]):
    """An aggregation rule that stands in a file."""

    def details(self, group: Group) -> Mapping[str, Any]:
        """Source address and user name, and the fields that the file names."""
        return {**super().details(group), **_kept(group.events, self.kept)}


class SequenceOfFile(_Grouped, SequenceRule[SequenceRule.Options]):
    """A sequence rule that stands in a file."""

    def details(self, group: Group) -> Mapping[str, Any]:
        """Source address and user name, and the fields that the file names."""
        return {**super().details(group), **_kept(group.events, self.kept)}


class DeadmanOfFile(OfFile, DeadmanRule[DeadmanRule.Options]):
    """A dead-man rule that stands in a file."""

    template: ClassVar[Template]
    query: ClassVar[Query]
    about: ClassVar[str]

    by = "rule"

    def awaited(self) -> Iterable[Awaited]:
        """A match of the condition."""
        return [Awaited(self.name, self.query, description=self.about or self.name)]

    def summary(self, awaited: Awaited, window: timedelta, last_us: int | None) -> str:
        """The template, filled in."""
        known = {
            "name": self.name,
            "description": awaited.description,
            "window": self.span(window),
            "last_seen": self.seen(last_us),
        }
        return self.template.fill(known, lambda _path, _form: "")


class NewValueOfFile(OfFile, NewValueRule[NewValueRule.Options]):
    """A new-value rule that stands in a file."""

    template: ClassVar[Template]
    kept: ClassVar[Sequence[str]] = ()

    def summary(self, event: Event, entity: str, value: str) -> str:
        """The template, filled in."""
        known = {"entity": entity, "value": value, "name": self.name}
        return self.template.fill(known, of_event(event))

    def details(self, event: Event, entity: str, value: str) -> Mapping[str, Any]:
        """Source address and user name, and the fields that the file names."""
        return {**super().details(event, entity, value), **_kept([event], self.kept)}


class GenericOfFile(OfFile, AggregationRule[AggregationRule.Options]):
    """A generic rule that stands in a file (detections.md C1)."""

    title: ClassVar[str]
    fields: ClassVar[Sequence[str]] = ()

    def summary(self, group: Group) -> str:
        """The title, how many, which group, the values of fields, and the hosts."""
        named = [(field, distinct(group, field)[:SHOWN]) for field in self.fields]
        parts = [f" ({field}={', '.join(values)})" for field, values in named if values]
        hosts = distinct(group, "hostname")[:SHOWN]
        if hosts:
            parts.append(f" [{', '.join(hosts)}]")
        return f"{self.title} ({group.count}): {group.key}{''.join(parts)}"


class DeadmanListOfFile(OfFile, DeadmanRule[DeadmanRule.Options]):
    """Searches that must find something, and stand in a file (detections.md C2)."""

    entries: ClassVar[Sequence[Any]]

    by = "description"

    def awaited(self) -> Iterable[Awaited]:
        """A match of each search; of an entry that is wrong it is said why."""
        for number, entry in enumerate(self.entries, 1):
            try:
                form = SilentForm.model_validate(entry)
            except ValidationError as error:
                for problem in describe(error, SilentForm, f"alerts[{number}]", "key"):
                    self.refuse(problem)
            else:
                query = QueryString(form.search_query)
                yield Awaited(
                    form.description, query, form.window, form.description, form.severity, tuple(form.tags)
                )

    def summary(self, awaited: Awaited, window: timedelta, last_us: int | None) -> str:
        """What was to be found, for how long it was not, and when it was last."""
        return f"{awaited.description}: nothing found for {self.span(window)}, last seen {self.seen(last_us)}"


def _kept(events: Sequence[Event], paths: Sequence[str]) -> Mapping[str, Any]:
    """Return what stands under some fields, by the last part of their names: one value, or several as a list."""
    found: dict[str, Any] = {}
    for path in paths:
        values = list(dict.fromkeys(text for event in events for text in texts_of(event, path)))
        if values:
            found[path.rpartition(".")[2]] = values[0] if len(values) == 1 else values[:100]
    return found


def class_of(form: RuleForm, name: str, version: str, saved: Sequence[Query | None]) -> type[Rule[Any]]:
    """Return the class of a rule in MozDef's own format.

    :param saved: what ``kibana`` names, of the rule or of each step.
    :raises QueryError: a condition cannot be run.
    """
    members: dict[str, Any] = {
        key: value for key in _ATTRIBUTES if (value := getattr(form, key, None)) is not None
    }
    members |= {"category": form.category, "tags": tuple(form.tags), "attack": tuple(form.attack)}
    members |= {"needs": tuple(form.needs), "kept": tuple(form.details)}
    members["template"] = Template(form.summary, form.placeholders, fields=form.of_events)
    for key in ("by", "value_of"):
        fields = getattr(form, key, None)
        if fields is not None:
            members[key] = fields[0] if len(fields) == 1 else tuple(fields)
    base: type[Rule[Any]]
    if isinstance(form, SequenceForm):
        base = SequenceOfFile
        members["steps"] = tuple(
            Step(step.condition(query), step.at_least) for step, query in zip(form.steps, saved, strict=True)
        )
    elif isinstance(form, EventForm | AggregationForm | NewValueForm | DeadmanForm):
        base = _BASES[type(form)]
        members["query"] = form.condition(saved[0])
    if isinstance(form, DeadmanForm):
        members["about"] = form.description
        members["tags"] = tuple(dict.fromkeys(("deadman", *form.tags)))
        members["category"] = form.category or "deadman"
    defaults = {key: value for key in _DEFAULTS if (value := getattr(form, key, None))}
    if getattr(form, "notify", None) is False:
        defaults["notify"] = False
    return _made(base, name, version, form.description or f"The rule {name}.", members, defaults)


_BASES: Final[Mapping[type[RuleForm], type[Rule[Any]]]] = {
    EventForm: EventOfFile,
    AggregationForm: AggregationOfFile,
    NewValueForm: NewValueOfFile,
    DeadmanForm: DeadmanOfFile,
}


def generic_class(form: GenericForm, name: str, version: str) -> type[Rule[Any]]:
    """Return the class of a generic rule in the classical form.

    :raises QueryError: its condition cannot be run.
    """
    members = {
        "query": form.condition(),
        "by": form.aggregation_key,
        "window": timedelta(minutes=form.time_window),
        "threshold": form.num_aggregations,
        "samples": form.num_samples,
        "severity": form.alert_severity,
        "category": form.alert_category,
        "tags": tuple(form.alert_tags),
        "title": form.alert_summary,
        "fields": tuple(form.additional_summary_fields),
    }
    defaults: dict[str, Any] = {
        "url": form.alert_url,
        "channel": form.channel,
        "notify": form.notify_mozdefbot,
    }
    return _made(GenericOfFile, name, version, form.description or form.alert_summary, members, defaults)


def deadman_class(form: DeadmanListForm, name: str, version: str) -> type[Rule[Any]]:
    """Return the class of a list of searches that must find something."""
    members = {"entries": tuple(form.alerts), "severity": form.severity}
    about = form.description or "Searches that must find something."
    return _made(DeadmanListOfFile, name, version, about, members, {})


def _made(
    base: type[Rule[Any]],
    name: str,
    version: str,
    about: str,
    members: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> type[Rule[Any]]:
    """Return a class whose attributes and whose options' defaults are what a file says."""
    changed: dict[str, Any] = {}
    for key, value in defaults.items():
        field = copy(base.Options.model_fields[key])
        field.default = value
        changed[key] = (field.annotation, field)
    options = base.Options
    if changed:  # a model of its own takes 2 ms to make
        options = create_model("Options", __base__=base.Options, __module__=__name__, **changed)
    title = "".join(part.capitalize() for part in name.replace(":", "_").split("_"))
    body = {"__doc__": about, "__module__": __name__, "name": name, "version": version, "Options": options}
    return type(title or "Rule", (base,), {**body, **members})
