"""How a plugin declares its options, with types for spans of time, lists, and what nobody may see."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from mozdef_core.query.model import LIST_NAME, Bool, In, Query, Terms

__all__ = ["Duration", "Field", "Items", "ListOption", "Options", "Secret"]

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


def split_items(value: Any) -> Any:
    """Return the items of a text, split at commas if it holds one and else at blanks; anything else as it is."""
    if not isinstance(value, str):
        return value
    parts = value.split(",") if "," in value else value.split()
    return [item for part in parts if (item := part.strip())]


Items = Annotated[list[str], BeforeValidator(split_items, json_schema_input_type=list[str] | str)]
"""A list of texts, as operators write it: a list, or a text with commas, or else blanks, between its items."""


@dataclass(frozen=True, slots=True, repr=False)
class ListOption:
    """The type of an option that takes texts and names of lists that people keep: ``["10.0.0.0/8", "@scanners"]``.

    It is written as :data:`Items` are; numbers count as the texts that spell them. What an ``@list`` holds is looked up
    whenever the condition is evaluated, so a change of the list needs no restart.

    :param items: as they were given.
    """

    items: Sequence[str] = ()

    def __post_init__(self) -> None:
        trimmed = tuple(item for each in self.items if (item := each.strip()))
        for name in (item[1:] for item in trimmed if item.startswith("@")):
            if LIST_NAME.fullmatch(name) is None:
                raise ValueError(
                    f"expected @ and the name of a list, small letters, digits and _.-, got '@{name}'"
                )
        object.__setattr__(self, "items", trimmed)

    @property
    def texts(self) -> Sequence[str]:
        """The items that are no names of lists."""
        return [item for item in self.items if not item.startswith("@")]

    @property
    def lists(self) -> Sequence[str]:
        """The names of the lists, without the ``@``."""
        return [item[1:] for item in self.items if item.startswith("@")]

    def __repr__(self) -> str:
        """Return it as it is written in a configuration."""
        return repr(list(self.items))

    def __bool__(self) -> bool:
        """Return whether there are any items; a list that is empty now may hold something tomorrow."""
        return bool(self.items)

    def condition(self, field: str, *, case_insensitive: bool = False) -> Query:
        """Return the condition that any value under a field is one of the items or in one of the lists.

        Without items it never holds. On fields whose name ends in ``ipaddress`` networks mean the addresses in them.

        :param case_insensitive: for the texts; a list says itself how its values are compared.
        """
        within = tuple(In(field, name) for name in self.lists)
        if not self.texts and within:
            return within[0] if len(within) == 1 else Bool(should=within)
        terms = Terms(field, self.texts, case_insensitive)
        return Bool(should=(terms, *within)) if within else terms

    @classmethod
    def _before(cls, value: Any) -> Any:
        if isinstance(value, ListOption):
            return list(value.items)
        items = split_items(value)
        if not isinstance(items, list | tuple):
            return items
        return [str(item) if type(item) is int else item for item in items]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        texts = core_schema.list_schema(core_schema.str_schema())
        return core_schema.no_info_before_validator_function(
            cls._before,
            core_schema.no_info_after_validator_function(cls, texts),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda option: list(option.items)),
        )
