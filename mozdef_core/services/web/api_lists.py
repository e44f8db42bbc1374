"""``/api/v1/lists``: lists that rules and searches look into, and their entries, as JSON and as CSV."""

from __future__ import annotations

import io
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from mozdef_core.services.list_csv import all_entries, read_entries, read_expiry, take_in, write_entries
from mozdef_core.services.web.api_casework import Casework, Until, refusing, shown
from mozdef_core.services.web.api_errors import ApiError
from mozdef_core.services.web.api_requests import Asked
from mozdef_core.services.web.api_times import Moment

_ANSWER: Final = ConfigDict(extra="forbid")
Value = Annotated[
    str, Field(min_length=1, max_length=1_024, description="an address, a host name or the like")
]
Text = Annotated[str, Field(max_length=1_024)]


class ListAnswer(BaseModel):
    """A list, without its entries."""

    model_config = _ANSWER

    name: str
    kind: str
    comment: str
    entries: int = Field(description="how many are in it")
    expired: int = Field(description="how many of them have ended, and are deleted soon")
    created: Moment
    created_by: str
    changed: Moment
    changed_by: str
    version: int = Field(description="rises with each change")


class ListsAnswer(BaseModel):
    """All lists."""

    model_config = _ANSWER

    items: list[ListAnswer]


class EntryAnswer(BaseModel):
    """A member of a list."""

    model_config = _ANSWER

    value: str
    source: str
    comment: str
    added: Moment
    expires: Moment | None = Field(description="null for never")


class EntriesAnswer(BaseModel):
    """A page of a list, by value."""

    model_config = _ANSWER

    items: list[EntryAnswer]
    next: str | None = Field(description="cursor of the next page; null on the last one")


class ChangedAnswer(BaseModel):
    """What a change came to."""

    model_config = _ANSWER

    entries: int = Field(default=0, description="how many were given")
    added: int = Field(default=0, description="how many of them were not there before")
    removed: int = Field(default=0, description="how many are gone")


class NothingAsked(Asked):
    """Nothing but the name in the address."""


class ListAsked(Asked):
    """A list to be made."""

    name: str = Field(description="1 to 64 small letters, digits or _.-", max_length=64)
    kind: str = Field(description="addresses, hosts, users, hashes or texts", max_length=16)
    comment: Text = Field("", description="what it is for")


class EntriesAsked(Asked):
    """Which entries."""

    text: str = Field("", max_length=200, description="only those that hold this in value or comment")
    limit: int = Field(100, ge=1, le=1_000)
    cursor: str | None = Field(None, max_length=1_024, description="next of the page before")


class EntryAsked(Asked):
    """A member to be."""

    value: Value
    source: Text = Field("", description="where it comes from; without it the name of the token")
    comment: Text = ""
    expires: Until = Field("", description="a span from now such as 30d, or an ISO time; empty for never")


class AddAsked(Asked):
    """Members to be; all are taken, or none."""

    entries: list[EntryAsked] = Field(min_length=1, max_length=1_000)


class RemoveAsked(Asked):
    """Which member is to go."""

    value: Value


class ImportAsked(Asked):
    """How a file is meant."""

    replace: bool = Field(False, description="in the end only the file's entries are in the list")
    expires: Until = Field("", description="of entries that do not say; empty for never")


def list_lists(casework: Casework, _asked: NothingAsked) -> ListsAnswer:
    """Answer with all lists."""
    from mozdef_core.casework import lists

    with refusing(), casework.database.read() as session:
        return ListsAnswer(items=[_answer(one) for one in lists.collect(session)])


def create_list(casework: Casework, asked: ListAsked) -> ListAnswer:
    """Make a list.

    :raises ApiError: there is one of this name, or a value is wrong.
    """
    from mozdef_core.casework import lists

    with refusing(), casework.database.write() as session:
        if asked.name in [one.name for one in lists.collect(session)]:
            raise ApiError(409, "exists", f"there is a list {asked.name!r} already", field="name")
        return _answer(lists.create(session, asked.name, asked.kind, asked.comment, casework.actor))


def get_list(casework: Casework, _asked: NothingAsked, name: str) -> ListAnswer:
    """Answer with one list."""
    from mozdef_core.casework import lists

    with refusing(), casework.database.read() as session:
        return _answer(lists.show(session, name))


def delete_list(casework: Casework, _asked: NothingAsked, name: str) -> ChangedAnswer:
    """Delete a list with its entries."""
    from mozdef_core.casework import lists

    with refusing(), casework.database.write() as session:
        return ChangedAnswer(removed=lists.remove_list(session, name, casework.actor))


def list_entries(casework: Casework, asked: EntriesAsked, name: str) -> EntriesAnswer:
    """Answer with a page of a list."""
    from mozdef_core.casework import lists

    with refusing(), casework.database.read() as session:
        page = lists.entries(session, name, after=asked.cursor, size=asked.limit, text=asked.text)
    items = [
        EntryAnswer(
            value=one.value,
            source=one.source,
            comment=one.comment,
            added=shown(one.added_us) or "",
            expires=shown(one.expires_us),
        )
        for one in page.entries
    ]
    return EntriesAnswer(items=items, next=page.after)


def add_entries(casework: Casework, asked: AddAsked, name: str) -> ChangedAnswer:
    """Put entries into a list."""
    from mozdef_core.casework import lists

    made = [
        lists.Entry(one.value, one.source, one.comment, expires_us=read_expiry(one.expires))
        for one in asked.entries
    ]
    with refusing("entries"), casework.database.write() as session:
        added = lists.add(session, name, made, casework.actor)
    return ChangedAnswer(entries=len(made), added=added)


def remove_entry(casework: Casework, asked: RemoveAsked, name: str) -> ChangedAnswer:
    """Take an entry out of a list; none is gone where there was none."""
    from mozdef_core.casework import lists

    with refusing("value"), casework.database.write() as session:
        return ChangedAnswer(removed=lists.remove(session, name, [asked.value], casework.actor))


def export_entries(casework: Casework, _asked: NothingAsked, name: str) -> bytes:
    """Answer with a list as CSV."""
    with refusing():
        return "".join(write_entries(all_entries(casework.database, name))).encode()


def import_entries(casework: Casework, asked: ImportAsked, name: str, body: bytes) -> ChangedAnswer:
    """Put the entries of a CSV file into a list; all, or none when a line is wrong.

    :raises ApiError: lines are wrong; it says which.
    """
    from mozdef_core.casework import lists

    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ApiError(400, "invalid-csv", f"the file is not UTF-8: {error}") from None
    with refusing():
        with casework.database.read() as session:
            kind = lists.show(session, name).kind
        until_us = read_expiry(asked.expires)
        entries = list(read_entries(io.StringIO(text, newline=""), kind, until_us))
        done = take_in(casework.database, name, entries, casework.actor, replace=asked.replace)
    return ChangedAnswer(**done._asdict())


def _answer(found: object) -> ListAnswer:
    from mozdef_core.casework.lists import NamedList

    assert isinstance(found, NamedList)
    row = found._asdict()
    times = {name: shown(row.pop(f"{name}_us")) for name in ("created", "changed")}
    return ListAnswer(**row, **times)
