"""Lists in queries: a look-up among the members says what comparing with each of them would say."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.query import evaluate
from mozdef_core.query.lists import (
    MOST_SPELT,
    NO_LISTS,
    GivenLists,
    Listed,
    names_in,
    resolve,
    spelt_out,
)
from mozdef_core.query.lucene import parse
from mozdef_core.query.members import KINDS, NEVER_US, NetworkMembers, TextMembers, read_network
from mozdef_core.query.model import In, QueryString, Subnet, Term, Terms
from mozdef_core.query.printing import to_lucene
from mozdef_core.testing_contracts import queries
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

expiries = st.none() | queries.near.map(BASE_US.__add__)
v4 = st.integers(0, 2**32 - 1).map(ip_address)
v6 = st.integers(0, 2**128 - 1).map(ip_address)
mapped = v4.map(lambda address: ip_address(f"::ffff:{address}"))


@st.composite
def networks(draw):
    address = draw(v4 | v6 | mapped | st.just(ip_address("2001:db8::1")))
    length = draw(st.integers(0, address.max_prefixlen))
    return f"{address}/{length}" if draw(st.booleans()) else str(address)


def event(value, received_us=BASE_US):
    return stored_event(
        BASE_US,
        receivedtimestamp=stored_event(received_us).body["utctimestamp"],
        details={"x": value, "n": {"m": [value]}},
    )


def one_by_one(kind, field, entries, found):
    """Return what comparing with each unexpired member says."""
    texts = [text for text, expires_us in entries if expires_us is None or found.received_us < expires_us]
    if kind == "addresses":
        return evaluate.compile(Subnet(field, texts))(found)
    return evaluate.compile(Terms(field, texts, kind in ("hosts", "hashes")))(found)


@given(
    st.sampled_from(sorted(KINDS)),
    st.data(),
    st.sampled_from(["details.x", "details.n.m", "details.absent"]),
    queries.near,
)
def test_a_list_is_what_its_members_are_one_by_one(kind, data, field, later_us):
    values = networks() if kind == "addresses" else queries.texts | queries.digits
    entries = data.draw(st.lists(st.tuples(values, expiries), max_size=6))
    near = [text.partition("/")[0] for text, _ in entries] or [""]
    if kind == "addresses" and entries:
        near.append(str(data.draw(inside(data.draw(st.sampled_from(entries))[0]))))
    value = data.draw(queries.scalars | st.sampled_from(near) | st.sampled_from(near).map(str.swapcase))
    found = event(value, BASE_US + later_us)
    members = KINDS[kind](entries)
    expected = one_by_one(kind, field, entries, found)
    assert evaluate.compile(Listed(field, "it", members))(found) is expected
    spelt = spelt_out(Listed(field, "it", members), BASE_US + 10)
    assert evaluate.compile(spelt)(found) is expected
    again = KINDS[kind]((text, None if until == NEVER_US else until) for text, until in members.entries())
    assert evaluate.compile(Listed(field, "it", again))(found) is expected


@st.composite
def inside(draw, text):
    """Make an address whose first bits are a network's, but perhaps for one of them, and as v4 or mapped."""
    network = ip_network(text, strict=False)
    number = int(network.network_address) | draw(st.integers(0, int(network.hostmask)))
    if draw(st.booleans()):
        number ^= 1 << draw(st.integers(0, network.max_prefixlen - 1))
    address = type(network.network_address)(number)
    return ip_address(f"::ffff:{address}") if address.version == 4 and draw(st.booleans()) else address


@given(networks().flatmap(lambda text: st.tuples(st.just(text), v4 | v6 | mapped | inside(text))))
def test_an_address_lies_in_a_network_when_the_standard_library_says_so(drawn):
    text, address = drawn
    network = ip_network(text, strict=False)
    plain = getattr(address, "ipv4_mapped", None) or address
    start = getattr(network.network_address, "ipv4_mapped", None)
    if start is not None and network.prefixlen >= 96:
        network = ip_network(f"{start}/{network.prefixlen - 96}", strict=False)
    assert NetworkMembers([(text, None)]).has(str(address)) is (
        plain in network if plain.version == network.version else False
    )
    assert read_network(str(read_network(text))) == read_network(text)


@pytest.mark.parametrize(
    "text",
    ["", "10.1.2", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "::/129", "host", "1.2.3.4/x", "٣.1.1.1"],
)
def test_what_is_no_address_or_network_is_refused_and_named(text):
    with pytest.raises(QueryError, match="expected an address or a network") as error:
        read_network(text)
    assert repr(text) in str(error.value)


def test_a_member_counts_for_what_was_received_before_it_expires():
    members = TextMembers([("a", BASE_US), ("b", None)])
    matches = evaluate.compile(Listed("details.x", "it", members))
    assert [matches(event("a", BASE_US + step)) for step in (-1, 0, 1)] == [True, False, False]
    assert matches(event("b", BASE_US + 1))


def test_of_a_member_given_twice_the_later_expiry_counts():
    for kind, text in (("texts", "a"), ("addresses", "10.0.0.0/8")):
        members = KINDS[kind]([(text, 5), (text, 9), (text, 7)])
        assert (members.size, list(members.entries())) == (1, [(text, 9)])
        assert list(KINDS[kind]([(text, 5), (text, None)]).entries()) == [(text, NEVER_US)]


def test_a_name_stands_for_what_the_list_holds_and_the_rest_stays():
    lists = GivenLists({"bad": TextMembers([("x", None)])})
    query = (In("details.a", "bad") | Term("details.b", "y")) & ~QueryString("c:@bad")
    found = resolve(query, lists)
    assert names_in(query) == {"bad"}
    assert names_in(found) == frozenset()
    bound = [found.must[0].should[0], found.must[1].must_not[0]]
    assert [(one.field, one.members) for one in bound] == [("details.a", lists.members("bad")), ("c", lists.members("bad"))]  # fmt: skip
    assert found.must[0].should[1] == Terms("details.b", ("y",))
    assert to_lucene(found) == to_lucene(query)


def test_an_unknown_list_is_named_with_the_nearest_there_is():
    lists = GivenLists({"bad-hosts": TextMembers([]), "vip": TextMembers([])})
    with pytest.raises(QueryError, match=r"^there is no list @bad-host; did you mean @bad-hosts\?$"):
        resolve(In("x", "bad-host"), lists)
    with pytest.raises(QueryError, match=r"^there is no list @other$"):
        resolve(In("x", "other"), lists)
    with pytest.raises(QueryError, match="there are no lists yet"):
        resolve(QueryString("a OR x:@other"), NO_LISTS)


def test_a_query_whose_lists_were_not_looked_up_is_refused():
    with pytest.raises(QueryError, match="x:@bad cannot be looked up here"):
        evaluate.compile(In("x", "bad"))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("details.ip:@bad", In("details.ip", "bad")),
        (r"details.who:\@joe", Term("details.who", "@joe")),
        ('details.who:"@joe"', Term("details.who", "@joe")),
    ],
)
def test_an_at_sign_names_a_list_unless_it_is_quoted(text, query):
    assert parse(text) == query
    assert parse(to_lucene(query)) == (query if isinstance(query, In) else Term("details.who", "@joe"))


@pytest.mark.parametrize(
    ("text", "position"), [("x:@", 2), ("a OR x:@Bad", 7), ("summary:@bad", 8), ("x:(a OR @é)", 8)]
)
def test_what_cannot_name_a_list_is_refused_with_its_place(text, position):
    with pytest.raises(QueryError, match="a value that begins with @ is written in quotes") as error:
        parse(text)
    assert error.value.position == position


def test_a_long_list_is_not_spelt_out():
    entries = [(str(number), None) for number in range(MOST_SPELT + 1)]
    listed = Listed("x", "it", TextMembers(entries))
    assert spelt_out(listed, 0) is None
    assert spelt_out(replace(listed, members=TextMembers(entries[1:])), 0) is not None
