"""Counting groups and numbers (query/groups.py) in a partition: from the index where it is exact, else event by event.

What the index counts are values: ``443``, ``"443"`` and two spellings of an address are different ones, and one group.
Their counts are added up, and the events that may hold two of them are read and counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from tantivy import Occur, Query

from mozdef_core.drivers.tantivy_catalogue import HOUR_US, Kind
from mozdef_core.drivers.tantivy_compile import Compiler
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_document import HUGE, is_cut, shown_text
from mozdef_core.drivers.tantivy_fields import NOTHING, Compiled, Fields
from mozdef_core.drivers.tantivy_frequent import Source, frequent_terms
from mozdef_core.drivers.tantivy_hours import HourlyGroups, parts_of
from mozdef_core.drivers.tantivy_pages import MOST_AT_ONCE, Span, in_order
from mozdef_core.drivers.tantivy_partition import Partition, View
from mozdef_core.drivers.tantivy_shared import Shared, both
from mozdef_core.drivers.tantivy_values import Values, count_values
from mozdef_core.event import Event, Scalar
from mozdef_core.ports import Between
from mozdef_core.query import evaluate, groups
from mozdef_core.query import model as queries
from mozdef_core.query.addresses import read_address, write_address
from mozdef_core.query.model import is_address_field
from mozdef_core.query.plain import plain

Key = TypeVar("Key", str, int | float)

_SEVERAL_TO_A_KEY: Final = Kind.NUMBER | Kind.BOOLEAN | Kind.HUGE | Kind.LONG | Kind.RESPELT
"""Where none of these was seen, each term is a group of its own, by its own name."""


class _Part(NamedTuple):
    """What there is to count in one partition.

    :param query: the query without the span.
    :param span: the times asked for.
    :param found: the query, within the span.
    :param path: the index's name of the field, None when it has none.
    :param holding: what finds the events with any value under the field.
    :param exact: whether all that are found match.
    """

    view: View
    query: Query
    span: Span
    found: Query
    path: str | None
    holding: Compiled
    exact: bool


def count_groups(
    partitions: Sequence[Partition],
    field: str,
    query: queries.Query,
    between: Between,
    deadline: Deadline,
    hourly: HourlyGroups,
    at_least: int = 1,
) -> Mapping[str, int]:
    """Return for each group by a field how many of the matching events have it.

    :param hourly: what is remembered of whole hours.
    :param at_least: groups with fewer are left out.
    :raises QueryError: the field makes no groups, the query has no meaning, or there are too many groups.
    :raises QueryTimeoutError: it took too long.
    """
    counts: groups.Counts[str] = groups.Counts(field)
    key = _address_key if is_address_field(field) else groups.value_text
    wanted = plain(query)
    counting = _Grouping(field, key, counts, deadline, hourly, wanted)
    parts = counting.parts(partitions, wanted, between)
    if at_least > 1:
        parts = list(parts)
        found = counting.frequent(parts, at_least)
        if found is not None:
            return found
    counting.count(parts, wanted)
    return groups.frequent(counts, at_least)


def count_numbers(
    partitions: Sequence[Partition], field: str, query: queries.Query, between: Between, deadline: Deadline
) -> groups.Counts[int | float]:
    """Return for each number under a field how many of the matching events hold it.

    :raises QueryError, QueryTimeoutError: as :func:`count_groups`.
    """
    counts: groups.Counts[int | float] = groups.Counts(field)
    counting = _Counting(field, groups.value_number, counts, deadline)
    wanted = plain(query)
    counting.count(counting.parts(partitions, wanted, between), wanted)
    return counts


def _address_key(value: Scalar) -> str | None:
    if isinstance(value, str) and ":" in value and (number := read_address(value)) is not None:
        return write_address(number)
    return groups.value_text(value)  # an IPv4 address has no other spelling than its own


class _Counting(Generic[Key]):
    """One count over partitions.

    :param key: what values are counted by; None for a value that does not count.
    :param counts: where to count.
    """

    def __init__(
        self,
        field: str,
        key: Callable[[Scalar], Key | None],
        counts: groups.Counts[Key],
        deadline: Deadline,
    ) -> None:
        self._field = field
        self._key: Callable[[Scalar], Key | None] = key
        self._counts: groups.Counts[Key] = counts
        self._deadline = deadline

    def parts(
        self, partitions: Sequence[Partition], wanted: queries.Query, between: Between
    ) -> Iterable[_Part]:
        """Return what there is to count in each partition; each is only looked at when its turn comes.

        :raises QueryError: the field makes no groups.
        """
        groups.check_group_field(self._field)
        evaluate.compile(wanted)  # refuses a query without meaning also where there is no partition
        span = Span(*between)
        return () if span.empty else self._parts(partitions, wanted, span)

    def _parts(self, partitions: Sequence[Partition], wanted: queries.Query, span: Span) -> Iterator[_Part]:
        for partition in partitions:
            self._deadline.check()
            view = partition.view()
            fields = Fields(view)
            holding = fields.candidates(self._field)
            if holding is NOTHING:
                continue
            compiled = Compiler(view, self._deadline).compile(wanted)
            query = compiled.query
            found = self._supplied(view, span.restrict(view, query))
            yield _Part(view, query, span, found, fields.path(self._field), holding, compiled.exact)

    def count(self, parts: Iterable[_Part], wanted: queries.Query) -> None:
        """Count the events of all partitions that match."""
        matches = evaluate.compile(wanted)
        for part in parts:
            if not part.exact or part.path is None:
                self._look(part.view, both(part.found, part.holding.query), matches)
            else:
                self._in_part(part, part.path)

    def _in_part(self, part: _Part, path: str) -> None:
        self._in_partition(part.view, part.found, path, part.holding)

    def _supplied(self, view: View, found: Query) -> Query:
        """Return the query without the events whose field is only a default."""
        if not view.searcher.doc_freq("defaulted", self._field):
            return found
        term = Query.term_query(view.index.schema, "defaulted", self._field)
        return Query.boolean_query([(Occur.Must, found), (Occur.MustNot, term)])

    def _in_partition(self, view: View, found: Query, path: str, holding: Compiled) -> None:
        values = count_values(view, found, self._field, path, self._deadline)
        if self._add_whole(view, values):
            return
        if any(not -HUGE < number < HUGE for number in values.numbers):  # the index rounds them
            self._look(view, both(found, holding.query))
            return
        cut = [term for term in values.texts if is_cut(term)]
        if cut:
            long = Query.term_set_query(view.index.schema, path, cut)
            self._look(view, both(found, long))
            found = Query.boolean_query([(Occur.Must, found), (Occur.MustNot, long)])
            values = count_values(view, found, self._field, path, self._deadline)
        shared = self._add(values)
        if shared:
            self._correct(view, both(found, shared.query(view, path)))

    def _add_whole(self, _view: View, _values: Values) -> bool:
        """Count all values at once where each is known to be alone under its key; return whether that was so."""
        return False

    def _add(self, values: Values) -> Shared:
        """Count the values, each by its key; return those that share their key with others."""
        first: dict[Key, Scalar] = {}
        shared = Shared()
        add, key_of = self._counts.add, self._key
        for value, events in _scalars(values):
            key = key_of(value)
            if key is None:
                continue
            if key in first:
                shared.add(first[key], value)
            else:
                first[key] = value
            add((key,), events)
        return shared

    def _correct(self, view: View, found: Query) -> None:
        """Take back what was counted more than once of events with several values of one key."""
        for event in self._events(view, found):
            held = {(isinstance(value, bool), value) for value in event.values(self._field)}
            keys = [key for _, value in held if (key := self._key(value)) is not None]
            for key in set(keys):
                self._counts[key] -= keys.count(key) - 1

    def _look(self, view: View, found: Query, matches: Callable[[Event], bool] | None = None) -> None:
        """Count the events that a query finds one by one, those that match."""
        for event in self._events(view, found):
            if matches is None or matches(event):
                held = set() if self._field in event.defaulted else event.values(self._field)
                self._counts.add({key for value in held if (key := self._key(value)) is not None})

    def _events(self, view: View, found: Query) -> Iterator[Event]:
        for hit in in_order(view, found, Span(None, None), "newest", None, MOST_AT_ONCE):
            self._deadline.check()
            yield view.stored(hit.address)


class _Grouping(_Counting[str]):
    """One count of groups: where a partition has only strings that name their groups, they need no keys.

    :param hourly: what is remembered of whole hours.
    :param wanted: the query.
    """

    def __init__(
        self,
        field: str,
        key: Callable[[Scalar], str | None],
        counts: groups.Counts[str],
        deadline: Deadline,
        hourly: HourlyGroups,
        wanted: queries.Query,
    ) -> None:
        super().__init__(field, key, counts, deadline)
        self._hourly = hourly
        self._wanted = wanted

    def _in_part(self, part: _Part, path: str) -> None:
        """Count a part, from its whole hours where those are remembered."""
        parts = parts_of(part.view, part.span)
        if parts is None:
            super()._in_part(part, path)
            return
        known = self._hourly.groups(
            part.view,
            self._field,
            self._wanted,
            parts.hours,
            lambda hour: self._in_span(part, path, Span(hour * HOUR_US, (hour + 1) * HOUR_US)),
        )
        if known is None:
            super()._in_part(part, path)
            return
        for counted in (*known, *(self._in_span(part, path, rest) for rest in parts.rests)):
            self._counts.add_counted(counted)

    def _in_span(self, part: _Part, path: str, span: Span) -> Mapping[str, int]:
        """Return the groups of a narrower span."""
        counts: groups.Counts[str] = groups.Counts(self._field)
        counting = _Grouping(self._field, self._key, counts, self._deadline, self._hourly, self._wanted)
        found = self._supplied(part.view, span.restrict(part.view, part.query))
        counting._in_partition(part.view, found, path, part.holding)
        return counts

    def frequent(self, parts: Sequence[_Part], at_least: int) -> Mapping[str, int] | None:
        """Return the groups with so many events, or None when all must be counted to tell."""
        sources = [
            Source(part.view, part.found, part.path)
            for part in parts
            if part.path is not None and part.exact and self._named_by_terms(part.view)
        ]
        if len(sources) < len(parts):
            return None
        found = frequent_terms(sources, at_least, self._deadline)
        return None if found is None else {shown_text(term): events for term, events in found.items()}

    def _named_by_terms(self, view: View) -> bool:
        return not view.catalogue.kind(self._field) & _SEVERAL_TO_A_KEY

    def _add_whole(self, view: View, values: Values) -> bool:
        if not self._named_by_terms(view):
            return False
        self._counts.add_counted({shown_text(term): events for term, events in values.texts.items()})
        return True


def _scalars(values: Values) -> Iterator[tuple[Scalar, int]]:
    """Yield the values as the events hold them, texts first."""
    for term, events in values.texts.items():
        yield shown_text(term), events
    yield from values.numbers.items()
    yield from values.booleans.items()
