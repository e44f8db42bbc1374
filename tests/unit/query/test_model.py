from __future__ import annotations

from collections.abc import Callable

import pytest

from mozdef_core.errors import QueryError
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    Prefix,
    Query,
    QueryString,
    Range,
    Search,
    Subnet,
    Term,
    Terms,
    Wildcard,
)

A, B, C = (Term("f", value) for value in "abc")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Term("", "x"),
        lambda: Term("*", "x"),
        lambda: Exists("*"),
        lambda: Term("f", None),
        lambda: Term("f", float("nan")),
        lambda: Term("f", ["a"]),  # type: ignore[arg-type]
        lambda: Term("f", "\ud800"),
        lambda: Terms("f", "abc"),
        lambda: Terms("f", ["a", None]),
        lambda: Subnet("f", "10.0.0.0/8"),
        lambda: Range("f"),
        lambda: Range("f", gte=1, gt=1),
        lambda: Range("f", lte=1, lt=1),
        lambda: Range("f", gte=True),
        lambda: Prefix("f", 1),  # type: ignore[arg-type]
        lambda: QueryString(b"x"),  # type: ignore[arg-type]
        lambda: Bool(must=["x"]),  # type: ignore[list-item]
        lambda: Bool(must=A),  # type: ignore[arg-type]
        lambda: A & "x",  # type: ignore[operator]
        lambda: Search(size=0),
        lambda: Search(order="best"),  # type: ignore[arg-type]
    ],
)
def test_a_node_without_meaning_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(QueryError):
        make()


def test_nodes_that_look_at_strings_may_look_at_all_fields() -> None:
    assert Match("*", "x") == Match("*", "x")
    assert Wildcard("*", "x*") != Match("*", "x*")


def test_chains_of_and_and_or_stay_flat() -> None:
    assert Bool(must=(A, B, C)) == A & B & C
    assert Bool(should=(A, B, C)) == A | B | C
    assert Bool(must=(Bool(should=(A, B)), C)) == (A | B) & C
    assert Bool(should=(Bool(must=(A, B)), C)) == (A & B) | C
    assert Bool(must=(A, Bool(must_not=(B,)))) == A & ~B
    assert Bool(must=(A,), should=(B,)) & C == Bool(must=(Bool(must=(A,), should=(B,)), C))


def test_queries_can_be_the_keys_of_a_mapping() -> None:
    queries: dict[Query, int] = {
        Terms("f", ["a"]): 1,
        Bool(must=[A]): 2,
        Subnet("f", ["10.0.0.0/8"]): 3,
        All(): 4,
    }
    assert queries[Terms("f", ("a",))] == 1
    assert queries[Bool(must=(A,))] == 2
