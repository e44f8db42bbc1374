"""Conditions that several rules share."""

from __future__ import annotations

from collections.abc import Iterable

from mozdef_core import Bool, Exists, Query, Term, Wildcard


def program(name: str) -> Query:
    """Return the condition that a program wrote the event: ``details.program``, or the last part of ``processname``."""
    path = Term("processname", name, case_insensitive=True) | Wildcard(
        "processname", f"*/{name}", case_insensitive=True
    )
    return Term("details.program", name, case_insensitive=True) | (~Exists("details.program") & path)


def any_of(queries: Iterable[Query]) -> Query:
    """Return the condition that any of these holds; without any it never does."""
    clauses = tuple(queries)
    return Bool(should=clauses) if clauses else ~Bool()


def like_any(field: str, patterns: Iterable[str], *, case_insensitive: bool = False) -> Query:
    """Return the condition that a field matches any of these patterns with ``*`` and ``?``."""
    return any_of(Wildcard(field, pattern, case_insensitive) for pattern in patterns)
