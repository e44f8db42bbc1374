"""How a plugin declares its options, and the type of an option that nobody may see."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["Duration", "Field", "Options", "Secret"]

_UNITS_S: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        form = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)\s*", value)
        if form is None:
            raise ValueError("expected a duration such as '30s', '5m', '2h' or '90d'")
        return timedelta(seconds=float(form[1]) * _UNITS_S[form[2]])
    return value


def span(text: str) -> timedelta:
    """Return a duration such as ``30s``, ``5m``, ``2h`` or ``90d``.

    :raises ValueError: with what would be right.
    """
    found: timedelta = _duration(text)
    return found


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A span of time: a number of seconds, or text with a unit, such as ``30s``, ``5m``, ``2h``, ``90d``."""


class Options(BaseModel):
    """The options of a plugin, rule or input: subclass it as ``Options`` inside the plugin's class.

    Values come from the plugin's table in mozdef.toml. Unknown names are refused with a suggestion.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=False)


class Secret:
    """A value that is never shown: not by ``repr``, not in logs, not by ``plugins show``.

    In mozdef.toml it is written ``"env:NAME"`` or ``"file:/path"``; the value itself is refused there, since
    configuration files end up in repositories and backups.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value, to be handed to whoever needs it and to nobody else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def _read(cls, value: Any) -> Secret:
        if isinstance(value, Secret):
            return value
        kind, _, where = value.partition(":") if isinstance(value, str) else ("", "", "")
        if kind == "env" and where:
            found = os.environ.get(where)
            if not found:
                raise ValueError(f"the environment variable {where} is not set")
            return cls(found)
        if kind == "file" and where:
            try:
                return cls(Path(where).read_text(encoding="utf-8").strip())
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"cannot read the file {where}: {error}") from None
        raise ValueError("a secret is written as 'env:NAME' or 'file:/path', never as the value itself")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "***")
        )
