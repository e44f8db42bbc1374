"""What a mapper may set at the top level, and in which form."""

from __future__ import annotations

import pytest

from mozdef_core.event import Change, Event
from mozdef_core.normalise import EntranceSettings, Normaliser, conform
from mozdef_core.ports import Item, Origin


@pytest.fixture
def event():
    item = Item("0" * 26, 1_795_514_400_000_000, Origin(name="events", kind="http"), b"{}")
    return Normaliser("siem1", 7).normalise({"summary": "s"}, item, EntranceSettings())


def change(event, **values):
    return conform(event.with_change(Change(values)), values)


@pytest.mark.parametrize("name", ["timestamp", "utctimestamp"])
@pytest.mark.parametrize("sent", [1_795_514_000, "2026-11-24T10:53:20+01:00", "Nov 24 09:53:20"])
def test_either_time_sets_both_in_the_stored_form(event, name, sent):
    changed = change(event, **{name: sent})
    assert changed.get("timestamp") == changed.get("utctimestamp") == "2026-11-24T09:53:20.000000+00:00"
    assert isinstance(event, Event)
    assert event.get("timestamp") == "2026-11-24T10:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", "soon"),
        ("severity", "warning"),
        ("severity", None),
        ("tags", "a"),
        ("tags", [1]),
        ("details", []),
        ("summary", 5),
        ("hostname", None),
        ("type", {}),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_by_name(event, name, value):
    with pytest.raises(ValueError, match=name):
        change(event, **{name: value})


def test_what_has_its_form_passes(event):
    changed = change(event, severity="ERROR", tags=["a"], details={"x": 1}, summary="t", other=[1])
    assert changed.get("details.x") == 1
    assert conform(event, ["details.x"]) is event
