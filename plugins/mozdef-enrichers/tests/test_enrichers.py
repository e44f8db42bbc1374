"""The eight enrichers, on stored events of a store in memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_enrichers import (
    AuthSourceipUsername,
    DhcpAssignment,
    GeomodelIpintelEnrichment,
    Ipaddr,
    IpSourceEnrichment,
    PortScanEnrichment,
    PossibleUsernames,
    VpnAssignment,
)
from mozdef_enrichers.addresses import _addresses
from mozdef_enrichers.selection import address

from mozdef_core import Alert, Moment, Occasion, Site

ALL = [
    Ipaddr,
    IpSourceEnrichment,
    PortScanEnrichment,
    DhcpAssignment,
    PossibleUsernames,
    VpnAssignment,
    AuthSourceipUsername,
    GeomodelIpintelEnrichment,
]


@pytest.fixture
def seen(make_event):
    """Make an event that came in some minutes before the alert."""

    def make(minutes=0, **fields):
        hour, minute = divmod(12 * 60 - minutes, 60)
        moment = f"2026-01-02T{hour:02d}:{minute:02d}:00+00:00"
        return make_event(fields.pop("summary", "x"), received=moment, utctimestamp=moment, **fields)

    return make


def alert_of(*events, rule="r", tags=(), **fields):
    last = Moment.of(events[-1]) if events else Moment(1_767_355_200_000_000, "a")
    return Alert(
        rule, fields.pop("summary", "s"), last, last, tags=tags, events=events, id="0f" * 13, **fields
    )


def run(cls, alert, options=None, store=None, occasion=Occasion.RAISED):
    plugin = cls(cls.Options(**(options or {})))
    if store is not None:
        plugin.use_site(Site(store))
    return plugin.alert_action(alert=alert, occasion=occasion)


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        (
            {"sourceipaddress": "192.0.2.1", "destinationipaddress": "2001:DB8::1"},
            {
                "sourceipaddress": "192.0.2.1",
                "sourceipv4address": "192.0.2.1",
                "destinationipaddress": "2001:db8::1",
                "destinationipv6address": "2001:db8::1",
            },
        ),
        (
            {"http_x_forwarded_for": "192.0.2.7, 198.51.100.1"},
            {"sourceipaddress": "192.0.2.7", "sourceipv4address": "192.0.2.7"},
        ),
        (
            {"http_x_forwarded_for": "192.0.2.7", "cluster_client_ip": "192.0.2.8"},
            {"sourceipaddress": "192.0.2.8", "sourceipv4address": "192.0.2.8"},
        ),
        ({"http_x_forwarded_for": "proxy7"}, {"source": "proxy7"}),
        ({"destinationipaddress": "0.0.0.0"}, None),
        ({"sourceipaddress": None}, None),
        ({}, None),
    ],
)
def test_ipaddr_copies_the_addresses_of_the_first_sample(seen, details, expected):
    change = run(Ipaddr, alert_of(seen(details=details)))
    assert (change and change.details) == expected


def test_ipaddr_leaves_alerts_without_events_alone():
    assert run(Ipaddr, alert_of()) is None


KNOWN = [
    {"range": "192.0.2.0/24", "site": "Berlin", "format": "{0} is in {1}"},
    {"range": "2001:db8::/32", "site": "Oslo"},
]


def test_ip_source_names_the_sites_of_known_addresses_in_order(seen):
    event = seen(
        summary="from 2001:db8::5 to 192.0.2.9, port 22", details={"destinationipaddress": "192.0.2.9"}
    )
    alert = alert_of(event, summary="192.0.2.1 and 203.0.113.1: scan")
    change = run(IpSourceEnrichment, alert, {"known": KNOWN})
    sites = {entry["ip"]: entry["site"] for entry in change.details["sites"]}
    assert sites == {"192.0.2.1": "Berlin", "2001:db8::5": "Oslo", "192.0.2.9": "Berlin"}
    assert len(change.details["sites"]) == 3
    assert change.summary_suffix.startswith("192.0.2.1 is in Berlin; ")
    assert "2001:db8::5 is Oslo" in change.summary_suffix


def test_ip_source_names_five_at_most_and_says_nothing_without_a_match():
    many = " ".join(f"192.0.2.{number}" for number in range(1, 9))
    change = run(IpSourceEnrichment, alert_of(summary=many), {"known": KNOWN})
    assert len(change.details["sites"]) == 8
    assert change.summary_suffix.count("Berlin") == 5
    assert run(IpSourceEnrichment, alert_of(summary="203.0.113.9"), {"known": KNOWN}) is None


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_whatever_stands_in_an_alert_only_addresses_are_found(node):
    assert all(address(found) == found for found in _addresses(node))


@given(st.ip_addresses(), st.sampled_from(["{}", "from {}.", "<{}>", "a {}, b", "({})"]))
def test_an_address_in_a_sentence_is_found(value, sentence):
    expected = [] if value.is_unspecified else [str(value)]
    assert list(_addresses({"a": [sentence.format(value)]})) == expected


def test_a_scanner_is_shown_with_its_last_connections(seen, make_store):
    conn = {"category": "bro", "source": "conn"}
    peers = [
        seen(minutes, **conn, details={"sourceipaddress": "192.0.2.1", "destinationipaddress": f"192.0.2.{20 + minutes}",
                                       "destinationport": minutes})
        for minutes in (1, 2, 3)
    ]  # fmt: skip
    other = seen(1, **conn, details={"sourceipaddress": "192.0.2.2", "destinationipaddress": "192.0.2.99"})
    alert = alert_of(seen(details={"sourceipaddress": "192.0.2.1"}), tags=("portscan",))
    store = make_store([*peers, other])
    change = run(PortScanEnrichment, alert, {"max_connections": 2}, store)
    assert [entry["destinationport"] for entry in change.details["recentconnections"]] == [1, 2]
    assert change.details["recentconnections"][0]["destinationipaddress"] == "192.0.2.21"
    everything = run(PortScanEnrichment, alert, {"max_connections": 0}, store)
    assert len(everything.details["recentconnections"]) == 3
    assert (
        run(PortScanEnrichment, alert, {"window": "90s"}, store).details["recentconnections"]
        == (change.details["recentconnections"][:1])
    )
    assert run(PortScanEnrichment, alert_of(*alert.events), store=store) is None


def test_an_address_is_traced_to_its_hardware_and_its_owner(seen, make_store):
    lease = seen(5, source="dhcp", details={"assigned_addr": "192.0.2.1", "mac": "00:00:5e:00:53:01"})
    owner = seen(4, source="local1", summary="mac=00:00:5e:00:53:01, user_name=ines, os=linux",
                 details={"mac": "00:00:5e:00:53:01"})  # fmt: skip
    alert = alert_of(seen(details={"sourceipaddress": "192.0.2.1"}), tags=("portscan",))
    change = run(DhcpAssignment, alert, store=make_store([lease, owner]))
    assert change.details == {
        "ipassignment": {"mac": "00:00:5e:00:53:01", "user": "ines"},
        "username": "ines",
    }
    assert change.summary_suffix == "192.0.2.1 is assigned to 00:00:5e:00:53:01, ines"
    nobody = run(DhcpAssignment, alert, store=make_store([lease]))
    assert nobody.details == {"ipassignment": {"mac": "00:00:5e:00:53:01", "user": None}}
    assert nobody.summary_suffix.endswith("(no user found)")
    assert run(DhcpAssignment, alert, store=make_store([owner])) is None


def test_users_of_the_hosts_keys_are_named(seen, make_store):
    def login(minutes, user, **fields):
        summary = fields.pop("summary", f"Accepted publickey for {user} from 192.0.2.9 port 1 ssh2")
        return seen(minutes, hostname="pay2", summary=summary, details={"username": user}, **fields)

    store = make_store(
        [login(9, "jo"), login(8, "ines"), login(7, "jo"), login(6, "eve", summary="Failed password")]
    )
    alert = alert_of(
        seen(hostname="pay1"), seen(hostname="pay2"), seen(hostname="pay2"), rule="promisc_kernel"
    )
    change = run(PossibleUsernames, alert, store=store)
    assert change.details == {"possible_usernames": ["ines", "jo"]}
    assert change.summary_suffix == "possible users: ines, jo"
    assert run(PossibleUsernames, alert_of(*alert.events), store=store) is None


def test_who_was_on_the_vpn_is_named(seen, make_store):
    def connect(minutes, user, **details):
        details = {
            "success": True,
            "vpnip": "10.8.0.7",
            "username": user,
            "sourceipaddress": "203.0.113.5",
            **details,
        }
        return seen(
            minutes, tags=["vpn", "netfilter"], summary="netfilter add upon connection", details=details
        )

    store = make_store([connect(60, "jo"), connect(30, "ines"), connect(10, "eve", success=False)])
    alert = alert_of(seen(details={"sourceipaddress": "10.8.0.7"}))
    change = run(VpnAssignment, alert, {"vpn_ip_cidrs": ["10.8.0.0/16"]}, store)
    assert change.details == {"vpnassignment": {"username": "ines", "originalip": "203.0.113.5"}}
    assert run(VpnAssignment, alert, {"vpn_ip_cidrs": ["10.9.0.0/16"]}, store) is None
    assert run(VpnAssignment, alert, {}, store) is None
    with pytest.raises(ValueError, match="expected networks"):
        VpnAssignment.Options(vpn_ip_cidrs=["vpn"])


def test_who_logged_in_from_there_is_named_unless_the_rule_knows(seen, make_store):
    def login(minutes, user, *, success=True, tag="auth0"):
        return seen(
            minutes,
            tags=[tag],
            details={"success": success, "sourceipaddress": "192.0.2.1", "username": user},
        )

    store = make_store(
        [login(60, "jo"), login(30, "ines"), login(10, "eve", success=False), login(5, "x", tag="y")]
    )
    event = seen(details={"sourceipaddress": "192.0.2.1"})
    assert run(AuthSourceipUsername, alert_of(event), store=store).details == {"username": "ines"}
    assert run(AuthSourceipUsername, alert_of(event, details={"username": "known"}), store=store) is None
    assert run(AuthSourceipUsername, alert_of(event), {"match_tag": "vpn"}, store) is None
    late = make_store([login(7 * 60, "jo")])
    assert run(AuthSourceipUsername, alert_of(event), store=late) is None


def test_the_reputation_of_all_hops_is_looked_up_and_the_file_read_again(tmp_path):
    path = tmp_path / "intel.json"
    path.write_text(json.dumps({"192.0.2.1": {"TorNode": 90, "Spam": 10}, "198.51.100.1": {"Spam": 5}}))
    hops = [{"origin": {"ip": "192.0.2.1"}, "destination": {"ip": "203.0.113.1", "city": "Oslo"}}]
    alert = alert_of(tags=("geomodel",), details={"hops": hops})
    plugin = GeomodelIpintelEnrichment(GeomodelIpintelEnrichment.Options(intel_file_path=path))
    change = plugin.alert_action(alert=alert, occasion=Occasion.RAISED)
    assert change.details["ipintel"] == [
        {"ip": "192.0.2.1", "classification": "TorNode", "threatscore": 90},
        {"ip": "192.0.2.1", "classification": "Spam", "threatscore": 10},
    ]
    assert change.summary_suffix == "192.0.2.1 is a Tor node"
    path.write_text(json.dumps({"203.0.113.1": {"VPN": 1}}))
    change = plugin.alert_action(alert=alert, occasion=Occasion.RAISED)
    assert change.summary_suffix == "203.0.113.1 is a VPN"
    path.write_text("[1]")
    with pytest.raises(ValueError, match="expected an object of addresses, got list"):
        plugin.alert_action(alert=alert, occasion=Occasion.RAISED)
    assert run(GeomodelIpintelEnrichment, alert) is None


@pytest.mark.parametrize("cls", ALL)
def test_only_an_alert_that_was_just_raised_is_enriched(seen, make_store, cls):
    event = seen(hostname="pay2", details={"sourceipaddress": "192.0.2.1"})
    alert = alert_of(event, rule="promisc_kernel", tags=("portscan", "geomodel"))
    options = {"known": KNOWN} if cls is IpSourceEnrichment else {}
    store = make_store([event]) if hasattr(cls, "use_site") else None
    assert run(cls, alert, options, store, Occasion.EXTENDED) is None


@pytest.mark.parametrize("cls", ALL)
def test_the_plugins_keep_the_contract(run_contract, cls):
    run_contract(cls)
    assert cls.stage == "enrich"
