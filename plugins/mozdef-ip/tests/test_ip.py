"""Addresses in one form, whatever they were called and written like (mappers.md section 10)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_ip import IP
from mozdef_ip.reading import Reading, read

V4, V6 = "192.0.2.1", "2001:db8::9"


def details_of(make_host, details, **options):
    (event,) = make_host((IP, options)).process({"summary": "x", "details": details}).events
    return event.body["details"], [
        (note["code"], note["field"], note["message"]) for note in event.body["mozdef"]["problems"] if "plugin" in note
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        # 1: the header is used only where there is no other source
        ({"http_x_forwarded_for": f"{V4}, 10.0.0.1"}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        ({"http_x_forwarded_for": [V4, "10.0.0.1"]}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        ({"http_x_forwarded_for": f"{V4}:80", "src": V6}, {"sourceipaddress": V6, "sourceipv6address": V6}),
        ({"http_x_forwarded_for": V4, "sourceipaddress": V6}, {"sourceipaddress": V6, "sourceipv6address": V6}),
        ({"http_x_forwarded_for": f"unknown, {V4}"}, {}),
        # 2: other names
        ({"src": V4}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        ({"srcip": V6}, {"sourceipaddress": V6, "sourceipv6address": V6}),
        ({"dst": V4}, {"destinationipaddress": V4, "destinationipv4address": V4}),
        ({"dstip": V6}, {"destinationipaddress": V6, "destinationipv6address": V6}),
        ({"src": "eth0", "srcip": V4}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        ({"src": "10.0.0.9", "sourceipaddress": V4}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        ({"src": "eth0", "dst": "-"}, {}),
        ({"cluster_client_ip": V4}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        (
            {"cluster_client_ip": V4, "sourceipaddress": "10.0.0.1"},
            {"sourceipaddress": V4, "sourceipv4address": V4, "proxyipaddress": "10.0.0.1"},
        ),
        (
            {"cluster_client_ip": V6, "src": "10.0.0.1:99", "sourceipv4address": "10.0.0.1"},
            {"sourceipaddress": V6, "sourceipv6address": V6, "proxyipaddress": "10.0.0.1", "sourceipv4address": None},
        ),
        (
            {"cluster_client_ip": V4, "sourceipaddress": V6},
            {"sourceipaddress": V4, "sourceipv4address": V4, "proxyipaddress": V6},
        ),
        ({"cluster_client_ip": V4, "sourceipaddress": V4}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        ({"cluster_client_ip": "-", "src": V4}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        (
            {"cluster_client_ip": V4, "http_x_forwarded_for": V6},
            {"sourceipaddress": V4, "sourceipv4address": V4},
        ),
        # 3 and 4: one form
        ({"sourceipaddress": f' "[{V6}]" '}, {"sourceipaddress": V6, "sourceipv6address": V6}),
        ({"sourceipaddress": "fe80::1%eth0"}, {"sourceipaddress": "fe80::1", "sourceipv6address": "fe80::1"}),
        ({"sourceipaddress": f"::ffff:{V4}"}, {"sourceipaddress": V4, "sourceipv4address": V4}),
        ({"sourceipaddress": "2001:DB8:0::9"}, {"sourceipaddress": V6, "sourceipv6address": V6}),
        (
            {"sourceipaddress": f"{V4}:50122"},
            {"sourceipaddress": V4, "sourceipv4address": V4, "sourceport": 50122},
        ),
        (
            {"destinationipaddress": f"[{V6}]:443"},
            {"destinationipaddress": V6, "destinationipv6address": V6, "destinationport": 443},
        ),
        (
            {"destinationipaddress": f"[{V6}]:443", "destinationport": 8443},
            {"destinationipaddress": V6, "destinationipv6address": V6},
        ),
        (
            {"sourceipaddress": [f"({V4})", V6.upper(), "10.0.0.1"]},
            {
                "sourceipaddress": [V4, V6, "10.0.0.1"],
                "sourceipv4address": [V4, "10.0.0.1"],
                "sourceipv6address": [V6],
            },
        ),
        ({"sourceipaddress": "0.0.0.0"}, {"sourceipaddress": "0.0.0.0", "sourceipv4address": "0.0.0.0"}),
        ({"sourceipv4address": V4, "sourceport": 5, "source": "x", "hostip": "-"}, {}),
    ],
)  # fmt: skip
def test_every_address_has_one_form_and_stands_in_one_place(make_host, given_, expected):
    found, problems = details_of(make_host, given_)
    assert found == {name: value for name, value in {**given_, **expected}.items() if value is not None}
    assert problems == []


@pytest.mark.parametrize(
    ("value", "left", "shown"),
    [
        ("db4.lab.example", {"source": "db4.lab.example"}, "'db4.lab.example'"),
        ("localhost:22", {"source": "localhost", "sourceport": 22}, "'localhost:22'"),
        ("-", {}, "'-'"),
        ("", {}, "''"),
        ("Unknown", {}, "'Unknown'"),
        ("192.0.2.256", {}, "'192.0.2.256'"),
        ("not an address", {}, "'not an address'"),
        (f"{V4}:99999", {}, f"'{V4}:99999'"),
        (3232235777, {}, "3232235777"),
        (True, {}, "True"),
        ({"ip": V4}, {}, "{'ip': '192.0.2.1'}"),
    ],
)
def test_what_is_no_address_is_removed_and_noted(make_host, value, left, shown):
    found, problems = details_of(make_host, {"sourceipaddress": value, "user": "ines"})
    assert found == {"user": "ines", **left}
    assert problems == [("ip-invalid", "details.sourceipaddress", f"expected an address, got {shown}")]


def test_a_name_does_not_replace_another_and_of_a_list_the_addresses_stay(make_host):
    found, problems = details_of(make_host, {"destinationipaddress": ["gate", V4], "destination": "web"})
    assert found == {
        "destination": "web",
        "destinationipaddress": [V4],
        "destinationipv4address": [V4],
    }
    assert [problem[:2] for problem in problems] == [("ip-invalid", "details.destinationipaddress")]


def test_an_invalid_address_gives_way_to_a_valid_one_under_another_name(make_host):
    for other in ({"src": V4}, {"cluster_client_ip": V4}, {"http_x_forwarded_for": V4}):
        found, problems = details_of(make_host, {"sourceipaddress": "gate", **other})
        assert found == {"sourceipaddress": V4, "sourceipv4address": V4, "source": "gate", **other}
        assert len(problems) == 1


def test_a_load_balancer_that_is_not_trusted_only_fills_a_gap(make_host):
    sent = {"cluster_client_ip": V4, "sourceipaddress": V6}
    found, _ = details_of(make_host, sent, trust_cluster_client_ip=False)
    assert found == {**sent, "sourceipv6address": V6}
    found, _ = details_of(make_host, {"cluster_client_ip": V4}, trust_cluster_client_ip=False)
    assert found["sourceipaddress"] == V4


def test_an_event_that_is_in_order_or_has_no_addresses_is_left_alone(make_host):
    host = make_host(IP)
    done = host.process(
        {"details": {"sourceipaddress": V4, "sourceipv4address": V4, "destinationipaddress": None}},
        {"details": {"user": "ines"}},
        {"summary": "nothing"},
    )
    assert [event.body["mozdef"]["plugins"] for event in done.events] == [[], [], []]


@given(
    address=st.ip_addresses(),
    around=st.sampled_from([("", ""), (" ", "\t"), ('"', '"'), ("[", "]"), ("(", ")"), ("<", ">"), ('"[', ']"')]),
    port=st.none() | st.integers(0, 65_535),
    upper=st.booleans(),
)  # fmt: skip
def test_any_address_is_read_however_it_is_written(address, around, port, upper):
    mapped = getattr(address, "ipv4_mapped", None)
    text = str(address).upper() if upper else str(address)
    if port is not None:
        text, around = f"[{text}]:{port}" if ":" in text else f"{text}:{port}", ("'", "'")
    expected = mapped or address
    assert read(f"{around[0]}{text}{around[1]}") == Reading(str(expected), expected.version, port=port)


@given(st.text(max_size=40))
def test_no_other_text_becomes_an_address(text):
    found = read(text)
    if found.version:
        assert str(ipaddress.ip_address(found.address)) == found.address
        assert ":" not in found.address or found.version == 6
    assert not (found.name and found.version)


def test_the_plugin_keeps_the_contract(run_contract):
    run_contract(IP)
    run_contract(IP, {"trust_cluster_client_ip": False})
