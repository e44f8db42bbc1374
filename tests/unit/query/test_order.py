from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueryError
from mozdef_core.query.model import Order, Search
from mozdef_core.query.order import Position, decode, encode, position, tie
from mozdef_core.testing_contracts.store_events import stored_event


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**63 - 1))
def test_a_cursor_says_where_a_page_ended(us: int, hashed: int) -> None:
    assert decode(encode(Position(us, hashed))) == (us, hashed)


@pytest.mark.parametrize("cursor", ["", "1", "1.2.3", "1.-2", "a.b", "1.2\n", "9" * 30 + ".1"])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(QueryError, match="cursor"):
        decode(cursor)


def test_ties_are_the_same_everywhere_and_spread_over_63_bits() -> None:
    assert tie("01KMWQE7Q2941RH815XX3C0000") == 2_277_194_099_292_348_049  # b2sum -l 64, shifted right by one
    ties = [tie(str(number)) for number in range(1000)]
    assert len(set(ties)) == 1000
    assert max(ties) > 2**62
    assert all(0 <= number < 2**63 for number in ties)


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 7), st.sampled_from(["newest", "oldest"]))
def test_pages_of_the_memory_store_are_the_sorted_events(offsets: list[int], size: int, order: Order) -> None:
    store = MemoryStore()
    events = [stored_event(offset) for offset in offsets]
    store.write(events)
    found, after = [], None
    while True:
        page = store.search(Search(order=order, size=size, after=after))
        found.extend(page.events)
        if page.after is None:
            break
        assert len(page.events) == size
        after = page.after
    assert found == sorted(events, key=position, reverse=order == "newest")
