from __future__ import annotations

import json
import time
import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.services.web.policy import Limits, RefusalError
from mozdef_core.services.web.split import read_item, split, split_cef

LIMITS = Limits()
SMALL = Limits(body_bytes=10_000, item_bytes=100, items=10)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=4)


def codes(items):
    return [None if item.refusal is None else item.refusal[0] for item in items]


@given(st.lists(objects, min_size=1, max_size=6), st.data())
def test_each_form_of_a_body_gives_the_bytes_that_were_sent(documents, data):
    styles = [
        lambda value: json.dumps(value).encode(),
        lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
        lambda value: json.dumps(value, indent=2).encode(),
    ]
    written = [data.draw(st.sampled_from(styles))(document) for document in documents]
    bodies = {
        "array": b"[" + b",".join(written) + b"]",
        "array over lines": b" [\n" + b"\n,".join(written) + b"\n]\n",
        "a value a line": b"\n".join(written),
        "blank lines between": b"\r\n\n".join(written) + b"\n\n",
        "concatenated": b"".join(written),
        "with a byte order mark": b"\xef\xbb\xbf" + b"\n".join(written),
    }
    for form, body in bodies.items():
        assert [item.raw for item in split(body, LIMITS)] == written, form
        assert codes(split(body, LIMITS)) == [None] * len(written), form


@given(st.binary(max_size=60))
def test_no_body_breaks_it(body):
    try:
        items = split(body, SMALL)
    except RefusalError as error:
        assert error.status in (400, 413)  # noqa: PT017  # either outcome is right; no other exception is
    else:
        assert len(items) <= SMALL.items
        assert items or b"".join(body.split()) == b"[]"


@given(st.lists(st.sampled_from(['{"a":1}', '{"a":', "[1,", "nonsense", '{"b":"x\\"y"}', "5"]), max_size=9))
def test_a_broken_line_never_takes_a_good_object_after_it_along(lines):
    text = "\n".join(lines)
    if not text.strip():
        return
    try:
        items = split(text.encode(), LIMITS)
    except RefusalError:
        items = []
    good = [item.raw.decode() for item in items if item.refusal is None]
    wanted = [line for line in lines if line in ('{"a":1}', '{"b":"x\\"y"}')]
    # An opened bracket may lend itself to the next value, which is then part of an item that is refused or kept.
    if not any(line in ('{"a":', "[1,") for line in lines) and len(lines) > 1:
        assert good == wanted


def test_a_truncated_line_costs_only_itself():
    items = split(b'{"a":1}\n{"b": 2, "c\n{"d":3}\n', LIMITS)
    assert [item.raw for item in items] == [b'{"a":1}', b'{"b": 2, "c', b'{"d":3}']
    assert codes(items) == [None, "invalid-json", None]
    assert items[1].refusal[1].startswith("line 3, column 3: ")  # the text that begins in line 2 ends there


def test_an_array_without_its_end_is_reported_and_what_it_holds_accepted():
    items = split(b'[{"a":1},\n{"b":2}', LIMITS)
    assert [item.raw for item in items] == [b'{"a":1}', b'{"b":2}', b""]
    assert items[-1].refusal == ("invalid-json", "the array has no end")
    with pytest.raises(RefusalError, match="the array has no end"):
        split(b"[", LIMITS)


@pytest.mark.parametrize("body", [b",", b"[,]", b" ,\n, "])
def test_commas_alone_are_no_json(body):
    with pytest.raises(RefusalError) as caught:
        split(body, LIMITS)
    assert caught.value.code == "invalid-json"


def test_an_empty_array_holds_nothing_and_is_no_mistake():
    assert split(b"[]", LIMITS) == []


def test_a_repeated_key_is_kept_in_what_goes_on():
    body = b'[{"a":1,"a":2},{"n":123456789012345678901234567890}]'
    assert [item.raw for item in split(body, LIMITS)] == [
        b'{"a":1,"a":2}',
        b'{"n":123456789012345678901234567890}',
    ]


@pytest.mark.parametrize("form", [b"%s", b"[%s]", b'[{"x": 1}, %s]', b"%s%s"])
def test_a_number_of_five_thousand_digits_does_not_cost_the_event(form):
    document = b'{"a": ' + b"1" * 5000 + b"}"
    body = form.replace(b"%s", document)
    assert set(codes(split(body, LIMITS))) == {None}


@pytest.mark.parametrize("depth", [101, 300, 1_500, 10_000])
@pytest.mark.parametrize("form", [b"%s", b"[%s]", b'{"x":1}\n%s\n{"x":1}'])
def test_what_is_nested_too_deep_is_refused_alone(depth, form):
    body = form.replace(b"%s", b'{"a":' * depth + b"1" + b"}" * depth)
    items = split(body, LIMITS)
    assert "too-deep" in codes(items)
    if b"\n" in form:
        assert codes(items) == [None, "too-deep", None]


def test_a_hundred_levels_are_accepted():
    assert codes(split(b'{"a":' * 100 + b"1" + b"}" * 100, LIMITS)) == [None]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"5", "not-an-object"),
        (b'["x"]', "not-an-object"),
        (b"null", "not-an-object"),
        (b'{"a": NaN}', "invalid-number"),
        (b'{"a": -Infinity}', "invalid-number"),
    ],
)
def test_what_is_no_event_has_a_code(body, code):
    assert codes(split(body, LIMITS)) == [code]


@pytest.mark.parametrize(
    "raw", [b'{"a": "\xff\xfe"}', b'{"a": "\\ud800"}', b'{"a": "tab\there"}', b'{"a": 1e999999}'],
)  # fmt: skip
def test_a_bad_field_does_not_cost_the_event(raw):
    body = b"[" + raw + b"]"
    if b"1e9" in raw:  # no number that anything can hold: as NaN, it is refused with its own code
        assert codes(split(body, LIMITS)) in ([None], ["invalid-number"])
    else:
        assert [(item.raw, item.refusal) for item in split(body, LIMITS)] == [(raw, None)]


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"\xef\xbb\xbf"])
def test_an_empty_body_is_refused(body):
    with pytest.raises(RefusalError) as caught:
        split(body, LIMITS)
    assert (caught.value.status, caught.value.code) == (400, "empty-body")


def test_a_body_that_is_not_json_at_all_is_refused_with_line_and_column_and_kept():
    with pytest.raises(RefusalError, match=r"line 2, column 3: ") as caught:
        split(b'{"a":\n  x}', LIMITS)
    assert (caught.value.status, caught.value.code) == (400, "invalid-json")
    assert caught.value.raw == b'{"a":\n  x}'


@pytest.mark.parametrize("body", [b'{"a":1}\n' * 11, b"[" + b",".join([b'{"a":1}'] * 11) + b"]", b"{}" * 11])
def test_more_items_than_allowed_are_refused_together(body):
    with pytest.raises(RefusalError, match="more than 10 items") as caught:
        split(body, SMALL)
    assert (caught.value.status, caught.value.code) == (413, "too-large")


@pytest.mark.parametrize(
    "form", [b"%s", b"[%s]", b'[{"a": 1}, %s]', b'{"a":1}\n%s\n{"a":1}', b'{"a":1}%s{"a":1}']
)
def test_an_item_that_is_too_large_is_refused_and_cut(form):
    large = b'{"x": "' + b"y" * 200 + b'"}'
    items = split(form.replace(b"%s", large), SMALL)
    refused = [item for item in items if item.refusal is not None]
    assert codes(refused) == ["too-large"]
    assert len(refused[0].raw) == SMALL.item_bytes
    good = [item.raw for item in items if item.refusal is None]
    assert len(good) == form.count(b"{")
    assert all(raw in form for raw in good)


def test_what_stands_in_a_string_larger_than_the_window_never_becomes_an_item():
    body = b'{"a":1}{"x": "' + b'y {\\"fake\\":1}' * 100 + b'"}\n{"b":2}'
    items = split(body, SMALL)
    assert codes(items) == [None, "too-large", None]
    assert items[2].raw == b'{"b":2}'


@given(st.lists(objects, min_size=20, max_size=60))
def test_values_are_cut_exactly_where_the_window_moves(documents):
    limits = Limits(item_bytes=300, items=1_000)
    written = [json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") for document in documents]
    written = [raw for raw in written if len(raw) <= 300]
    if written:
        assert [item.raw for item in split(b"".join(written), limits)] == written


def test_lines_are_counted_where_the_window_moves():
    limits = Limits(item_bytes=40, items=1_000)
    body = b'{"a": "x"} {"a": "x"}\n' * 30 + b'{"b": nonsense}\n{"c": 1}'
    items = split(body, limits)
    refused = [item.refusal for item in items if item.refusal is not None]
    assert refused == [("invalid-json", "line 31, column 7: Expecting value")]
    assert items[-1].raw == b'{"c": 1}'


@pytest.mark.parametrize(
    "body",
    [b"1\n" * 400_000, b"{}" * 400_000, b"[" + b"1," * 400_000 + b"1]", b"[" + b"1 ," * 400_000 + b"1]"],
)
def test_too_many_items_are_found_out_without_making_them_all(body):
    tracemalloc.start()
    with pytest.raises(RefusalError, match="more than 10 items"):
        split(body, Limits(items=10))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 25_000_000  # made all, they would take a hundred million


def test_only_blanks_and_commas_may_stand_between_objects():
    assert codes(split(b'{"a":1} ,\t{"b":2}', LIMITS)) == [None, None]
    assert codes(split(b'{"a":1}\x1c{"b":2}', LIMITS)) == [None, "invalid-json"]


def test_broken_lines_take_time_in_proportion_to_their_number():
    def seconds(count):
        body = b'{"a":1}\n' + (b'{"a' + b"x" * 500 + b"\n") * count
        start_s = time.process_time()
        assert len(split(body, LIMITS)) == count + 1
        return time.process_time() - start_s

    few, many = min(seconds(500) for _ in range(3)), seconds(8_000)
    assert many < few * 16 * 4


@pytest.mark.parametrize("document", [{"a": 1, "e": "x"}, {"a": [1, 2, {"b": "é"}]}])
def test_an_array_in_the_form_of_orjson_and_one_in_another_are_the_same(document):
    compact = orjson.dumps([document] * 3)
    spaced = json.dumps([document] * 3).encode()
    assert [item.raw for item in split(compact, LIMITS)] == [orjson.dumps(document)] * 3
    assert [item.raw for item in split(spaced, LIMITS)] == [json.dumps(document).encode()] * 3


@pytest.mark.parametrize(
    ("event_id", "expected"),
    [('"x1"', "x1"), ("7", "7"), ("true", None), ("null", None), ('""', None), ("[1]", None), ("1.5", None)],
)
def test_the_sender_id_is_a_text_or_a_whole_number(event_id, expected):
    assert read_item(b'{"event_id": ' + event_id.encode() + b"}", LIMITS).sender_id == expected


def test_a_long_sender_id_is_kept_as_its_hash():
    first, second = (
        read_item(b'{"event_id": "' + b"x" * 600 + end + b'"}', LIMITS).sender_id for end in (b"a", b"b")
    )
    assert len(first) == 64
    assert first != second


def test_cef_lines_and_json_are_taken_side_by_side():
    items = split_cef(
        b'CEF:0|v|p|1|s|n|5|src=192.0.2.1\n\n{"a": 1}\r\nLEEF:1.0|v|p|1|e|x=y\nnonsense\n', LIMITS
    )
    assert codes(items) == [None, None, None, "invalid-cef"]
    assert [item.raw for item in split_cef(b'[{"a": 1},{"b": 2}]', LIMITS)] == [b'{"a": 1}', b'{"b": 2}']


def test_cef_lines_have_the_same_limits():
    line = b"CEF:0|v|p|1|s|n|5|x=1\n"
    with pytest.raises(RefusalError, match="more than 10 items"):
        split_cef(line * 11, SMALL)
    assert codes(split_cef(line[:-1] + b"1" * 100, SMALL)) == ["too-large"]
