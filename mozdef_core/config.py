"""The configuration: ``mozdef.toml`` and the environment, checked as a whole before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext, SSLError
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from mozdef_core.block_settings import BlockSettings
from mozdef_core.environment import EnvironmentText, merge, overrides, sources, typed
from mozdef_core.errors import ConfigError
from mozdef_core.notification_settings import NotifySettings
from mozdef_core.problems import describe, suggestion
from mozdef_core.setting_values import DURATION
from mozdef_core.settings import (
    AlertSettings,
    Config,
    CoreSettings,
    DetectionSettings,
    Entrance,
    HealthSettings,
    LetterSettings,
    QuotaSettings,
    RetentionSettings,
    WebSettings,
)

__all__ = ["DEFAULT_PATH", "Config", "Entrance", "load", "read"]

DEFAULT_PATH: Final = Path("mozdef.toml")

_KEYS: Final = (
    *("plugins", "inputs", "core", "web", "entrance", "input", "plugin", "alerts"),
    *("store", "queue", "scheduler", "retention", "health", "notify", "detection", "blocks"),
)
Model = TypeVar("Model", bound=BaseModel)


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration.

    :param path: the file, which must exist; None reads ``mozdef.toml`` of the working directory if there is one.
    :raises ConfigError: with every problem found, not only the first.
    """
    config, problems = read(path, environ)
    if problems:
        raise ConfigError(problems)
    return config


def read(path: Path | None, environ: Mapping[str, str]) -> tuple[Config, list[str]]:
    """Read as much of the configuration as is right, and return it with all that is wrong."""
    if path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    document, problems = _document(path) if path is not None else ({}, [])
    tables = [key for key in _KEYS if key not in ("plugins", "inputs")]
    over, slips = overrides(environ, tables)
    reading = _Reading(path, merge(document, over), problems + slips)
    return reading.config(), reading.problems


def _document(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), []
    except OSError as error:
        return {}, [f"{path}: cannot be read: {error.strerror or error}"]
    except UnicodeDecodeError as error:
        return {}, [f"{path}: not UTF-8 text: byte {error.object[error.start]:#04x} at offset {error.start}"]
    except tomllib.TOMLDecodeError as error:
        return {}, [f"{path}: not valid TOML: {error}"]


class _Reading:
    """One pass over the document that collects what is wrong."""

    def __init__(self, path: Path | None, document: dict[str, Any], problems: list[str]) -> None:
        self.path = path
        self.document = document
        self.problems = problems
        self.sources = sources(document)

    def config(self) -> Config:
        for key in self.document:
            if key not in _KEYS:
                noun = "table" if isinstance(self.document[key], dict) else "key"
                self.problems.append(f"{self.path}: unknown {noun} {key!r}{suggestion(key, _KEYS)}")
        config = Config(
            path=self.path,
            plugins=self._names("plugins", self.document),
            inputs=self._names("inputs", self.document),
            entrances={
                name: self._section(Entrance, table, f"entrance.{name}")
                for name, table in self._tables("entrance", self._table("entrance")).items()
            },
            alerts=self._alerts(),
            retention=self._retention(),
            core=self._section(CoreSettings, self._table("core"), "core"),
            web=self._section(WebSettings, self._table("web"), "web"),
            health=self._section(HealthSettings, self._table("health"), "health"),
            notify=self._section(NotifySettings, self._table("notify"), "notify"),
            blocks=self._section(BlockSettings, self._table("blocks"), "blocks"),
            detection=self._section(DetectionSettings, self._table("detection"), "detection"),
            plugin=self._tables("plugin", self._table("plugin")),
            input=self._tables("input", self._table("input")),
            store=self._tables("store", self._table("store")),
            queue=self._tables("queue", self._table("queue")),
            scheduler=self._tables("scheduler", self._table("scheduler")),
        )
        self._check_tls(config)
        return config

    def _table(self, key: str) -> dict[str, Any]:
        table = self.document.get(key, {})
        if isinstance(table, dict):
            return table
        self.problems.append(f"{key}: expected a table [{key}], got {_brief(table)}")
        return {}

    def _tables(self, key: str, table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        found = {}
        for name, below in table.items():
            if isinstance(below, dict):
                found[name] = below
            else:
                self.problems.append(f"{key}.{name}: expected a table [{key}.{name}], got {_brief(below)}")
        return found

    def _names(self, key: str, table: Mapping[str, Any], where: str = "") -> tuple[str, ...]:
        value = table.get(key, [])
        place = f"{where}{key}"
        if isinstance(value, EnvironmentText):
            value = [word.strip() for word in value.replace(",", " ").split()]
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.problems.append(
                f'{place}: expected a list of names such as ["linux", "geoip"], got {_brief(value)}'
            )
            return ()
        for name in dict.fromkeys(value):
            if value.count(name) > 1:
                self.problems.append(f"{place}: {name!r} is named {value.count(name)} times; name it once")
        return tuple(dict.fromkeys(value))

    def _section(self, model: type[Model], table: Mapping[str, Any], where: str) -> Model:
        try:
            return model.model_validate(typed(table, model))
        except ValidationError as error:
            self.problems.extend(describe(error, model, where, "key", self.sources))
            return model()

    def _alerts(self) -> AlertSettings:
        table = self._table("alerts")
        rules = {name: below for name, below in table.items() if isinstance(below, dict)}
        for name in table:
            if name not in rules and name not in ("enabled", "folders"):
                self.problems.append(
                    f"alerts: unknown key {name!r}{suggestion(name, ['enabled', 'folders'])}"
                )
        folders = tuple(map(Path, self._names("folders", table, "alerts.")))
        return AlertSettings(enabled=self._names("enabled", table, "alerts."), folders=folders, rules=rules)

    def _retention(self) -> RetentionSettings:
        spans: dict[str, timedelta | None] = {}
        table = dict(self._table("retention"))
        letters = self._tables("retention", {"dead_letters": table.pop("dead_letters", {})})
        most = self._section(
            QuotaSettings, {key: table.pop(key) for key in ("max_bytes",) if key in table}, "retention"
        )
        for name, value in table.items():
            try:
                spans[name] = None if value == "forever" else DURATION.validate_python(value)
            except ValidationError:
                spans[name] = timedelta(0)
            span = spans[name]
            if span is not None and span <= timedelta(0):
                self.problems.append(
                    f"retention.{name}: expected a duration such as '90d', or 'forever', got {value!r}"
                )
        default = spans.pop("default", timedelta(days=90))
        dead_letters = self._section(
            LetterSettings, letters.get("dead_letters", {}), "retention.dead_letters"
        )
        return RetentionSettings(
            default=default, classes=spans, dead_letters=dead_letters, max_bytes=most.max_bytes
        )

    def _check_tls(self, config: Config) -> None:
        client_ca = config.web.tls_client_ca
        pair = {"tls_certificate": config.web.tls_certificate, "tls_key": config.web.tls_key}
        if client_ca is not None:
            if not any(pair.values()):
                self.problems.append("web.tls_client_ca: needs tls_certificate and tls_key, too")
            try:
                SSLContext(PROTOCOL_TLS_SERVER).load_verify_locations(config.resolve(client_ca))
            except SSLError:
                self.problems.append(f"web.tls_client_ca: no certificate in PEM form in {str(client_ca)!r}")
            except OSError as error:
                self.problems.append(
                    f"web.tls_client_ca: cannot read {str(client_ca)!r}: {error.strerror or error}"
                )
        for key, path in pair.items():
            if path is None:
                if any(pair.values()):
                    self.problems.append(f"web.{key}: required, because the other half of the pair is set")
                continue
            try:
                config.resolve(path).read_bytes()
            except OSError as error:
                self.problems.append(f"web.{key}: cannot read {str(path)!r}: {error.strerror or error}")


def _brief(value: object) -> str:
    """Return what to say about a value of the wrong kind; texts are not shown, they may be secrets."""
    kinds = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), type(value).__name__)
