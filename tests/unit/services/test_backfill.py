from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import InvalidItemError
from mozdef_core.event import LATE_HORIZON_S, Change, Event, isoformat, new_ids, now_us
from mozdef_core.normalise.limits import STRING
from mozdef_core.ports import Item
from mozdef_core.services.backfill import ORIGIN, as_item, divide, read_event, restore
from mozdef_core.testing import MakeEvent
from mozdef_core.testing_contracts.store_events import BASE_US, ZOO, stored_event
from mozdef_core.testing_contracts.trial import make_item


def line(event_id: object = "", /, **changed: Any) -> bytes:
    """Return a line of an export; what is None is left out."""
    event = stored_event()
    body = {name: value for name, value in {**event.body, **changed}.items() if value is not None}
    return orjson.dumps({"id": event_id or event.id, "event": body})


@pytest.mark.parametrize("name", [name for name in ZOO if not name.startswith("long")])  # those are cut
def test_an_event_comes_back_as_it_was_and_marked_replayed(name: str) -> None:
    event = stored_event(**ZOO[name])
    found = read_event(event.to_bytes())
    assert found.id == event.id
    assert found.body == {**event.body, "mozdef": {**event.body["mozdef"], "replayed": True}}


def test_what_search_prints_is_read_too() -> None:
    event = stored_event()
    flat = orjson.dumps({"id": event.id, **event.body})
    assert read_event(flat) == read_event(event.to_bytes())


def test_a_field_called_event_is_no_envelope() -> None:
    event = stored_event(event="signal")
    assert read_event(orjson.dumps({"id": event.id, **event.body})).body["event"] == "signal"


def test_a_field_called_id_survives() -> None:
    event = stored_event(id="of the sender")
    assert read_event(event.to_bytes()).body["id"] == "of the sender"


def test_a_real_event_needs_no_change(make_event: MakeEvent) -> None:
    event = make_event("Failed password", hostname="db4", tags=["a"], port=22)
    found = read_event(event.to_bytes())
    assert found.with_change(Change(remove=["mozdef.replayed"])).body == event.body


@given(
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), max_size=5
    )
)
def test_reading_again_changes_nothing(details: dict[str, Any]) -> None:
    raw = orjson.dumps({"id": stored_event().id, "event": stored_event(details=details).body}, default=str) if _fits(details) else line()  # fmt: skip
    once = read_event(raw)
    assert read_event(once.to_bytes()) == once


def _fits(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def test_what_is_beyond_a_limit_is_cut() -> None:
    event = read_event(line(details={"long": "x" * (STRING + 1)}))
    assert len(event.get("details.long")) == STRING
    assert {"code": "value-cut", "field": "details.long"} in event.get("mozdef.problems")


def test_a_time_of_another_zone_becomes_utc() -> None:
    event = read_event(line(utctimestamp="2026-03-29T14:00:00+02:00", timestamp="yesterday"))
    assert event.body["utctimestamp"] == event.body["timestamp"] == "2026-03-29T12:00:00.000000+00:00"


def test_a_field_that_a_plugin_has_removed_may_be_missing() -> None:
    assert "summary" not in read_event(line(summary=None, mozdef=None)).body


WRONG: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "Expecting property name"),
    "no object": (b"[1]", "the item is an array, an object is required"),
    "nothing": (b"{}", "id: expected the 26 characters"),
    "event is text": (b'{"id": "x", "event": "y"}', "event: expected an object, got 'y'"),
    "short id": (line("01ABC"), "id: expected the 26 characters of an event's id, and -1, -2, ... for parts of it, got '01ABC'"),
    "odd id": (line(stored_event().id[:-1] + "/"), "id: expected"),
    "number as id": (line(7), "got 7"),
    "no time": (line(utctimestamp=None), "utctimestamp: expected an ISO 8601 time with offset, got nothing"),
    "no offset": (line(receivedtimestamp="2026-03-29T12:00:00"), "receivedtimestamp: expected an ISO 8601 time with offset"),
    "time as a number": (line(utctimestamp=1), "utctimestamp: expected an ISO 8601 time with offset, got 1"),
    "time out of range": (line(utctimestamp="0001-01-01T00:00:00+14:00"), "utctimestamp: expected"),
    "received tomorrow": (
        line(receivedtimestamp=isoformat(now_us() + 90_000_000_000)), "receivedtimestamp: expected a time between 1970 and now"),
    "received long ago": (line(receivedtimestamp="1969-12-31T23:59:59+00:00"), "receivedtimestamp: expected a time between"),
    "summary is a number": (line(summary=7), "summary must be text, not 7"),
    "severity": (line(severity="bad"), "severity must be one of"),
    "tags": (line(tags="a"), "tags must be a list of texts"),
    "details": (line(details=[]), "details must be an object"),
    "mozdef": (line(mozdef=[]), "mozdef: expected an object, got []"),
    "problems": (line(mozdef={"problems": 1}), "mozdef.problems: expected a list, got 1"),
    "retention is a number": (line(mozdef={"retention": 7}), "mozdef.retention: expected the name of a retention class, got 7"),
    "retention is too long for a directory": (line(mozdef={"retention": "ü" * 40}), "mozdef.retention: expected"),
    "too deep": (b'{"id":' + b"[" * 200 + b"]" * 200 + b"}", "nested deeper than 100 levels"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_event_is_said_to_be_none(name: str) -> None:
    raw, reason = WRONG[name]
    with pytest.raises(InvalidItemError) as caught:
        read_event(raw)
    assert reason in caught.value.reason


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["id", "event", "mozdef", "x"]), x)).map(lambda value: orjson.dumps(value) if _fits(value) else b""))  # fmt: skip
def test_nothing_that_a_file_may_hold_gets_past_or_breaks_it(raw: bytes) -> None:
    with pytest.raises(InvalidItemError):
        read_event(raw)


def restored(*events: Event | bytes, **more: Any) -> Any:
    raws = [one if isinstance(one, bytes) else one.to_bytes() for one in events]
    return restore(
        [Item(event_id, 7, ORIGIN, raw, **more) for event_id, raw in zip(new_ids(7, 9), raws, strict=False)]
    )


def test_old_events_are_told_from_recent_ones_by_the_late_horizon() -> None:
    now = now_us()
    edge = now - LATE_HORIZON_S * 1_000_000
    old, recent = stored_event(edge - 9_000_000), stored_event(edge + 9_000_000)
    late = stored_event(edge - 9_000_000, received_us=now - 9_000_000)  # only a moment ago, but of old
    done = restored(old, recent, late)
    assert [event.id for event in done.old] == [old.id, late.id]
    assert [event.id for event in done.recent] == [recent.id]
    assert {event.id for event in done.events} == {old.id, recent.id, late.id} == set(done.items)


def test_what_is_no_event_becomes_a_dead_letter() -> None:
    good = stored_event()
    done = restored(b"nonsense", good)
    assert [event.id for event in done.events] == [good.id]
    (letter,) = done.dead_letters
    assert (letter.stage, letter.code, letter.raw, letter.origin) == (
        "parse",
        "invalid-json",
        b"nonsense",
        ORIGIN,
    )


def test_what_was_refused_before_becomes_a_dead_letter() -> None:
    (letter,) = restored(stored_event(), refusal=("too-large", "much too long")).dead_letters
    assert (letter.code, letter.reason) == ("too-large", "much too long")


def test_an_event_that_comes_twice_is_there_once() -> None:
    event = stored_event()
    assert len(restored(event, event).events) == 1


def test_a_replayed_letter_is_settled_by_its_event() -> None:
    event = stored_event()
    assert restored(event, replay_of="L1").replayed == {"L1": [event.id]}
    assert restored(b"x", replay_of="L1").replayed == {}


def test_an_item_of_a_backfill_counts_as_received_now() -> None:
    event = stored_event(BASE_US)
    item = as_item(event, 12)
    assert (item.id, item.received_us) == (event.id, 12)
    assert read_event(item.raw) == read_event(event.to_bytes())


def test_items_of_senders_are_told_from_those_of_a_backfill() -> None:
    sent, imported = make_item("x"), as_item(stored_event(), 1)
    assert divide([sent]) == ([sent], ())
    assert divide([sent, imported, sent]) == ([sent, sent], [imported])
