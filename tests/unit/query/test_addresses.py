from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.query.addresses import holds, is_network, merge, read_address, spans, write_address


def unmapped(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text, strict=False)
    base = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return (
        network if base is None or network.prefixlen < 96 else ip_network(f"{base}/{network.prefixlen - 96}")
    )


addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(addresses, st.lists(st.tuples(addresses, st.integers(0, 128)), max_size=5))
def test_an_address_is_inside_a_network_of_its_family_only(
    address: IPv4Address | IPv6Address, networks: list[tuple[IPv4Address | IPv6Address, int]]
) -> None:
    texts = [f"{base}/{min(length, base.max_prefixlen)}" for base, length in networks]
    number = read_address(str(address))
    assert number is not None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    expected = any((mapped or address) in unmapped(text) for text in texts)
    assert holds(spans(texts), number) == expected


@given(addresses)
def test_an_address_is_written_as_it_is_usually_written(address: IPv4Address | IPv6Address) -> None:
    number = read_address(str(address))
    assert number is not None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert ip_address(write_address(number)) == (mapped or address)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5))))
def test_merged_ranges_are_disjoint_and_hold_the_same(pairs: list[tuple[int, int]]) -> None:
    merged = merge([type(spans(["10.0.0.1"])[0])(first, first + length) for first, length in pairs])
    assert all(one.last + 1 < other.first for one, other in itertools.pairwise(merged))
    for number in range(40):
        assert holds(merged, number) == any(first <= number <= first + length for first, length in pairs)


@pytest.mark.parametrize("text", ["", "10.1.2", "010.1.2.3", "10.0.0.0/8", "host", "1" * 100, "10.1.2.3 "])
def test_what_is_no_address_is_none(text: str) -> None:
    assert read_address(text) is None


def test_a_mapped_address_is_an_ipv4_address_and_a_zone_is_left_out() -> None:
    assert read_address("::ffff:10.1.2.3") == read_address("10.1.2.3")
    assert read_address("fe80::1%eth0") == read_address("fe80::1")


def test_a_network_has_a_slash() -> None:
    assert is_network("10.1.2.3/8")
    assert is_network("2001:db8::/32")
    assert not is_network("10.1.2.3")
    assert not is_network("10.0.0.0/33")
    assert not is_network("a/b")


def test_a_network_without_meaning_is_named() -> None:
    with pytest.raises(QueryError, match=r"'10\.0\.0\.0/33'"):
        spans(["10.0.0.0/8", "10.0.0.0/33"])
