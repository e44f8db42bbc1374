"""What of an event a watched term is found in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.event import Event
from mozdef_core.query.evaluate import compile as compile_query
from mozdef_core.query.model import MatchPhrase, Subnet
from mozdef_core.testing_contracts.trial import make_event
from mozdef_core.watching import Finder, WatchEntry, WatchList, as_kind, canonical, kind_of


def entry(content: str, kind: str = "", **more: Any) -> WatchEntry:
    chosen = kind or kind_of(content)
    return WatchEntry(content, canonical(content, chosen), as_kind(chosen), **more)


def found(term: WatchEntry, summary: str = "", **details: Any) -> bool:
    event = make_event({"summary": summary or "nothing", "details": details})
    return bool(Finder([term]).find(event))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("192.0.2.1", "ip"), ("2001:DB8::1", "ip"), ("192.0.2.0/24", "network"), ("::ffff:192.0.2.1", "ip"),
        ("2001:db8::/32", "network"), ("drop.example", "domain"), ("Mail.Evil-Site.example.", "domain"),
        ("192.0.2", "text"), ("mimikatz", "text"), ("rm -rf /", "text"), ("a.1", "text"), ("category:x", "text"),
    ],
)  # fmt: skip
def test_the_kind_is_seen_from_the_look(content: str, kind: str) -> None:
    assert kind_of(content) == kind


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        ("x", "text", "at least 2 characters"), ("drop", "domain", "expected a host name"),
        ("drop.example", "ip", "expected an address"), ("category:(", "query", "expected"),
        ("mimikatz", "word", "expected one of ip, network, domain, text, query"),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_for_is_refused_with_the_reason(content: str, kind: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical(content, kind)


@pytest.mark.parametrize(
    "text", ["from 192.0.2.1", "192.0.2.1:443", "[192.0.2.1]", "a,192.0.2.1.", "::ffff:192.0.2.1"]
)
def test_an_address_is_any_token_of_any_string(text: str) -> None:
    for term in ("192.0.2.1", "192.0.2.0/24"):
        assert found(entry(term), text)
        assert found(entry(term), "", data={"deep": [{"er": text}]})


@pytest.mark.parametrize(
    "text", ["192.0.2.11", "x192.0.2.1", "192.0.2.1.5", "1192.0.2.1", "192.0.2", "192.0.2.1a"]
)
def test_what_only_looks_like_it_is_not_the_address(text: str) -> None:
    assert not found(entry("192.0.2.1"), text)


@pytest.mark.parametrize("text", ["to 2001:db8::1 port 5", "[2001:DB8:0::1]:443", "2001:db8::1"])
def test_an_address_is_found_in_any_spelling(text: str) -> None:
    assert found(entry("2001:db8::1"), text)
    assert found(entry("2001:db8::/32"), "", sourceipaddress=text)
    assert not found(entry("2001:db9::/32"), text)


def test_a_domain_is_a_whole_name_and_what_lies_below_if_so_wished() -> None:
    plain, below = entry("evil-site.example"), entry("evil-site.example", subdomains=True)
    for text in ("GET http://Evil-Site.example/x", "a@evil-site.example,", "evil-site.example."):
        assert found(plain, text)
        assert found(below, "", url=text)
    assert not found(plain, "www.evil-site.example")
    assert found(below, "www.evil-site.example")
    for text in ("evil-site.example.org", "notevil-site.example", "my-evil-site.example"):
        assert not found(below, text)


def test_a_text_is_a_phrase_in_the_summary_and_a_whole_string_elsewhere() -> None:
    term = entry("Dump LSASS")
    assert found(term, "will dump lsass now")
    assert not found(term, "lsass dump")
    assert found(term, "", command="dump lsass")
    assert found(term, "", data={"list": ["x", "DUMP LSASS"]})
    assert not found(term, "", command="dump lsass now")


def test_a_text_is_literal_and_a_query_is_not() -> None:
    assert not found(entry("user*", "text"), "user1 came", username="user1")
    assert found(entry("details.username:user*", "query"), "", username="user1")
    assert found(entry("user*", "text"), "", username="user*")


def test_what_mozdef_says_about_an_event_is_not_searched() -> None:
    event = make_event("nothing", entrance="drop.example")
    assert not Finder([entry("drop.example")]).find(event)


def test_an_entry_counts_for_what_was_received_before_it_expires_and_a_change_at_once() -> None:
    event = make_event("mimikatz", received="2026-01-02T03:04:05+00:00")
    watch = WatchList()
    assert watch.find(event) == []
    watch.replace([entry("mimikatz", expires_us=event.received_us + 1)])
    assert [one.content for one in watch.find(event)] == ["mimikatz"]
    watch.replace([entry("mimikatz", expires_us=event.received_us)])
    assert watch.find(event) == []


def test_hits_are_counted_until_somebody_takes_them_and_can_be_given_back() -> None:
    watch, term = WatchList(), entry("mimikatz")
    watch.hit(term, 5)
    watch.hit(term, 3)
    taken = watch.take()
    assert taken == {"mimikatz": (2, 5)}
    watch.hit(term, 9)
    watch.give_back(taken)
    assert watch.take() == {"mimikatz": (3, 9)}


def test_an_entry_that_cannot_be_looked_for_is_named_and_stops_no_other() -> None:
    watch = WatchList()
    watch.replace([WatchEntry("q", "hostname:@gone", "query"), entry("mimikatz")])
    assert list(watch.problems) == ["q"]
    assert watch.find(make_event("mimikatz"))


words = st.text(alphabet="ab .-_1", min_size=2, max_size=6).filter(lambda text: len(text.strip()) > 1)


@given(term=words, summary=st.text(alphabet="ab .-_1", max_size=15))
def test_a_text_means_in_the_summary_what_phrase_means(term: str, summary: str) -> None:
    event = Event("x", {"summary": summary, "receivedtimestamp": "2026-01-02T03:04:05+00:00"})
    expected = compile_query(MatchPhrase("summary", canonical(term, "text")))(event)
    assert bool(Finder([entry(term, "text")]).find(event)) == expected


octets = st.integers(0, 3)


@given(octets, octets, st.integers(8, 32), octets, octets)
def test_a_network_means_in_an_address_field_what_cidr_means(
    a: int, b: int, length: int, c: int, d: int
) -> None:
    network = f"{a}.{b}.0.0/{length}"
    event = make_event({"details": {"sourceipaddress": f"{c}.{d}.0.1"}})
    expected = compile_query(Subnet("details.sourceipaddress", [network]))(event)
    assert bool(Finder([entry(network, "network")]).find(event)) == expected
