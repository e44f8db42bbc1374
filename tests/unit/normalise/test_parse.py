"""Reading JSON: what the fast parser would lose, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import InvalidItemError
from mozdef_core.normalise import depth_of, parse_json
from mozdef_core.normalise.parse import Repeated, Replaced, count_keys

TEXT = st.one_of(
    st.text(max_size=10), st.sampled_from(['":', '\\":', "\\", '"', ":", '{"a":1}', "\n:", " :", "0" * 25])
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4))
)


class Pairs(list):
    """The members of an object as they are written, doubles included."""


PAIRS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=4).map(Pairs)
    ),
)


def write(value, space):
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(k)}{space}:{write(v, space)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write(one, space) for one in value) + "]"
    return json.dumps(value)


def gather(value):
    """Return what is expected of a written value, the values of a repeated key in a list of their own kind."""
    if isinstance(value, Pairs):
        found = {}
        for key, member in value:
            found.setdefault(key, []).append(gather(member))
        return {key: ("all", members) if len(members) > 1 else members[0] for key, members in found.items()}
    return [gather(one) for one in value] if isinstance(value, list) else value


def mark(value):
    if isinstance(value, Repeated):
        return ("all", [mark(one) for one in value])
    if isinstance(value, dict):
        return {key: mark(one) for key, one in value.items()}
    return [mark(one) for one in value] if isinstance(value, list) else value


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_it_reads_what_json_writes(value, indent, ascii_only):
    raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert repr(parse_json(raw)) == repr(value)


@given(PAIRS, st.sampled_from(["", " ", "\n", "\t\r"]))
def test_every_value_of_every_repeated_key_is_there(value, space):
    assert repr(mark(parse_json(write(value, space).encode()))) == repr(gather(value))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", "9223372036854775808"),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", "-9223372036854775809"),
        (b'{"a": [1, 18446744073709551615]}', {"a": [1, "18446744073709551615"]}),
        (b"1" * 5_000, "1" * 5_000),
        (b"0.12345678901234567890", 0.12345678901234568),
        (b"1e400", "1e400"),
        (b'"1234567890123456789012"', "1234567890123456789012"),
    ],
)
def test_an_integer_beyond_64_bits_is_text(raw, value):
    assert repr(parse_json(raw)) == repr(value)


def test_bytes_that_are_not_utf_8_are_replaced():
    found = parse_json(b'{"a": "caf\xe9", "b": {}}')
    assert type(found) is Replaced
    assert found == {"a": "caf\ufffd", "b": {}}
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}  # a byte order mark is no harm


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty-body"),
        (b" \r\n", "empty-body"),
        (b"{", "invalid-json"),
        (b"{'a': 1}", "invalid-json"),
        (b'{"a": 1}}', "invalid-json"),
        (b"NaN", "invalid-number"),
        (b'{"a": [Infinity]}', "invalid-number"),
        (b"-Infinity", "invalid-number"),
        (b"[" * 101 + b"]" * 101, "too-deep"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "too-deep"),
        (b"[" * 10_000 + b"]" * 10_000, "too-deep"),
        (b"[" * 100_000, "too-deep"),
    ],
)
def test_what_cannot_be_understood_is_refused(raw, code):
    with pytest.raises(InvalidItemError) as caught:
        parse_json(raw)
    assert caught.value.code == code
    assert caught.value.reason


def test_the_place_of_a_mistake_is_named():
    with pytest.raises(InvalidItemError, match="line 2, column 6"):
        parse_json(b'{\n"a": ]}')


def test_a_hundred_levels_are_accepted():
    raw = b"[" * 100 + b"]" * 100
    assert depth_of(parse_json(raw)) == 100
    assert depth_of(parse_json(b"[" + b"{}," * 200 + b"1]")) == 2  # many brackets, but not deep
    assert parse_json(b'"' + b"[" * 200 + b'"') == "[" * 200


@given(VALUES)
def test_keys_are_counted_at_every_depth(value):
    def count(node):
        if isinstance(node, dict):
            return len(node) + sum(map(count, node.values()))
        return sum(map(count, node)) if isinstance(node, list) else 0

    assert count_keys(value) == count(value)


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_parse_or_be_refused(raw):
    with suppress(InvalidItemError):
        parse_json(raw)
