"""Values of a partition that share their key with others, and what finds the events that may hold two of them."""

from __future__ import annotations

from tantivy import Occur, Query

from mozdef_core.drivers.tantivy_document import indexed_text
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.event import Scalar


class Shared:
    """Values that share their key with others."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._more_texts: list[str] = []
        self._others: list[Scalar] = []

    def __bool__(self) -> bool:
        return bool(self._texts)

    def add(self, first: Scalar, value: Scalar) -> None:
        """Note another value beside the first of its key; of both at least one is a text, and the first is."""
        self._texts.append(str(first))
        if isinstance(value, str):
            self._texts.append(value)
            self._more_texts.append(value)
        else:
            self._others.append(value)

    def query(self, view: View, path: str) -> Query:
        """Return what finds every event with two values of one key."""
        parts: list[Query] = []
        schema = view.index.schema
        if self._more_texts:
            parts.append(
                Query.term_set_query(schema, path, [indexed_text(text) for text in self._more_texts])
            )
        if self._others:
            texts = Query.term_set_query(schema, path, [indexed_text(text) for text in self._texts])
            parts.append(both(texts, Query.term_set_query(schema, path, self._others)))
        return Query.boolean_query([(Occur.Should, part) for part in parts])


def both(first: Query, second: Query) -> Query:
    """Return a query for what two others both find."""
    return Query.boolean_query([(Occur.Must, first), (Occur.Must, second)])
