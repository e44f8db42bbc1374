"""Parts of a query in the engines' language, each with what it finds for certain and what it may find.

Where the index cannot decide a condition for an event (a pattern on a string that is too long to stand whole in it),
the event is in ``possible`` and not in ``sure``, and the store looks at it in memory. All else needs no look, also in
queries that have such a condition: what is counted one by one is only the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

Clause: TypeAlias = dict[str, Any]

NOTHING: Final[Clause] = {"match_none": {}}
EVERYTHING: Final[Clause] = {"match_all": {}}
_MOST_TERMS: Final = 30_000


class Compiled(NamedTuple):
    """A compiled query.

    :param sure: finds only events that match.
    :param possible: finds every event that matches, and perhaps others.
    """

    sure: Clause
    possible: Clause

    @property
    def exact(self) -> bool:
        """Whether both find the same."""
        return self.sure == self.possible

    @property
    def doubtful(self) -> Clause:
        """What has to be looked at in memory."""
        return NOTHING if self.exact else both([self.possible, negated(self.sure)])


def exactly(clause: Clause) -> Compiled:
    """Return what decides for every event."""
    return Compiled(clause, clause)


NEVER: Final = exactly(NOTHING)
ALWAYS: Final = exactly(EVERYTHING)


def either(clauses: Iterable[Clause]) -> Clause:
    """Return what finds whatever one of them finds."""
    found = [clause for clause in clauses if clause != NOTHING]
    if EVERYTHING in found:
        return EVERYTHING
    if len(found) < 2:
        return found[0] if found else NOTHING
    return {"bool": {"should": found, "minimum_should_match": 1}}


def both(clauses: Iterable[Clause]) -> Clause:
    """Return what finds what all of them find."""
    found = [clause for clause in clauses if clause != EVERYTHING]
    if NOTHING in found:
        return NOTHING
    if len(found) < 2:
        return found[0] if found else EVERYTHING
    return {"bool": {"filter": found}}


def negated(clause: Clause) -> Clause:
    """Return what finds all that it does not find."""
    if clause == NOTHING:
        return EVERYTHING
    if clause == EVERYTHING:
        return NOTHING
    inner = clause.get("bool")
    if inner is not None and list(inner) == ["must_not"] and len(inner["must_not"]) == 1:
        return inner["must_not"][0]  # type: ignore[no-any-return]  # what JSON holds
    return {"bool": {"must_not": [clause]}}


def any_of(parts: Iterable[Compiled]) -> Compiled:
    """Return the union."""
    found = list(parts)
    return Compiled(either(part.sure for part in found), either(part.possible for part in found))


def all_of(parts: Iterable[Compiled]) -> Compiled:
    """Return the intersection."""
    found = list(parts)
    return Compiled(both(part.sure for part in found), both(part.possible for part in found))


def none_of(parts: Iterable[Compiled]) -> Compiled:
    """Return what none of them finds."""
    union = any_of(parts)
    return Compiled(negated(union.possible), negated(union.sure))


def unless(part: Clause, doubt: Clause) -> Compiled:
    """Return what decides rightly but for the events that a second clause finds."""
    return Compiled(both([part, negated(doubt)]), either([part, doubt]))


def terms(field: str, values: Sequence[str]) -> Clause:
    """Return what finds any of these terms of a field."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return {"term": {field: {"value": distinct[0]}}}
    return either(
        {"terms": {field: distinct[start : start + _MOST_TERMS]}}
        for start in range(0, len(distinct), _MOST_TERMS)
    )


def between(field: str, low: str | int | None, end: str | int | None) -> Clause:
    """Return what finds a value of a field from ``low`` (inclusive) to ``end`` (exclusive); None is open."""
    limits = {name: limit for name, limit in (("gte", low), ("lt", end)) if limit is not None}
    return {"range": {field: limits}} if limits else EVERYTHING
