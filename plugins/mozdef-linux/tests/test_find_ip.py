from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_linux import FindIP, Linux
from mozdef_linux.find_ip import first_address


@pytest.mark.parametrize(
    ("summary", "address"),
    [
        ("NOTICE  [sshd] Ban 203.0.113.9", "203.0.113.9"),
        ("INFO    [sshd] Found 2001:DB8::9 - 2026-01-02 03:04:05", "2001:db8::9"),
        ("error: PAM: Authentication failure for root from '192.0.2.4',", "192.0.2.4"),
        ("Bad protocol version from (192.0.2.4): closing", "192.0.2.4"),
        ("peer 2001:db8::9: no identification string", "2001:db8::9"),
        ("Server listening on 0.0.0.0 port 22, then :: port 22.", None),
        ("version 1.2.3, at 12:34:56", None),
        ("", None),
    ],
)
def test_the_first_word_that_is_an_address_is_the_source(summary, address):
    assert first_address(summary) == address


@given(
    address=st.ip_addresses().filter(lambda one: not one.is_unspecified),
    before=st.sampled_from(["", '"', "[", "(", "<"]),
    after=st.sampled_from(["", '"', ",", "]", "):", ":", "',"]),
)
def test_any_address_is_found_whatever_stands_around_it(address, before, after):
    found = first_address(f"at 12:34:56 v1.2 {before}{address}{after} and 192.0.2.77")
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None and mapped.is_unspecified:
        return
    assert ipaddress.ip_address(found) == (mapped or address)


def test_it_comes_after_the_readers_and_leaves_alone_what_they_found(make_host):
    host = make_host(FindIP, Linux)
    forged = "Failed password for invalid user 203.0.113.5 from 192.0.2.1 port 5 ssh2"
    done = host.process(
        {"summary": forged, "program": "sshd"},
        {"summary": "NOTICE [sshd] Ban 203.0.113.9", "program": "fail2ban.actions"},
        {"summary": "NOTICE [sshd] Ban 203.0.113.9", "program": "cron"},
    )
    found = [event.get("details.sourceipaddress") for event in done.events]
    assert found == ["192.0.2.1", "203.0.113.9", None]
    assert [event.body["mozdef"]["plugins"] for event in done.events] == [["linux"], ["find_ip"], []]


def test_a_site_can_add_its_own_programs(make_host):
    host = make_host((FindIP, {"programs": ["vaultd"]}))
    (event,) = host.process({"summary": "refused 192.0.2.1", "program": "VaultD"}).events
    assert event.get("details.sourceipaddress") == "192.0.2.1"


def test_the_plugin_keeps_the_contract(run_contract):
    run_contract(FindIP, {"programs": ["vaultd"]})
