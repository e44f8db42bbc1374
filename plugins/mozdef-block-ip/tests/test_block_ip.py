from __future__ import annotations

import pytest
from mozdef_block_ip import BlockIP

from mozdef_core import Alert, AlertChange, Block, Moment, Occasion


def alert(rule="bruteforce_ssh", address=None, group=None):
    details = {} if address is None else {"sourceipaddress": address}
    moment = Moment(1, "a")
    return Alert(
        rule, "guessing", moment, moment, details=details, group=group and ("details.x", group), id="0f" * 13
    )


def act(make_host, subject, **options):
    return make_host((BlockIP, options)).answer("alert_action", alert=subject, occasion=Occasion.RAISED)


@pytest.mark.parametrize(
    ("details", "group", "address"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (None, "198.51.100.1", "198.51.100.1"),
        (" 2001:DB8::0:1 ", None, "2001:db8::1"),
        ("gateway", "198.51.100.1", "198.51.100.1"),
        (["203.0.113.9"], "198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_source_address_or_else_the_group_is_blocked(make_host, details, group, address):
    change = act(make_host, alert(address=details, group=group))
    assert change == AlertChange(block=Block(address, "1d", "Automatic Block", "MozDef", 50))


@pytest.mark.parametrize(
    ("details", "group"), [(None, None), (None, "ines"), (7, "203.0.113.0/24"), ("", "")]
)
def test_without_an_address_nothing_is_blocked_and_it_says_so(make_host, details, group):
    assert act(make_host, alert(address=details, group=group)) == AlertChange(
        note="the alert is about no address", skipped=True
    )


def test_only_the_rules_of_the_operator_block(make_host):
    other = alert("watchlist", "203.0.113.9")
    assert act(make_host, other) == AlertChange(note="watchlist is not among its rules", skipped=True)
    assert act(make_host, other, rules=["watchlist"]).block is not None


def test_the_options_reach_the_core(make_host):
    options = {"duration": "1w", "max_per_hour": 3, "dry_run": True}
    block = act(make_host, alert(address="203.0.113.9"), **options).block
    assert (block.duration, block.max_per_hour, block.dry_run) == ("1w", 3, True)


@pytest.mark.parametrize("wrong", [{"duration": "permanent"}, {"duration": "2hr"}, {"max_per_hour": 0}])
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BlockIP.Options(**wrong)


def test_it_acts_once_and_in_time():
    assert BlockIP.occasions == (Occasion.RAISED,)
    assert BlockIP.acts_late is False


def test_the_plugin_keeps_the_contract(run_contract):
    run_contract(BlockIP)
