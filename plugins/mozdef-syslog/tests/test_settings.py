"""What the options accept, and what they say when they do not."""

from __future__ import annotations

import pytest
from mozdef_syslog import SyslogOptions
from mozdef_syslog.address import Address, parse_address, peer_text
from pydantic import ValidationError


def test_without_options_only_this_machine_is_listened_to():
    options = SyslogOptions()
    assert (options.udp, options.tcp, options.tls) == (["127.0.0.1:5514"], ["127.0.0.1:5514"], [])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"udp": ["0.0.0.0:514"]}, ["udp: 0.0.0.0:514", "client_ca", "open = true"]),
        ({"tcp": ["siem1.example:514"]}, ["tcp: siem1.example:514", "open = true"]),
        ({"tcp": ["[::]:514"]}, ["tcp: [::]:514"]),
        ({"tls": ["0.0.0.0:6514"], "certificate": "c.pem"}, ["tls: 0.0.0.0:6514", "client_ca"]),
        ({"tls": ["127.0.0.1:6514"]}, ["certificate"]),
        ({"udp": [], "tcp": []}, ["at least one address"]),
        ({"udp": ["5514"]}, ["host:port", "'5514'"]),
        ({"udp": ["::1:5514"]}, ["host:port", "[::1]:5514"]),
        ({"udp": ["127.0.0.1:70000"]}, ["0 to 65535", "70000"]),
        ({"udp": ["127.0.0.1:x"]}, ["host:port"]),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_be_right(options, words):
    with pytest.raises(ValidationError) as caught:
        SyslogOptions(**options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"udp": ["127.0.0.1:514", "[::1]:514", "localhost:514"]},
        {"udp": ["0.0.0.0:514"], "open": True},
        {"tls": ["0.0.0.0:6514"], "certificate": "c.pem", "client_ca": "ca.pem"},
    ],
)
def test_loopback_open_and_client_certificates_are_the_three_ways_to_listen(options):
    SyslogOptions(**options)


def test_an_address_is_written_as_it_is_read():
    assert parse_address("[::1]:5514") == Address("::1", 5514)
    assert str(parse_address("[::1]:5514")) == "[::1]:5514"


def test_a_peer_is_named_without_zone_and_as_version_4_if_it_is():
    assert peer_text("::ffff:192.0.2.7") == "192.0.2.7"
    assert peer_text("fe80::1%eth0") == "fe80::1"
    assert peer_text("2001:db8::1") == "2001:db8::1"
