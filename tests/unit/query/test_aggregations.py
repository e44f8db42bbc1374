from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mozdef_core.errors import QueryError
from mozdef_core.query.aggregations import (
    Cardinality,
    DateHistogram,
    Percentiles,
    Stats,
    TermsAgg,
    TopHits,
    named,
)


def nested(depth: int) -> TermsAgg:
    return TermsAgg("a", sub={"inner": nested(depth - 1)} if depth > 1 else {})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TermsAgg("summary"), "summary: a text makes no groups"),
        (lambda: Cardinality("utctimestamp"), "utctimestamp: a time makes no groups"),
        (lambda: Stats("*"), "need the name of a field"),
        (lambda: Percentiles(""), "expected the name of a field"),
        (lambda: TermsAgg("a", 0), r"groups by a: size: expected at least 1 \(None for all\), got 0"),
        (lambda: TermsAgg("a", True), "groups by a: size: expected a whole number"),
        (lambda: TermsAgg("a", min_count=0), "groups by a: min_count: expected at least 1, got 0"),
        (lambda: TermsAgg("a", min_count=2.5), "min_count: expected a whole number, got 2.5"),
        (lambda: TermsAgg("a", order="size"), "groups by a: order: expected 'count' or 'key', got 'size'"),
        (lambda: TermsAgg("a", sub=[Stats("b")]), "expected aggregations by name, got "),
        (lambda: TermsAgg("a", sub={"": Stats("b")}), "expected the name of an aggregation, got ''"),
        (lambda: TermsAgg("a", sub={"b": "stats"}), "b: expected an aggregation, got 'stats'"),
        (lambda: DateHistogram("fortnight"), "interval: expected a length"),
        (lambda: DateHistogram("day", "Mars/Base"), "time zone: expected a name"),
        (lambda: Percentiles("a", []), "expected one or more different percents"),
        (lambda: Percentiles("a", [5, 5.0]), "expected one or more different percents"),
        (lambda: Percentiles("a", [101]), "expected percents from 0 to 100, got 101"),
        (lambda: Percentiles("a", ["5"]), "expected percents from 0 to 100, got '5'"),
        (lambda: Percentiles("a", [float("nan")]), "expected percents from 0 to 100, got nan"),
        (lambda: Percentiles("a", "95"), "expected a list of percents, got '95'"),
        (lambda: TopHits(0), "top hits: size: expected at least 1, got 0"),
        (lambda: TopHits(1001), "top hits: size: expected at most 1000, got 1001"),
        (lambda: TopHits(1, "best"), "top hits: order: expected 'newest' or 'oldest', got 'best'"),
        (lambda: nested(7), "inner: aggregations are nested more than 5 deep"),
    ],
)
def test_what_has_no_meaning_is_refused_when_it_is_made(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(QueryError, match=says):
        make()


def test_five_levels_are_allowed() -> None:
    assert named({"outer": nested(5)})
    with pytest.raises(QueryError, match="nested more than 5 deep"):
        named({"outer": nested(6)})


def test_an_aggregation_keeps_its_own_copy_of_what_is_in_it() -> None:
    inner: dict[str, Any] = {"ports": Cardinality("details.port")}
    outer = TermsAgg("details.user", sub=inner)
    inner["more"] = None
    assert list(outer.sub) == ["ports"]
    percents = [50]
    wanted = Percentiles("a", percents)
    percents.append(60)
    assert wanted.percents == (50,)
    assert TermsAgg("a") == TermsAgg("a", sub={})
