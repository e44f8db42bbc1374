"""The values under a path of a partition, each with the number of events that hold it: exact, however many there are.

tantivy's terms aggregation counts an event once for each distinct value of one type, but it allows 65,000 buckets in
an answer: beyond it cuts the answer and says so, or refuses. Then the events are split by their ties, which spread
evenly, and the parts are added up; no event is in two of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any, Final

from tantivy import FieldType, Occur, Query

from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_document import indexed_text
from mozdef_core.drivers.tantivy_pages import Span, in_order
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.errors import QueryError
from mozdef_core.event import Scalar
from mozdef_core.query import groups

MOST_VALUES: Final = 65_000
"""tantivy enumerates at most so many values of a path, and says when there are more."""

_PARTS: Final = 8
_TIES: Final = 2**63
_FEWEST_TIES: Final = 2**20


@dataclass(slots=True)
class Values:
    """How many events hold each value.

    :param texts: by the term of the index (tantivy_document.indexed_text).
    """

    texts: dict[str, int] = member(default_factory=dict)
    numbers: dict[int | float, int] = member(default_factory=dict)
    booleans: dict[bool, int] = member(default_factory=dict)

    def add(self, buckets: list[dict[str, Any]]) -> None:
        """Add the buckets of an answer; tantivy may give whole and other numbers that are equal in two of them."""
        texts, numbers, booleans = self.texts, self.numbers, self.booleans
        if not texts:
            texts.update(
                [(bucket["key"], bucket["doc_count"]) for bucket in buckets if type(bucket["key"]) is str]
            )
        else:
            for bucket in buckets:
                key = bucket["key"]
                if type(key) is str:
                    texts[key] = texts.get(key, 0) + bucket["doc_count"]
        for bucket in buckets:
            key = bucket["key"]
            if type(key) is str:
                continue
            if "key_as_string" in bucket:  # true is 1 here, as a number is
                booleans[bool(key)] = booleans.get(bool(key), 0) + bucket["doc_count"]
            else:
                numbers[key] = numbers.get(key, 0) + bucket["doc_count"]

    def add_held(self, held: Iterable[Scalar]) -> None:
        """Add what one event holds."""
        for is_boolean, value in {(isinstance(value, bool), value) for value in held}:
            if is_boolean:
                self.booleans[bool(value)] = self.booleans.get(bool(value), 0) + 1
            elif isinstance(value, str):
                term = indexed_text(value)
                self.texts[term] = self.texts.get(term, 0) + 1
            elif value is not None:
                self.numbers[value] = self.numbers.get(value, 0) + 1


def buckets_of(
    view: View, query: Query, path: str, include: str | None = None
) -> list[dict[str, Any]] | None:
    """Return the buckets of all values under a path, or None when there are too many for one answer.

    :param include: an expression for the strings to count; then nothing else is counted, numbers neither.
    """
    wanted: dict[str, Any] = {"field": path, "size": MOST_VALUES, "segment_size": MOST_VALUES}
    if include is not None:
        wanted["include"] = include
    try:
        answer = view.searcher.aggregate(query, {"values": {"terms": wanted}})["values"]
    except ValueError:  # more values, or more memory for them, than tantivy allows
        return None
    found: list[dict[str, Any]] = answer["buckets"]
    return None if answer["sum_other_doc_count"] or len(found) >= MOST_VALUES else found


def count_values(view: View, query: Query, field: str, path: str, deadline: Deadline) -> Values:
    """Return the values under a field of the events that a query finds.

    :param path: the index's name of the field.
    :raises QueryError: there are too many.
    :raises QueryTimeoutError: it took too long.
    """
    values = Values()
    waiting = [(0, _TIES)]
    while waiting:
        deadline.check()
        low, end = waiting.pop()
        part = query if end - low == _TIES else _with_ties(view, query, low, end)
        buckets = buckets_of(view, part, path)
        if buckets is None:
            if end - low < _FEWEST_TIES:  # one event has more values than tantivy counts
                for hit in in_order(view, part, Span(None, None), "newest", None, 1_000):
                    values.add_held(view.stored(hit.address).values(field))
                continue
            step = (end - low) // _PARTS
            waiting.extend((low + step * place, low + step * (place + 1)) for place in range(_PARTS))
            continue
        values.add(buckets)
        if len(values.texts) + len(values.numbers) > 2 * groups.MOST_VALUES:
            raise QueryError(groups.too_many(field))
    return values


def _with_ties(view: View, query: Query, low: int, end: int) -> Query:
    ties = Query.range_query(view.index.schema, "tie", FieldType.Unsigned, low, end, include_upper=False)
    return Query.boolean_query([(Occur.Must, query), (Occur.Must, ties)])
