"""The values of settings: sizes, spans of time, addresses and URLs as people write them, and tables of such keys."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from mozdef_core.options import Duration, Secret

_UNITS: Final = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    form = _SIZE.fullmatch(value)
    if form is None:
        raise ValueError("expected a size such as 500000, '64MiB' or '10 GB'")
    return int(float(form[1]) * _UNITS[(form[2] or "").lower()])


DURATION: Final[TypeAdapter[timedelta]] = TypeAdapter(Duration)
"""Reads a duration, for keys that may also hold something else."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
"""A number of bytes: a whole number, or text with a unit, such as ``64MiB`` (2**20) or ``10GB`` (10**9)."""


def _kept(value: object) -> object:
    if value == "forever":
        return None
    try:
        span = DURATION.validate_python(value)
    except ValidationError:
        span = timedelta(0)
    if span <= timedelta(0):
        raise ValueError("expected a duration such as '90d', or 'forever'")
    return span


Kept = Annotated[timedelta | None, BeforeValidator(_kept)]
"""How long something is kept: a duration, or ``forever``, which is None."""


def _address(value: object) -> object:
    form = (
        re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):(\d{1,5})", value)
        if isinstance(value, str)
        else None
    )
    if form is None or int(form[3]) > 65_535:
        raise ValueError("expected host:port such as '127.0.0.1:8080' or '[::]:8080', port 0 to 65535")
    return str(value)


Address = Annotated[str, BeforeValidator(_address)]
"""Where to listen: ``host:port``, an IPv6 address in brackets."""


def _database(value: object) -> object:
    if isinstance(value, str) and not value.startswith(("env:", "file:")):
        if urlsplit(value).scheme.partition("+")[0] not in ("sqlite", "postgresql"):
            raise ValueError(
                "expected a URL that begins with sqlite: or postgresql:, or 'env:NAME' or 'file:/path'"
            )
        if urlsplit(value).password:
            raise ValueError(
                "a URL with a password does not belong in a file; write 'env:NAME' or 'file:/path'"
            )
        return Secret(value)
    return value


DatabaseUrl = Annotated[Secret, BeforeValidator(_database)]
"""Where a database is: a URL, or where one with a password is to be read."""


class Settings(BaseModel):
    """A table of the configuration whose keys the core knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)
