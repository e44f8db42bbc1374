"""What an operator decides about an entrance, and what a plugin declares about its product's records."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mozdef_core.options import Duration


class EntranceSettings(BaseModel):
    """How what comes in at one entrance is read; the key is the name of the entrance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: str = Field("UTC", description="zone of times that are sent without one: UTC or an IANA name")
    date_formats: list[str] = Field(
        [], description="strptime forms of this entrance's senders, such as '%d/%m/%Y %H:%M'"
    )
    trusted_relay: bool = Field(
        False, description="take receivedtimestamp, and a known type, from the sender"
    )
    record: str = Field(
        "auto", description="'none' never reads an item as a product's own record; a mapper's name forces its"
    )
    tags: list[str] = Field([], description="tags added to every event")
    max_future: Duration = Field(
        timedelta(minutes=10), description="a time further ahead than this is marked"
    )
    max_age: Duration = Field(timedelta(days=1), description="a time further back than this is marked")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("expected UTC or the name of a zone such as Europe/Lisbon") from None
        return value


@dataclass(frozen=True, slots=True)
class Recogniser:
    """How a product's own record is known (event-format.md section 5.2a). Names are as the key rules leave them.

    :param members: all of these must be there; a dotted name is a nested member.
    :param any_of: of each of these groups at least one must be there.
    :param equal: members that must have exactly this value.
    :param category: category of the event; ``source`` its source. Empty where the mapper sets it.
    :param source_from: the member whose value is the source, where ``source`` is empty.
    :param objects: members that must be objects.
    :param tags: tags added to the event.
    :param name: of the mapper, for the entrance setting ``record``; the category will do as well.
    """

    members: Sequence[str]
    category: str = ""
    source: str = ""
    source_from: str = ""
    any_of: Sequence[Sequence[str]] = ()
    equal: Mapping[str, str] = field(default_factory=dict)
    objects: Sequence[str] = ()
    tags: Sequence[str] = ()
    name: str = ""
