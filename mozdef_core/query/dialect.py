"""What a query language needs to know of where a query was written, such as under which names fields are meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mozdef_core.errors import QueryError
from mozdef_core.query.model import Range


class Dialect(Protocol):
    """How names and times in a query are meant; given to the readers of Lucene's and Kibana's languages."""

    def name(self, written: str) -> str:
        """Return the field that a name means here; called once for each name."""

    def names(self, pattern: str) -> Sequence[str]:
        r"""Return the fields that a name with wildcards means here (``*`` and ``\`` as in ``Wildcard``).

        :raises QueryError: they are not known.
        """

    def times(self, query: Range) -> Range:
        """Return a range in which no time is relative.

        :raises QueryError: a bound is not understood.
        """


class Own:
    """MozDef's own queries: every name means itself, and there are no relative times."""

    def name(self, written: str) -> str:
        """Return the name itself."""
        return written

    def names(self, pattern: str) -> Sequence[str]:
        """Refuse: fields are not listed anywhere."""
        raise QueryError(f"a wildcard in the name of a field, {pattern!r}; expected one field, or none")

    def times(self, query: Range) -> Range:
        """Return the range itself."""
        return query
