"""The names of the fields in a partition, and the kinds of their values, from its catalogue.

The catalogue knows what stands at which path, but not in which events. Where ``mozdef.defaulted`` names a path, or a
field with a column of its own is not always there, events are asked.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from tantivy import Occur, Query

from mozdef_core.drivers.tantivy_catalogue import Kind
from mozdef_core.drivers.tantivy_deadline import Deadline
from mozdef_core.drivers.tantivy_document import HOISTED, is_cut, shown_text
from mozdef_core.drivers.tantivy_fields import NOTHING, Fields
from mozdef_core.drivers.tantivy_pages import MOST_AT_ONCE, Span, in_order
from mozdef_core.drivers.tantivy_partition import View
from mozdef_core.drivers.tantivy_values import count_values
from mozdef_core.query import groups
from mozdef_core.query.model import is_address_field

_WITNESSES: Final = 100


def names(view: View, deadline: Deadline) -> dict[str, set[str]]:
    """Return the kinds of values by the name of the field.

    After a write that failed the catalogue may know of a path that came with it; the write that is tried again makes
    that true.

    :raises QueryTimeoutError: it took too long.
    """
    catalogue = view.catalogue
    if catalogue.kinds is None:
        return _look(view, Query.all_query(), deadline)
    found: dict[str, set[str]] = {}
    for path, flags in {**dict.fromkeys(HOISTED, 0), **catalogue.kinds}.items():
        if not path:
            continue
        kinds = _kinds(path, flags)
        if path in HOISTED:
            kinds.add(groups.kind_of(path, ""))
        if kinds and (view.searcher.doc_freq("defaulted", path) or flags & Kind.ODD):
            deadline.check()
            kinds = _witnessed(view, path, kinds, deadline)
        if kinds:
            found.setdefault(path, set()).update(kinds)
    return found


def _kinds(path: str, flags: int) -> set[str]:
    kinds: set[str] = set()
    if flags & Kind.NUMBER:
        kinds.add("number")
    if flags & Kind.BOOLEAN:
        kinds.add("boolean")
    if flags & Kind.ADDRESS:
        kinds.add("address")
    if flags & Kind.NO_ADDRESS:
        kinds.add("string")
    elif flags & Kind.STRING and not is_address_field(path):
        kinds.add(groups.kind_of(path, ""))
    return kinds


def _witnessed(view: View, path: str, kinds: set[str], deadline: Deadline) -> set[str]:
    """Return the kinds that any event has at a path which it has not listed as defaulted."""
    holding = Fields(view).candidates(path)
    if holding is NOTHING:
        return set()
    term = Query.term_query(view.index.schema, "defaulted", path)
    query = Query.boolean_query([(Occur.Must, holding.query), (Occur.MustNot, term)])
    seen: set[str] = set()
    hits = in_order(view, query, Span(None, None), "newest", None, _WITNESSES)
    indexed = None if path in HOISTED else Fields(view).path(path)
    for hit in islice(hits, None if indexed is None else _WITNESSES):
        deadline.check()
        seen |= groups.kinds_of(view.stored(hit.address)).get(path, set())
        if seen >= kinds:
            return kinds
    if next(hits, None) is None or indexed is None:
        return seen
    values = count_values(view, query, path, indexed, deadline)
    seen |= {"number"} if values.numbers else set()
    seen |= {"boolean"} if values.booleans else set()
    texts = (term if is_cut(term) else shown_text(term) for term in values.texts)
    return seen | {groups.kind_of(path, text) for text in texts}


def _look(view: View, query: Query, deadline: Deadline) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for hit in in_order(view, query, Span(None, None), "newest", None, MOST_AT_ONCE):
        deadline.check()
        for name, kinds in groups.kinds_of(view.stored(hit.address)).items():
            found.setdefault(name, set()).update(kinds)
    return found
