from __future__ import annotations

import pytest
from mozdef_alerts.names import Names
from mozdef_alerts.ssh import lateral
from mozdef_alerts.ssh.lateral import SshLateral

from mozdef_core import ConfigError, Group

POLICY = {"hostmustmatch": ["db"], "alertifsource": ["0.0.0.0/0"]}


@pytest.fixture
def group(make_event):
    events = [
        make_event({"hostname": "db4", "details": {"sourceipaddress": address, "username": "ines"}})
        for address in ("10.0.0.2", "10.0.0.1")
    ]
    return Group("hostname", "db4", 2, events, events)


def test_a_summary_holds_the_names_that_are_known(make_host, group):
    rule = make_host((SshLateral, POLICY)).plugins[0].instance
    rule.names = Names({"10.0.0.1": "web1.lab.example"}.get, limit_s=60)
    assert rule.summary(group) == (
        "key logins to db4 outside policy from 10.0.0.1 (web1.lab.example), 10.0.0.2 as ines"
    )
    rule.close()
    assert rule.names.known(["10.0.0.1"]) == {}


def test_nobody_is_asked_unless_names_are_wanted(make_host, group, monkeypatch):
    asked = []
    monkeypatch.setattr(lateral, "reverse", asked.append)
    rule = make_host((SshLateral, {**POLICY, "resolve_names": False})).plugins[0].instance
    assert rule.summary(group) == "key logins to db4 outside policy from 10.0.0.1, 10.0.0.2 as ines"
    assert asked == []


def test_only_private_addresses_are_asked_about(monkeypatch):
    monkeypatch.setattr(lateral, "reverse", lambda address: f"host-{address}")
    assert lateral.private_only("10.0.0.1") == "host-10.0.0.1"
    assert lateral.private_only("fd00::1") == "host-fd00::1"
    assert lateral.private_only("8.8.8.8") is None


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"hostmustmatch": ["db("]}, "expected a regular expression"),
        ({"exceptions": [["ines", "db", "10.0.0.0/33"]]}, "expected an address or a network"),
        ({"exceptions": [["ines", "(", "10.0.0.0/8"]]}, "expected a regular expression"),
        ({"alertifsource": ["10.0.0"]}, "expected an address"),
    ],
)
def test_what_cannot_be_a_policy_is_refused(make_host, option, said):
    with pytest.raises(ConfigError, match=said):
        make_host((SshLateral, {**POLICY, **option}))
