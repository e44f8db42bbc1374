from __future__ import annotations

import json

import pytest

from mozdef_core.services.web.bulk import bulk_answer, bulk_error, split_bulk
from mozdef_core.services.web.policy import Limits, RefusalError

LIMITS = Limits(items=10)


def lines(*documents):
    return b"".join(json.dumps(document).encode() + b"\n\n" for document in documents)


def test_action_and_document_lines_are_paired_and_blank_lines_passed_over():
    body = lines({"index": {"_index": "a", "_id": "k"}}, {"n": 1}, {"create": {}}, {"n": 2})
    items, actions = split_bulk(body, LIMITS)
    assert actions
    assert [(item.raw, item.action[0], item.sender_id) for item in items] == [
        (b'{"n": 1}', "index", "k"), (b'{"n": 2}', "create", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        {"index": "main"},
        {"index": {"a": 1}, "summary": "x"},
        {"delete": None},
        {"create": ["x"]},
        {"INDEX": {}},
    ],
)
def test_an_event_with_a_field_of_an_actions_name_is_an_event(document):
    items, actions = split_bulk(lines(document, {"n": 1}), LIMITS)
    assert not actions
    assert [json.loads(item.raw) for item in items] == [document, {"n": 1}]


def test_a_document_that_looks_like_an_action_is_a_document_where_one_is_due():
    items, _ = split_bulk(lines({"index": {}}, {"create": {"a": 1}}, {"index": {}}, {"n": 1}), LIMITS)
    assert [item.raw for item in items] == [b'{"create": {"a": 1}}', b'{"n": 1}']


def test_update_and_delete_are_refused_each_for_itself():
    body = lines(
        {"delete": {"_id": "x"}}, {"update": {"_id": "y"}}, {"doc": {"a": 1}}, {"index": {}}, {"n": 1}
    )
    items, _ = split_bulk(body, LIMITS)
    assert [item.refusal and item.refusal[0] for item in items] == [
        "unsupported-action",
        "unsupported-action",
        None,
    ]
    answer = json.loads(bulk_answer(items, [None, None, "id"], [False] * 3, None))
    assert [next(iter(item)) for item in answer["items"]] == ["delete", "update", "index"]
    assert [next(iter(item.values()))["status"] for item in answer["items"]] == [400, 400, 201]


def test_a_broken_document_keeps_its_place_and_its_neighbours():
    items, _ = split_bulk(b'{"index":{}}\n{"a":\n{"index":{}}\n{"b":1}\n{"index":{}}', LIMITS)
    assert [item.refusal and item.refusal[0] for item in items] == ["invalid-json", None, "missing-document"]


@pytest.mark.parametrize("body", [b'{\n "a": 1\n}', b'[{"a": 1}]', b'{"a": 1}', b'{"a": 1}{"a": 1}'])
def test_what_is_no_bulk_request_is_taken_as_events(body):
    items, actions = split_bulk(body, LIMITS)
    assert not actions
    assert all(json.loads(item.raw) == {"a": 1} for item in items)


def test_the_actions_id_goes_before_the_events_own():
    items, _ = split_bulk(
        lines({"index": {"_id": 7}}, {"event_id": "own"}, {"index": {}}, {"event_id": "own"}), LIMITS
    )
    assert [item.sender_id for item in items] == ["7", "own"]


def test_there_is_a_limit_of_items_and_an_empty_body_is_refused():
    with pytest.raises(RefusalError) as many:
        split_bulk(lines(*[{"index": {}}, {"n": 1}] * 11), LIMITS)
    assert many.value.status == 413
    with pytest.raises(RefusalError) as empty:
        split_bulk(b"\n", LIMITS)
    assert empty.value.code == "empty-body"


def test_the_answer_says_of_each_item_what_became_of_it():
    items, _ = split_bulk(
        lines({"index": {"_index": "a", "_id": "k"}}, {"n": 1}, {"create": {}}, {"n": 2})
        + b'{"index":{}}\n5',
        LIMITS,
    )
    answer = json.loads(bulk_answer(items, ["e1", "e2", None], [True, False, False], "from-address"))
    assert answer["errors"] is True
    first, second, third = (next(iter(item.values())) for item in answer["items"])
    assert (first["_index"], first["_id"], first["result"], first["status"]) == ("a", "k", "updated", 200)
    assert (second["_index"], second["_id"], second["result"], second["status"]) == (
        "from-address",
        "e2",
        "created",
        201,
    )
    assert third["status"] == 400
    assert third["error"] == {
        "type": "not-an-object",
        "reason": "the item is a number, an object is required",
    }


def test_an_error_has_the_form_that_elasticsearchs_clients_show():
    error = json.loads(bulk_error(413, "too-large", "too much"))
    assert error["status"] == 413
    assert error["error"]["type"] == error["error"]["root_cause"][0]["type"] == "too-large"
