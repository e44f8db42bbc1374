"""Lists in queries: ``field:@name`` bound to what the list holds at this moment, before the query is run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from operator import itemgetter
from typing import Final, Protocol

from mozdef_core.errors import QueryError
from mozdef_core.event import isoformat
from mozdef_core.query.members import Members, TextMembers
from mozdef_core.query.model import Bool, In, Query, Range, Subnet, Terms
from mozdef_core.query.plain import NOTHING, plain

MOST_SPELT: Final = 1_000
"""A list of at most so many members may be written as the conditions that it stands for."""


class Lists(Protocol):
    """Where lists are looked up; the same name may give other members later."""

    @property
    def version(self) -> int:
        """A number that is another one after any list has changed."""

    def members(self, name: str) -> Members | None:
        """Return what a list holds at this moment; None when there is no such list."""

    def names(self) -> Collection[str]:
        """Return the names of all lists."""


class GivenLists:
    """Lists that never change, by name."""

    def __init__(self, lists: Mapping[str, Members] | None = None) -> None:
        self._lists = dict(lists or {})

    @property
    def version(self) -> int:
        """Always the same."""
        return 0

    def members(self, name: str) -> Members | None:
        """Return what a list holds."""
        return self._lists.get(name)

    def names(self) -> Collection[str]:
        """Return the names of all lists."""
        return self._lists.keys()


NO_LISTS: Final = GivenLists()


@dataclass(frozen=True, slots=True)
class Listed(Query):
    """``In``, with what the list held when it was looked up."""

    field: str
    name: str
    members: Members


def resolve(query: Query, lists: Lists) -> Query:
    """Return the plain form of a query in which every list stands with its members; what a store can run.

    :raises QueryError: a list in it does not exist, or as :func:`~mozdef_core.query.plain.plain`.
    """
    return _bound(plain(query), lists)


def names_in(query: Query) -> frozenset[str]:
    """Return the names of the lists that a query looks into.

    :raises QueryError: as :func:`~mozdef_core.query.plain.plain`.
    """
    return frozenset(_names(plain(query)))


def _names(query: Query) -> list[str]:
    if isinstance(query, In):
        return [query.list]
    if isinstance(query, Bool):
        return [
            name
            for part in (query.must, query.should, query.must_not)
            for one in part
            for name in _names(one)
        ]
    return []


def _bound(query: Query, lists: Lists) -> Query:
    if isinstance(query, In):
        members = lists.members(query.list)
        if members is None:
            raise QueryError(unknown(query.list, lists.names()))
        return Listed(query.field, query.list, members)
    if isinstance(query, Bool) and _names(query):
        return Bool(
            *(
                tuple(_bound(one, lists) for one in part)
                for part in (query.must, query.should, query.must_not)
            )
        )
    return query


def unknown(name: str, names: Collection[str]) -> str:
    """Return the sentence that there is no list of a name, with the nearest one that there is."""
    near = get_close_matches(name, names, 1)
    hint = f"; did you mean @{near[0]}?" if near else "" if names else "; there are no lists yet"
    return f"there is no list @{name}{hint}"


def spelt_out(listed: Listed, now_us: int, most: int = MOST_SPELT) -> Query | None:
    """Return the conditions that a list stands for, in plain form; None when it is too long for that.

    :param now_us: no event was received later than this, in microseconds since 1970.
    :param most: how many members are not too long.
    """
    members = listed.members
    if members.size > most:
        return None
    entries = sorted(
        ((text, 0 if expiry_us > now_us else expiry_us) for text, expiry_us in members.entries()),
        key=itemgetter(1),
    )
    parts: list[Query] = []
    for expiry_us, group in groupby(entries, itemgetter(1)):
        texts = [text for text, _ in group]
        found: Query = Subnet(listed.field, texts)
        if isinstance(members, TextMembers):
            found = Terms(listed.field, texts, members.ignore_case)
        if expiry_us:
            found = Bool(must=(found, Range("receivedtimestamp", lt=isoformat(expiry_us))))
        parts.append(found)
    return parts[0] if len(parts) == 1 else Bool(should=parts) if parts else NOTHING
