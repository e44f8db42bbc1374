"""Examples of rules: what a shipper sends that a rule must find, and what it must nearly find but not.

They stand beside the rule, as ``<module>.examples.yaml``, and are led through what they would meet in production:
decoder, normaliser, mappers, and then the rule on the stream, or on its schedule over a store.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mozdef_core import discovery
from mozdef_core.alert import Severity
from mozdef_core.errors import ConfigError
from mozdef_core.event import isoformat, microseconds
from mozdef_core.options import Duration
from mozdef_core.problems import describe
from mozdef_core.query.members import KINDS, Members

BASE: Final = datetime(2026, 11, 24, 10, tzinfo=UTC)
"""When the first event of an example is received, unless it says otherwise."""
MOST_EVENTS: Final = 100_000
SUFFIX: Final = ".examples.yaml"
_NONE: Final = timedelta(0)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sending(_Model):
    """What is sent, once or again and again.

    In texts ``{n}`` is the number of the time, from 1; ``{rfc3164}``, ``{iso}``, ``{epoch}`` and ``{epoch_ms}`` are the
    time at which it is sent; and each name in ``vary`` is one of its values, in turn.
    """

    line: str | None = Field(None, description="a line as the input gets it")
    document: Any = Field(None, description="a JSON document as an entrance for JSON gets it")
    after: Duration = Field(_NONE, description="how long after the beginning it is first sent")
    times: int = Field(1, ge=1, le=MOST_EVENTS)
    every: Duration = Field(timedelta(seconds=1), description="the time from one to the next")
    vary: dict[str, list[str]] = Field({}, description="by placeholder, the values it has in turn")

    @model_validator(mode="before")
    @classmethod
    def _line(cls, value: Any) -> Any:
        return {"line": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> Sending:
        if (self.line is None) == (self.document is None):
            raise ValueError("expected either 'line' or 'document'")
        if any(not values for values in self.vary.values()):
            raise ValueError("vary: expected at least one value for each placeholder")
        return self

    def sent(self, start: datetime) -> Iterator[tuple[int, bytes]]:
        """Yield when each is received, in microseconds since 1970, and its bytes."""
        text = self.line if self.line is not None else orjson.dumps(self.document).decode()
        for number in range(self.times):
            at = start + self.after + number * self.every
            yield microseconds(at), _filled(text, number, at, self.vary).encode()


class Expected(_Model):
    """What an alert must look like; what is not given may be anything."""

    summary: str | None = None
    count: int | None = None
    group: str | None = None
    severity: Severity | None = None
    category: str | None = None
    tags: list[str] | None = None
    details: dict[str, Any] = Field({}, description="members that the alert's details must have")
    samples: int | None = None


class Example(_Model):
    """One example.

    :ivar alerts: of one that fires: the alerts, in order; by default one of any look.
    """

    name: str = Field("", description="what it is about, in a few words")
    send: list[Sending] = Field(
        min_length=1,
        description="what is sent; a text is a line that is sent once, and one alone needs no list",
    )
    fields: dict[str, Any] = Field({}, description="what the entrance adds, besides what the file says")
    options: dict[str, Any] | None = Field(
        None, description="the rule's options, instead of those of the file"
    )
    alerts: list[Expected] | None = Field(None, min_length=1)
    until: Duration = Field(
        _NONE, description="how long after the last event the rule is still run; at least a window"
    )
    received: datetime = Field(BASE, description="when the first of its events arrives")

    @field_validator("send", "alerts", mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value


class Listed(_Model):
    """A list that people would keep, by what it is a list of, as ``mozdef lists`` has it."""

    kind: Literal["addresses", "hosts", "users", "hashes", "texts"] = "texts"
    members: list[str]

    def made(self) -> Members:
        """Return what is asked whether a value is in it."""
        return KINDS[self.kind]((text, None) for text in self.members)


class Examples(_Model):
    """All examples of one rule."""

    rule: str | None = Field(None, description="the rule's name, where its module has several")
    plugins: dict[str, dict[str, Any]] = Field(
        {}, description="the plugins that are enabled, each with its options"
    )
    input: str = Field("json", description="json, or the input whose decoder reads the lines")
    input_options: dict[str, Any] = Field({}, description="that input's options, as far as it must have some")
    entrance: str = Field("", description="the name of the entrance; empty: that of the input")
    endpoint: str = Field("events", description="the entrance's last path part, for JSON")
    kind: Literal["http", "syslog", "file", "pull", "queue"] = "http"
    fields: dict[str, Any] = Field({}, description="what the entrance adds to every event")
    options: dict[str, Any] = Field({}, description="the rule's options")
    lists: dict[str, Listed] = Field({}, description="by name, the lists that ``@name`` means")
    fires: list[Example] = []
    nearly: list[Example] = []

    @model_validator(mode="after")
    def _quiet(self) -> Examples:
        for example in self.nearly:
            if example.alerts is not None:
                raise ValueError("an example that nearly fires has no alerts")
        return self


def read(path: Path) -> Examples:
    """Read the examples of one file.

    :raises ConfigError: the file cannot be read or is not as it should be; with each place and what would be right.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    except YAMLError as error:
        raise ConfigError([f"{path}: is no YAML: {' '.join(str(error).split())}"]) from None
    try:
        return Examples.model_validate(_plain(document))
    except ValidationError as error:
        raise ConfigError([_described(path, document, problem) for problem in error.errors()]) from None


def read_value(value: Any, where: str) -> Examples:
    """Return the examples that stand in a rule file.

    :param where: what to call the place in sentences.
    :raises ConfigError: they are not as they should be.
    """
    try:
        return Examples.model_validate(value)
    except ValidationError as error:
        raise ConfigError(describe(error, Examples, where, "key")) from None


def path_of(target: str) -> Path | None:
    """Return the file of examples beside the module of an entry point, or None where there is none."""
    module = _origin(target)
    path = None if module is None else module.with_suffix(SUFFIX)
    return path if path is not None and path.exists() else None


def rule_of(path: Path, examples: Examples) -> str:
    """Return the name of the rule that a file of examples is about: the one in the module beside it.

    :raises ConfigError: no rule is installed from there, or several are and the file does not say which.
    """
    module = path.with_name(path.name.removesuffix(SUFFIX) + ".py")
    found = [
        item.name for item in discovery.installed(discovery.RULES) if _origin(item.target) == module.resolve()
    ]
    if examples.rule is not None and (examples.rule in found or not module.exists()):
        return examples.rule
    if len(found) == 1 and examples.rule is None:
        return found[0]
    names = ", ".join(sorted(found)) or "none"
    wanted = (
        "one of them as 'rule'" if found else "an entry point of the group mozdef.alerts that leads to it"
    )
    raise ConfigError([f"{path}: the rules installed from {module.name} are: {names}; expected {wanted}"])


def _origin(target: str) -> Path | None:
    """Return the file of an entry point's module, which is not imported."""
    try:
        spec = importlib.util.find_spec(target.partition(":")[0])
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve()


def _plain(node: Any) -> Any:
    """Return what the reader of YAML made, without what it adds for its own use."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, str):
        return str(node)
    return node if node is None or isinstance(node, bool | datetime) else _number(node)


def _number(node: Any) -> Any:
    return int(node) if isinstance(node, int) else float(node) if isinstance(node, float) else node


def _described(path: Path, document: Any, problem: Any) -> str:
    """Return one problem with its file, line and place."""
    node: Any = document
    line, place = 1, problem["loc"]
    for part in place:
        lines: Any = getattr(node, "lc", None)
        if isinstance(node, dict) and part in node:
            line, node = lines.key(part)[0] + 1, node[part]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            line, node = lines.item(part)[0] + 1, node[part]
        else:
            break
    return f"{path}:{line}: {'.'.join(map(str, place)) or 'the file'}: {problem['msg']}"


def _filled(text: str, number: int, at: datetime, vary: Mapping[str, Sequence[str]]) -> str:
    """Return a text with its placeholders filled in; anything else in braces stays."""
    moment = at.astimezone(UTC)
    known = {
        "n": str(number + 1),
        "rfc3164": f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}",
        "iso": isoformat(microseconds(moment)),
        "epoch": str(microseconds(moment) // 1_000_000),
        "epoch_ms": str(microseconds(moment) // 1_000),
        **{name: values[number % len(values)] for name, values in vary.items()},
    }
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text
