from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.event import Event
from mozdef_core.ports import Page
from mozdef_core.services.web import api_search
from mozdef_core.services.web.api_documents import document
from tests.unit.services.web.asking import Asking, recent

SEARCH = "/api/v1/events/search"
HOURS = ["2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T11:30:00Z", "2026-03-02T09:00:00Z"]
USERS = ["ines", "max", "ines", "ann"]
MARCH = {"from": "2026-03-01", "to": "2026-04-01"}


@pytest.fixture
def asking(make_event, make_store):
    events = [
        make_event("login", utctimestamp=time, received="2026-03-03T00:00:00Z", details={"username": user, "n": n, "list": [{"a": n, "b": 0}]})
        for n, (time, user) in enumerate(zip(HOURS, USERS, strict=True))
    ]  # fmt: skip
    return Asking(make_store(events))


def numbers(answer):
    return [item["details"]["n"] for item in answer["items"]]


def test_a_search_by_address_and_one_by_body_are_answered_alike(asking):
    by_address = asking.get(
        SEARCH, query="details.username:ines", total="true", limit="1", order="oldest", **MARCH
    )
    by_body = asking.post(
        {"query": "details.username:ines", "total": True, "limit": 1, "order": "oldest", **MARCH}
    )
    assert by_address == by_body
    status, answer = by_body
    assert (status, numbers(answer), answer["total"], answer["complete"]) == (200, [0], 2, True)
    assert (answer["from"], answer["to"]) == (
        "2026-03-01T00:00:00.000000+00:00",
        "2026-04-01T00:00:00.000000+00:00",
    )


def test_pages_hold_every_event_once_and_the_last_has_no_next(asking):
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        _, answer = asking.post({**MARCH, "limit": 3, "cursor": cursor})
        found += numbers(answer)
        cursor, pages = answer["next"], pages + 1
    assert (found, pages) == ([3, 2, 1, 0], 2)


def test_the_last_day_is_what_is_searched_where_nothing_is_said(make_event, make_store):
    old = make_event("x", utctimestamp=HOURS[0], received=HOURS[0])
    asking = Asking(make_store([recent(make_event, "x"), old]))
    assert len(asking.get(SEARCH)[1]["items"]) == 1
    assert len(asking.get(SEARCH, **{"from": "2000-01-01"})[1]["items"]) == 2


@pytest.mark.parametrize(
    ("first", "end", "found"),
    [
        ("2026-03-01T11:00:00Z", "2026-03-01T11:30:00Z", [1]),
        ("2026-03-01T12:00:00+01:00", "2026-03-01T12:30:00.000001+01:00", [2, 1]),
        ("2026-03-02", None, [3]),
        ("2026-03-01T10:30:00Z||+1h", "2026-03-01||+1d/d", [3, 2]),
        ("2026-03-01T11:59:59Z||/h", "2026-03-01T11:00:00Z||/h", [2, 1]),
    ],
)
def test_times_are_read_with_the_first_in_and_the_end_out(asking, first, end, found):
    assert numbers(asking.post({"from": first, "to": end})[1]) == found


def test_some_fields_are_returned_as_they_are_nested(asking):
    _, answer = asking.get(SEARCH, fields="details.username,details.list.a,nothing.here", limit="1", **MARCH)
    (item,) = answer["items"]
    assert item == {"id": item["id"], "details": {"username": "ann", "list": [{"a": 3}]}}


KEYS = st.sampled_from(["a", "b", "a.b", "b.a", "a.b.a", ""])
NODES = st.recursive(
    st.none() | st.integers(-5, 5) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, NODES, max_size=4), st.sampled_from(["a", "b", "a.b", "b.a", "a.b.a", "a.a.b"]))
def test_under_a_field_that_was_asked_for_stands_what_stood_there(body, field):
    event = Event("01", body)
    kept = document(event, [field]).model_dump()
    assert kept.pop("id") == "01"
    assert Event("01", kept).values(field) == event.values(field)
    assert document(event).model_dump() == {**body, "id": "01"}


def test_an_event_is_returned_by_its_id(asking):
    item = asking.post({**MARCH, "limit": 1})[1]["items"][0]
    assert asking.get(f"/api/v1/events/{item['id']}") == (200, item)
    status, answer = asking.get("/api/v1/events/01M8")
    assert (status, answer["error"]["code"]) == (404, "not-found")
    assert asking.error(f"/api/v1/events/{item['id']}?fields=x")["code"] == "unknown-field"


def test_a_field_of_an_event_that_is_called_id_does_not_hide_its_id(make_store):
    body = {"id": "of the sender", "utctimestamp": HOURS[0], "receivedtimestamp": HOURS[0]}
    asking = Asking(make_store([Event("01M8", body)]))
    assert asking.get("/api/v1/events/01M8")[1]["id"] == "01M8"


@pytest.mark.parametrize(
    ("asked", "code", "field", "words"),
    [
        ({"query": "a:b AND ("}, "invalid-query", "query", "expected ')'"),
        ({"query": ""}, "invalid-value", "query", "at least 1 characters"),
        ({"query": "x" * 10_001}, "invalid-value", "query", "at most 10000 characters, got 10001 characters"),
        ({"query": 5}, "invalid-value", "query", "expected text, got 5"),
        ({"qery": "x"}, "unknown-field", "qery", "unknown field 'qery'; did you mean 'query'?"),
        ({"from_": "1h"}, "unknown-field", "from_", "did you mean 'from'?"),
        ({"from": "yesterday"}, "invalid-time", "from", "'yesterday' is not a time"),
        ({"from": "now-9000y"}, "invalid-time", "from", "outside of the years 1 to 9999"),
        ({"from": "9999999d"}, "invalid-time", "from", "outside of the years 1 to 9999"),
        ({"from": "99999999999999d"}, "invalid-time", "from", "from: "),
        ({"from": "1h", "to": "2h"}, "invalid-time", "from", "is not before to"),
        ({"to": "24"}, "invalid-time", "to", "to: '24' is not a time"),
        ({"order": "up"}, "invalid-value", "order", "expected 'newest' or 'oldest', got 'up'"),
        ({"limit": 1001}, "invalid-value", "limit", "expected at most 1000, got 1001"),
        ({"limit": "5"}, "invalid-value", "limit", "expected a whole number, got '5'"),
        ({"limit": True}, "invalid-value", "limit", "expected a whole number, got true"),
        ({"limit": None}, "invalid-value", "limit", "expected a whole number, got null"),
        ({"total": "yes"}, "invalid-value", "total", "expected true or false, got 'yes'"),
        ({"cursor": "1.x"}, "invalid-cursor", "cursor", "expected 'next' of an earlier page, got '1.x'"),
        ({"cursor": f"{2**63}.1"}, "invalid-cursor", "cursor", "expected 'next'"),
        ({"fields": "hostname"}, "invalid-value", "fields", "expected a list, got 'hostname'"),
        ({"fields": [""]}, "invalid-value", "fields.0", "at least 1 characters"),
        ({"fields": ["x"] * 201}, "invalid-value", "fields", "at most 200 entries, got a list of 201"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_search_is_said_with_its_place(asking, asked, code, field, words):
    error = asking.error(asked)
    assert (error["code"], error["field"]) == (code, field)
    assert words in error["message"]


def test_the_position_in_the_search_string_is_told(asking):
    assert asking.error({"query": "a:b AND ("})["position"] == 8
    assert asking.error(f"{SEARCH}?query=%28")["position"] == 0
    assert "position" not in asking.error({"limit": -1})


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"[1]", "invalid-json", "not an object"),
        (b"nonsense", "invalid-json", "the body is not JSON: "),
        (b'{"query": "\xff"}', "invalid-json", "the body is not JSON: "),
        (b"[" * 5_000, "invalid-json", "the body is not JSON: "),
        (b'{"x":' * 51 + b"1" + b"}" * 51, "too-deep", "nested more than 50 deep"),
        (b'{"limit": 1e400}', "invalid-json", "the body is not JSON: "),
    ],
)
def test_what_is_wrong_with_a_body_is_said(asking, body, code, words):
    error = asking.error(body)
    assert error["code"] == code
    assert words in error["message"]


def test_a_body_that_is_too_large_is_refused_before_it_is_unpacked(asking):
    status, answer = asking.post(b" " * (2**20 + 1))
    assert (status, answer["error"]["code"]) == (413, "too-large")
    packed = zlib.compress(b" " * 2**24)
    assert asking.request("POST", SEARCH, packed, HTTP_CONTENT_ENCODING="deflate")[0] == 413
    assert asking.request("POST", SEARCH, b"{}", HTTP_CONTENT_ENCODING="br")[0] == 415
    assert asking.post(b"")[0] == asking.post(b" " * (2**20 - 2) + b"{}")[0] == 200


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ("qery=x", "unknown-field", "unknown query parameter 'qery'; did you mean 'query'?"),
        ("query=x&query=y", "invalid-parameter", "query is given twice"),
        ("query=%ff", "invalid-parameter", "not UTF-8"),
        ("&".join(f"a{n}=1" for n in range(201)), "invalid-parameter", "more than 200"),
        ("limit=x", "invalid-value", "expected a whole number, got 'x'"),
        ("limit=-1", "invalid-value", "expected a whole number, got '-1'"),
        ("limit=9223372036854775808", "invalid-value", "expected a whole number"),
        ("total=1", "invalid-value", "expected true or false, got '1'"),
        ("aggregations={", "invalid-json", "aggregations is not JSON"),
        ("aggregations=[]", "invalid-value", "expected an object, got a list of 0"),
        ("from=2026-01-01T00:00:00+02:00", "invalid-time", "+ is written %2B"),
    ],
)
def test_what_is_wrong_with_parameters_is_said(asking, parameters, code, words):
    error = asking.error(f"{SEARCH}?{parameters}")
    assert error["code"] == code
    assert words in error["message"]


def test_a_body_takes_no_parameters_beside_it(asking):
    status, answer = asking.request("POST", f"{SEARCH}?limit=1", b"{}")
    assert (status, answer["error"]["code"]) == (400, "unknown-field")


class Counting(MemoryStore):
    """A store that notes the sizes of the pages it is asked for, and may give one up."""

    def __init__(self, cut=()):
        super().__init__()
        self.sizes, self.cut = [], cut

    def search(self, search):
        self.sizes.append(search.size)
        page = super().search(search)
        return Page(page.events[:1], None, complete=False) if len(self.sizes) in self.cut else page


def test_a_page_of_large_events_ends_early_and_the_next_goes_on(make_event, monkeypatch):
    monkeypatch.setattr(api_search, "MOST_BYTES", 250_000)
    store = Counting()
    store.write([recent(make_event, "x", details={"n": n, "text": "y" * 1_000}) for n in range(600)])
    asking = Asking(store)
    found, cursor = [], None
    for _ in range(3):
        _, answer = asking.post({"limit": 1000, "cursor": cursor})
        found += numbers(answer)
        cursor = answer["next"]
        assert len(answer["items"]) <= 250
    assert (sorted(found), cursor) == (list(range(600)), None)


def test_a_page_that_the_store_gave_up_is_not_said_to_be_complete(make_event):
    store = Counting(cut={2})
    store.write([recent(make_event, "x", details={"n": n}) for n in range(600)])
    _, answer = Asking(store).post({"limit": 1000})
    assert (answer["complete"], len(answer["items"]), answer["next"]) == (False, 251, None)


def test_what_no_time_is_left_for_is_given_up_whole(asking, make_event):
    store = MemoryStore()
    store.time_limit_s = 0
    status, answer = Asking(store).post({"total": True})
    assert (status, answer["error"]["code"]) == (504, "query-timeout")
    assert Asking(store).post({"aggregations": {"x": {"cardinality": {"field": "a"}}}})[0] == 504
    assert Asking(store).post({})[0] == 200


def test_text_of_senders_stays_text(make_event, make_store):
    text = '</script><b>\u2028\U0001f600\\"'
    asking = Asking(make_store([recent(make_event, "x", details={"text": text})]))
    assert asking.get(SEARCH)[1]["items"][0]["details"]["text"] == text
    assert asking.error({"</script>": 1})["field"] == "</script>"
