"""The call table finds exactly the plugins that an event concerns, in order, without asking them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.calltable import CallTable, Plugin
from mozdef_core.event import Event
from mozdef_core.health import Health, Limits


def table(*applies_to: dict[str, object], health: Health | None = None) -> CallTable:
    plugins = [Plugin(f"p{number}", None, applies_to=wanted) for number, wanted in enumerate(applies_to)]
    return CallTable(plugins, health or Health())


def admitted(calls: CallTable, body: dict[str, object]) -> list[int]:
    event, found = Event("0" * 26, body), []
    index = calls.next_index(event, 0)
    while index < len(calls.plugins):
        found.append(index)
        index = calls.next_index(event, index + 1)
    return found


@pytest.mark.parametrize(
    ("applies_to", "body", "admits"),
    [
        ({}, {}, True),
        ({"category": {"bro", "zeek"}}, {"category": "zeek"}, True),
        ({"category": {"bro"}}, {"category": "BRO"}, True),
        ({"category": {"Bro"}}, {"category": "bro"}, True),
        ({"category": {"bro"}}, {"category": "brocade"}, False),
        ({"category": {"bro"}}, {"source": "bro"}, False),
        ({"category": {"bro"}, "source": {"x"}}, {"source": "x", "category": "y"}, True),
        ({"category": ["ldap"]}, {"details": {"username": "ldap"}}, False),
        ({"tags": {"zoom"}}, {"tags": ["a", "Zoom"]}, True),
        ({"tag": {"zoom"}}, {"tags": ["zoom"]}, True),
        ({"tags": {"zoom"}}, {"tags": []}, False),
        ({"program": {"sshd"}}, {"details": {"program": "SSHD"}}, True),
        ({"program": {"sshd"}}, {"processname": "/usr/sbin/sshd"}, True),
        ({"program": {"sshd"}}, {"details": {"program": "su"}, "processname": "sshd"}, False),
        ({"program": {"*"}}, {"details": {"program": "su"}}, True),
        ({"program": {"*"}}, {"details": {}}, False),
        ({"endpoint": {"zoom"}}, {"mozdef": {"input": {"endpoint": "Zoom"}}}, True),
        ({"endpoint": {"*"}}, {"mozdef": {"input": {"endpoint": "x"}}}, True),
        ({"endpoint": {"*"}}, {"mozdef": {"input": {"endpoint": None}}}, False),
        ({"endpoint": {"zoom"}}, {"endpoint": "zoom"}, False),
        ({"processname": {"audisp-json"}}, {"processname": "audisp-json"}, True),
        ({"processname": {"*"}}, {"processname": "UNKNOWN", "mozdef": {"defaulted": ["processname"]}}, False),
        ({"details.kind": {"a"}}, {"details": {"kind": "A"}}, True),
        ({"details.kind": {"a"}}, {"details.kind": "a"}, True),
        ({"details.kind": {"a"}}, {"details": {"other": 1}, "details.kind": "a"}, True),
        ({"details.kind": {"*"}}, {"details": {"other": 1}, "details.kind": "a"}, True),
        ({"details.kind": {"a"}}, {"details": {"kind": ["b", "a"]}}, True),
        ({"details.kind": {"*"}}, {"details": {"kind": 0}}, True),
        ({"details.kind": {"*"}}, {"details": {"kind": None}}, False),
        ({"details.id": {"4625", "4624"}}, {"details": {"id": 4625}}, True),
        ({"details.id": {4625}}, {"details": {"id": "4625"}}, True),
        ({"details.on": {"true"}}, {"details": {"on": True}}, True),
        ({"category": {"bro"}}, {"category": None}, False),
        ({"category": {"bro"}}, {"category": {"bro": 1}}, False),
        ({"category": {"straße"}}, {"category": "STRASSE"}, True),
    ],
)
def test_a_plugin_is_asked_only_about_the_events_that_it_names(applies_to, body, admits):
    assert admitted(table(applies_to), body) == ([0] if admits else [])


def test_the_next_plugin_is_looked_for_in_the_event_as_it_is_now():
    calls = table({"category": {"a"}}, {"category": {"b"}}, {})
    assert calls.next_index(Event("1", {"category": "a"}), 0) == 0
    assert calls.next_index(Event("1", {"category": "b"}), 1) == 1
    assert calls.next_index(Event("1", {"category": "a"}), 1) == 2
    assert calls.next_index(Event("1", {"category": "a"}), 3) == 3


def test_suspended_plugins_are_passed_over_until_their_time_has_come():
    now = [1]
    health = Health(Limits(suspend_s=30), clock=lambda: now[0])
    calls = table({}, {}, {"category": {"x"}}, health=health)
    health.suspend("p1", "why")
    health.suspend("somebody else", "why")
    assert admitted(calls, {"category": "x"}) == [0, 2]
    now[0] += int(30e9)
    assert admitted(calls, {"category": "x"}) == [0, 1, 2]


words = st.sampled_from(["a", "B", "c", "*"])
fields = st.sampled_from(["category", "source", "program", "tags", "details.x"])


@given(
    st.lists(st.dictionaries(fields, st.sets(words, min_size=1), max_size=2), max_size=6),
    st.fixed_dictionaries(
        {},
        optional={
            "category": st.sampled_from(["A", "b", "d"]),
            "source": st.sampled_from(["a", "C"]),
            "tags": st.lists(st.sampled_from(["a", "b", "d"]), max_size=3),
            "details": st.fixed_dictionaries(
                {}, optional={"program": st.sampled_from(["a", "d"]), "x": st.sampled_from(["c", 1, None])}
            ),
        },
    ),
)
def test_the_index_says_what_a_loop_over_all_plugins_would(applies_to, body):
    event = Event("0" * 26, body)

    def concerns(wanted: dict[str, set[str]]) -> bool:
        if not wanted:
            return True
        for name, values in wanted.items():
            found = [event.program] if name == "program" and event.program else event.values(name)
            if found and (
                "*" in values or {str(value).lower() for value in found} & {v.lower() for v in values}
            ):
                return True
        return False

    assert admitted(table(*applies_to), body) == [
        n for n, wanted in enumerate(applies_to) if concerns(wanted)
    ]
