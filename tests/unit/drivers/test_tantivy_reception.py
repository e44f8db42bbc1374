"""Partitions that a query about the time of reception cannot match are left closed, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.drivers.tantivy_reception import may_match
from mozdef_core.event import Event, isoformat
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.query.model import Bool, Query, Range, Term

DAY_US = 86_400_000_000
START_US = 20_000 * DAY_US

edges = st.integers(-2, 4).map(lambda halves: isoformat(START_US + halves * DAY_US // 2))
ranges = st.one_of(
    st.builds(lambda first, end: Range("receivedtimestamp", gte=first, lt=end), edges, edges),
    st.builds(lambda first: Range("receivedtimestamp", gt=first), edges),
    st.builds(lambda last: Range("receivedtimestamp", lte=last), edges),
    st.just(Range("utctimestamp", gte=isoformat(START_US + 9 * DAY_US))),
    st.just(Term("summary", "seen")),
)
queries: st.SearchStrategy[Query] = st.recursive(
    ranges,
    lambda inner: st.one_of(
        st.builds(lambda parts: Bool(must=tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: Bool(should=tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: Bool(must_not=(part,)), inner),
    ),
    max_leaves=4,
)


@given(query=queries, after_us=st.integers(0, DAY_US - 1))
def test_a_day_with_a_match_is_never_left_out(query: Query, after_us: int) -> None:
    received = isoformat(START_US + after_us)
    event = Event("e", {"utctimestamp": received, "receivedtimestamp": received, "summary": "seen"})
    if compile_query(query)(event):
        assert may_match(query, received[:10])


def test_days_outside_the_span_are_left_out() -> None:
    asked = Term("details.user", "ines") & Range(
        "receivedtimestamp", gte="2024-11-24T10:00:00Z", lt="2024-11-26T00:00:00Z"
    )
    days = ["2024-11-23", "2024-11-24", "2024-11-25", "2024-11-26"]
    assert [may_match(asked, day) for day in days] == [False, True, True, False]
    assert all(may_match(~asked, day) for day in days)
