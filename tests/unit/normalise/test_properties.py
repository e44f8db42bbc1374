"""The four properties that hold for every item (event-format.md section 5): nothing raises and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mozdef_core.errors import InvalidItemError
from mozdef_core.event import Event, isoformat
from mozdef_core.normalise import EntranceSettings, Normaliser, Recogniser, limit, parse_json
from mozdef_core.normalise.aliases import DETAILS, LIFTED, LIFTED_DETAILS, RESERVED, SCALARS
from mozdef_core.normalise.details import short_program
from mozdef_core.normalise.draft import is_absent
from mozdef_core.normalise.keys import clean_key
from mozdef_core.normalise.severity import FACILITIES, read_facility, read_severity, whole
from mozdef_core.normalise.summary import one_line
from mozdef_core.normalise.tags import as_text
from mozdef_core.normalise.times import TimeReader
from mozdef_core.ports import Item, Origin

RECEIVED_US = 1_795_514_400_000_000
ORIGINS = st.sampled_from(
    [
        Origin(name="http", kind="http", endpoint="events"),
        Origin(name="syslog", kind="syslog", peer="192.0.2.1"),
        Origin(name="custom", kind="http", endpoint="inventory"),
    ]
)
RECOGNISERS = (Recogniser(members=("_path", "ts"), category="bro", source_from="_path"),)
PLAIN = EntranceSettings()

NAMES = sorted(
    {name for names in SCALARS.values() for name in names}
    | {name for names in DETAILS.values() for name in names}
    | {path for table in (LIFTED, LIFTED_DETAILS) for paths in table.values() for path in paths}
    | {
        path.rpartition(".")[2]
        for table in (LIFTED, LIFTED_DETAILS)
        for paths in table.values()
        for path in paths
    }
    | set(RESERVED)
    | {
        "tags",
        "details",
        "fields",
        "details.x",
        "fields.x",
        "a_int",
        "b_float",
        "process",
        "user",
        "event",
        "url",
    }
    | {
        "success",
        "error",
        "sourceport",
        "program",
        "ts",
        "_x",
        "domain",
        "sourcemoduletype",
        "ipaddress",
        "v",
        "x",
    }
)
KEYS = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(NAMES).map(str.title),
    st.sampled_from(NAMES).map("@{}".format),
    st.text(max_size=6),
)
WORDS = [
    *(
        "-",
        "",
        " ",
        "warn",
        "7",
        "86",
        "2026-03-29T03:59:58.2+02:00",
        "Nov 24 09:15:02",
        "1735689599.5",
        "[81]",
    ),
    *(
        "sshd[5]:",
        "/usr/bin/x[1]",
        "{}",
        '{"a": "b"}',
        "[1]",
        "yes",
        "failure",
        "nsm",
        "192.0.2.7",
        "a,b",
        "\x00a\n",
    ),
]
SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    SCALAR,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=10,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=8)
EVERY = settings(max_examples=500, deadline=None)


def normalise(decoded, origin, entrance=PLAIN):
    item = Item("0" * 26, RECEIVED_US, origin, b"{}")
    return Normaliser("siem1", 1, RECOGNISERS).normalise(decoded, item, entrance)


def codes(event):
    return {note["code"] for note in event.body["mozdef"]["problems"]}


@EVERY
@given(OBJECTS, ORIGINS, st.booleans())
def test_no_object_makes_it_fail(decoded, origin, trusted):
    event = normalise(decoded, origin, EntranceSettings(trusted_relay=trusted, tags=["t"]))
    assert "normaliser-error" not in codes(event)
    assert Event.from_bytes(event.to_bytes()) == event
    limited = limit(event)
    assert Event.from_bytes(limited.to_bytes()) == limited


@EVERY
@given(VALUES, ORIGINS)
def test_no_json_value_at_all_makes_it_fail(decoded, origin):
    event = normalise(decoded, origin)
    assert "normaliser-error" not in codes(event)
    for name in (
        *("category", "hostname", "processid", "processname", "source", "summary", "type", "severity"),
        *("timestamp", "utctimestamp", "receivedtimestamp", "mozdefhostname"),
    ):
        assert isinstance(event.body[name], str), name
        assert event.body[name], name
    assert isinstance(event.body["details"], dict)
    assert all(isinstance(tag, str) for tag in event.body["tags"])
    assert event.detection_us


def of_the_sender(event):
    return {name: value for name, value in event.to_dict().items() if name not in RESERVED and name != "type"}


@EVERY
@given(OBJECTS, ORIGINS)
@example({"pid": "[[1]]"}, Origin(name="http", kind="http"))
@example({"processname": "a[1][2]::"}, Origin(name="http", kind="http"))
@example(
    {"tags": [str(number) for number in range(200)], "time": "2030-01-01T00:00:00Z"},
    Origin(name="h", kind="http"),
)
@example({"summary": "\x85-"}, Origin(name="http", kind="http"))
def test_normalising_the_fields_of_a_normalised_event_again_changes_nothing(decoded, origin):
    sent = of_the_sender(normalise(decoded, origin))
    again = Origin(name="http", kind="http")
    assert of_the_sender(normalise(sent, again)) == sent


def leaves(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value)
    else:
        yield node


def typed(value):
    return (type(value), value)


def forms(value):
    """Yield every form that sections 5.1 to 5.9 give a scalar."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        value = str(value)
    text = as_text(value).replace("\x00", "\ufffd")
    yield value
    yield from (text, one_line(text), text.strip("[] \t\r\n"), text.strip()[:256])
    for name in ("severity", "level", "priority", "severityvalue"):
        yield read_severity(name, value)
        yield read_severity(name, value, bunyan=True)
    number = whole(value)
    if number is not None and 8 <= number <= 191:
        yield FACILITIES[number // 8]
    yield read_facility(value)
    instant = TimeReader().read(value, RECEIVED_US)
    if instant is not None:
        yield isoformat(instant.us)
    yield short_program(text)
    yield text.partition("[")[0].rstrip(":")
    for convert in (int, float):
        try:
            yield convert(value)
        except (ValueError, OverflowError):
            continue
    word = text.strip().lower()
    if word in ("true", "yes", "1", "success", "false", "no", "0", "failure"):
        yield from (True, False)


def is_found(value, found):
    if any(typed(form) in found for form in forms(value) if form is not None):
        return True
    if isinstance(value, str):
        pieces = [piece.strip() for piece in value.replace("\x00", "\ufffd").split(",")]
        if all(typed(piece) in found for piece in pieces if piece):
            return True
        try:
            inner = parse_json(value.encode())
        except InvalidItemError:
            return False
        return isinstance(inner, dict) and all(
            is_found(one, found) for one in leaves(inner) if not is_absent(one)
        )
    return False


@EVERY
@given(OBJECTS, ORIGINS)
def test_every_scalar_that_went_in_is_found(decoded, origin):
    event = normalise(decoded, origin)
    found = {typed(one) for one in leaves(of_the_sender(event))} | {typed(event.body["type"])}
    for tag in event.body[
        "tags"
    ]:  # members of an object are key=value, and the key may hold such a sign as well
        parts = tag.split("=")
        found |= {typed("=".join(parts[start:])) for start in range(1, len(parts))}
    if "tags-cut" in codes(event):  # a problem says so
        decoded = {key: value for key, value in decoded.items() if clean_key(key) != "tags"}
    for value in leaves(decoded):
        if not is_absent(value):
            assert is_found(value, found), value


@pytest.mark.parametrize("lost", ["hostname", "host", "details.x", "tags", "time", "level"])
def test_the_property_above_would_notice_a_loss(lost):
    found = {typed(one) for one in leaves({"a": "b"})}
    assert not is_found({"tags": "x,y", "time": 1_795_514_000, "level": "warn"}.get(lost, "value"), found)
