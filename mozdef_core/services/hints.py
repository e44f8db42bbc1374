"""Hints: what somebody may have meant whose search finds nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from mozdef_core.ports import Between, EventStore
from mozdef_core.query.model import ANY_FIELD, Query


def unknown_fields(
    store: EventStore, query: Query, between: Between, further: Iterable[str] = ()
) -> Sequence[str]:
    """Return a sentence for each field of a query that no event of the time has.

    Costs one look at the names of all fields, so ask for it when nothing was found.

    :param further: names of fields beside those of the query, such as those that are counted by.
    """
    wanted = sorted({*named(query), *further})
    known = [info.name for info in store.fields(between)] if wanted else []
    return unknown_among(wanted, known)


def unknown_among(wanted: Iterable[str], known: Sequence[str]) -> Sequence[str]:
    """Return a sentence for each name that is neither a field that events have nor an object that holds one."""
    return [
        f"no event of this time has a field {name!r}{_nearest(name, known)}"
        for name in wanted
        if not any(one == name or one.startswith(f"{name}.") for one in known)
    ]


def named(query: Query) -> Iterator[str]:
    """Yield the fields that a query names; some more than once."""
    for attribute in getattr(query, "__dataclass_fields__", ()):
        value = getattr(query, attribute)
        if attribute == "field" and value != ANY_FIELD:
            yield value
        elif isinstance(value, tuple):
            for part in value:
                if isinstance(part, Query):
                    yield from named(part)


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return a guess; only the last parts are compared, for ``details.`` makes all names alike."""
    last = {one.rpartition(".")[2]: one for one in reversed(known)}
    near = difflib.get_close_matches(name.rpartition(".")[2], last, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {last[near[0]]!r}?"
    return "; 'mozdef search --raw' shows what events have"
