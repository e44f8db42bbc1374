"""What the examples of the scans cannot say: the names of the scanners."""

from __future__ import annotations

import pytest
from mozdef_alerts.names import Names
from mozdef_alerts.zeek.scan_address import NsmScanAddress
from mozdef_alerts.zeek.scan_port import NsmScanPort
from mozdef_alerts.zeek.scan_random import NsmScanRandom

from mozdef_core import Group

RULES = {"address": NsmScanAddress, "port": NsmScanPort, "random": NsmScanRandom}


def said_by(rule, address):
    return rule.summary(Group("details.sourceipaddress", address, 1, (), ()))


@pytest.fixture(params=RULES)
def kind(request):
    return request.param


def test_a_scanner_is_named_where_its_address_has_a_name(kind):
    rule = RULES[kind](RULES[kind].Options())
    rule.names.close()
    rule.names = Names({"10.1.2.3": "ws7.lab.example"}.get)
    assert said_by(rule, "10.1.2.3") == f"{kind} scan by 10.1.2.3 (ws7.lab.example)"
    assert said_by(rule, "10.1.2.4") == f"{kind} scan by 10.1.2.4"
    rule.close()
    assert said_by(rule, "10.1.2.3") == f"{kind} scan by 10.1.2.3"


def test_names_are_not_looked_up_unless_wanted(kind, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "socket.gethostbyaddr", lambda address: asked.append(address) or ("x.example", [], [])
    )
    for wanted in (False, True):
        rule = RULES[kind](RULES[kind].Options(resolve_names=wanted))
        shown = said_by(rule, "10.1.2.3")
        rule.close()
        assert (asked, shown.endswith(" (x.example)")) == ((["10.1.2.3"], True) if wanted else ([], False))


def test_a_rule_without_an_inside_says_that_it_finds_nothing(kind):
    assert RULES[kind](RULES[kind].Options(source_in=[])).inactive == "source_in is empty"
    assert RULES[kind](RULES[kind].Options()).inactive is None
