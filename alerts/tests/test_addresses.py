"""What operators may write where an option takes addresses, and that query and code mean the same by it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mozdef_alerts.addresses import Addresses, covers, within
from mozdef_alerts.squid.odd_port import ProxyDropNonStandardPort
from mozdef_alerts.zeek.scan_address import NsmScanAddress
from pydantic import TypeAdapter, ValidationError

from mozdef_core import Bool, In
from mozdef_core.discovery import options_of
from mozdef_core.errors import ConfigError
from mozdef_core.event import Event
from mozdef_core.query.evaluate import compile as compiled

FIELD = "details.sourceipaddress"
V4 = st.integers(2**31, 2**31 + 64).map(lambda number: str(IPv4Address(number)))
V6 = st.integers(2**126, 2**126 + 64).map(lambda number: str(IPv6Address(number)))


def accepted(value):
    return TypeAdapter(Addresses).validate_python(value)


def matched(addresses, text):
    event = Event("x", {"details": {"sourceipaddress": text}, "mozdef": {"defaulted": []}})
    return compiled(within(FIELD, addresses))(event)


def ranges(addresses):
    return st.tuples(addresses, addresses).map(lambda pair: "-".join(sorted(pair, key=ip_address)))


def entries(addresses, shortest):
    networks = st.tuples(addresses, st.integers(shortest, shortest + 8)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    )
    return st.lists(st.one_of(addresses, networks, ranges(addresses)), max_size=3)


def meant(entry, text):
    """Say it in another way than the code does."""
    first, dash, last = entry.partition("-")
    if dash:
        return ip_address(first) <= ip_address(text) <= ip_address(last)
    head, slash, bits = entry.partition("/")
    width = ip_address(text).max_prefixlen
    shift = width - int(bits) if slash else 0
    return int(ip_address(head)) >> shift == int(ip_address(text)) >> shift


@given(st.one_of(st.tuples(entries(V4, 24), V4), st.tuples(entries(V6, 120), V6)))
@example((["192.0.2.10-192.0.2.19"], "192.0.2.19"))
@example((["192.0.2.10-192.0.2.19"], "192.0.2.20"))
def test_an_address_is_one_of_these_by_query_and_in_code(pair):
    addresses, text = pair
    expected = any(meant(entry, text) for entry in addresses)
    assert covers(accepted(addresses), text) is expected
    assert matched(addresses, text) is expected


@pytest.mark.parametrize(
    ("addresses", "text", "expected"),
    [
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["::/0"], "192.0.2.1", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.1", True),
        (["192.0.2.0/24"], "db4.lab.example", False),
        (["2001:db8::/32"], "2001:DB8:0::1", True),
        ([" 192.0.2.1 - 192.0.2.3 "], "192.0.2.2", True),
        ([], "192.0.2.1", False),
    ],
)
def test_addresses_in_other_spellings_and_of_the_other_family(addresses, text, expected):
    assert covers(addresses, text) is expected
    assert matched(addresses, text) is expected


def test_lists_that_people_keep_are_looked_up_by_the_query():
    query = within(FIELD, accepted("192.0.2.1, @scanners"))
    assert isinstance(query, Bool)
    assert In(FIELD, "scanners") in query.should
    assert not covers(["@scanners"], "192.0.2.1")


@pytest.mark.parametrize(
    "wrong",
    ["inside", "10.0.0.0/33", "192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "192.0.2.1-", "192.0.2.1-x"],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(wrong):
    with pytest.raises(ValidationError, match="expected an address, a network such as"):
        accepted([wrong])
    with pytest.raises(ConfigError) as caught:
        options_of(NsmScanAddress, {"source_in": [wrong]}, "alerts.nsm_scan_address")
    assert "alerts.nsm_scan_address.source_in" in str(caught.value)
    assert wrong in str(caught.value)


@pytest.mark.parametrize("wrong", ["https", "65536", "-1", "4 43"])
def test_what_is_no_port_is_refused_with_what_would_be_right(wrong):
    with pytest.raises(ConfigError, match=r"excludedports.*expected a port such as 443"):
        options_of(
            ProxyDropNonStandardPort, {"excludedports": [wrong]}, "alerts.proxy_drop_non_standard_port"
        )
    option = options_of(
        ProxyDropNonStandardPort, {"excludedports": [443, "65535", "@ports"]}, "x"
    ).excludedports
    assert (option.texts, option.lists) == (["443", "65535"], ["ports"])
