"""CEF and LEEF lines, by themselves and behind a syslog header."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import InvalidItemError
from mozdef_core.normalise.cef import decode

CEF = "CEF:0|Maker|Fence|1.2|100|door opened|8|"


def details(line):
    return decode(line.encode())["details"]


def test_a_cef_line_gives_its_header_and_its_extension():
    event = decode((CEF + "src=192.0.2.7 spt=4711 suser=ines msg=the door was opened act=allowed").encode())
    assert event["summary"] == "the door was opened"
    assert (event["category"], event["source"], event["severity"]) == ("cef", "Fence", "ERROR")
    assert event["details"] == {
        "devicevendor": "Maker",
        "deviceproduct": "Fence",
        "deviceversion": "1.2",
        "signatureid": "100",
        "name": "door opened",
        "sourceipaddress": "192.0.2.7",
        "sourceport": "4711",
        "username": "ines",
        "msg": "the door was opened",
        "act": "allowed",
    }


def test_bars_are_escaped_in_the_header_and_equals_signs_in_the_extension():
    event = decode(rb"CEF:0|Ma\|ker|Fe\\nce|1|1|a\|b|3|msg=x\=1 y=one\\two z=three\nfour")
    assert (event["details"]["devicevendor"], event["source"]) == ("Ma|ker", "Fe\\nce")
    assert event["summary"] == "x=1"
    assert event["details"]["y"] == "one\\two"
    assert event["details"]["z"] == "three\nfour"


def test_a_value_keeps_its_blanks_up_to_the_next_key():
    found = details(CEF + "filePath=/srv/two words/x  act=let in")
    assert (found["filepath"], found["act"]) == ("/srv/two words/x", "let in")


def test_a_labelled_member_has_the_name_that_the_device_gives_it():
    found = details(CEF + "cs1=blue cs1Label=Door Colour cs2=x cs2Label=name")
    assert found["door_colour"] == "blue"
    assert (found["name"], found["cs2"]) == ("door opened", "x")  # a label takes no other member's place


def test_a_member_that_occurs_twice_keeps_both_values():
    assert details(CEF + "act=one act=two")["act"] == ["one", "two"]


def test_text_before_the_first_member_is_kept():
    assert details(CEF + "something else act=x")["extension"] == "something else"


def test_the_receipt_time_goes_before_the_start():
    assert decode((CEF + "start=1735689500000 rt=1735689599123").encode())["timestamp"] == "1735689599123"


@pytest.mark.parametrize(
    ("sent", "level"),
    [
        ("0", "NOTICE"),
        ("3", "NOTICE"),
        ("4", "WARNING"),
        ("6", "WARNING"),
        ("7", "ERROR"),
        ("8", "ERROR"),
        ("9", "CRITICAL"),
        ("10", "CRITICAL"),
        ("11", None),
        ("Very-High", "CRITICAL"),
        ("Unknown", "INFO"),
        ("Low", "NOTICE"),
        ("", None),
    ],
)
def test_the_severity_of_the_header(sent, level):
    assert decode(f"CEF:0|a|b|c|d|e|{sent}|x=1".encode()).get("severity") == level


def test_a_syslog_header_supplies_time_host_and_priority():
    event = decode(b"<134>Nov 24 09:15:02 fw1.lab.example CEF:0|a|b|c|d|e||act=x")
    assert (event["timestamp"], event["hostname"], event["priority"]) == (
        "Nov 24 09:15:02",
        "fw1.lab.example",
        "134",
    )
    modern = decode(
        b"<134>1 2026-11-24T09:15:02.5Z fw1 fence 12 ID1 - CEF:0|a|b|c|d|e|5|act=x rt=1735689599123"
    )
    assert (modern["hostname"], modern["timestamp"]) == ("fw1", "1735689599123")
    assert (modern["severity"], modern["facility"]) == ("WARNING", 16)
    assert modern["details"]["syslogtime"] == "2026-11-24T09:15:02.5Z"
    assert modern["details"]["syslogheader"] == "fence 12 ID1 -"


def test_an_unknown_header_is_kept():
    assert details("hello there CEF:0|a|b|c|d|e|5|act=x")["syslogheader"] == "hello there"


def test_leef_has_tabs_or_a_delimiter_of_its_own():
    one = decode(b"LEEF:1.0|Maker|Fence|1|door|src=192.0.2.7\tsev=9\tusrName=ines\tnote=a=b")
    assert one["severity"] == "CRITICAL"
    assert (one["details"]["username"], one["details"]["note"]) == ("ines", "a=b")
    two = details("LEEF:2.0|Maker|Fence|1|door|^|src=192.0.2.7^devTime=1735689599123")
    assert two["sourceipaddress"] == "192.0.2.7"
    assert details("LEEF:2.0|Maker|Fence|1|door|0x09|a=1\tb=2")["b"] == "2"


def test_a_leef_part_without_a_key_belongs_to_the_value_before_it():
    assert details("LEEF:1.0|Maker|Fence|1|door|a=1\tmore\tb=2")["a"] == "1\tmore"


def test_json_passes_as_it_is():
    assert decode(b' {"a": 1}') == {"a": 1}


@pytest.mark.parametrize("raw", [b"", b"hello", b"CEF:0|a|b|c", b"LEEF:1.0|a", b"{", b"CEF:x|a|b|c|d|e|f|"])
def test_anything_else_is_refused_with_a_reason(raw):
    with pytest.raises(InvalidItemError) as caught:
        decode(raw)
    assert caught.value.code
    assert caught.value.reason


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"CEF:0|", b"CEF:0|a|b|c|d|e|5|", b"LEEF:2.0|a|b|c|d|^|"])
)
def test_no_line_does_anything_but_decode_or_be_refused(raw, start):
    with suppress(InvalidItemError):
        decode(start + raw)


TEXT = st.text(
    st.characters(exclude_characters="\r", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
)


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z]{5}[0-9]", fullmatch=True), TEXT), max_size=5, unique_by=lambda p: p[0]
    )
)
def test_escaped_values_come_out_as_they_went_in(pairs):
    def escape(text):
        return text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n")

    line = CEF + " ".join(f"{key}={escape(value)}" for key, value in pairs)
    found = details(line)
    for key, value in pairs:
        assert found[key].strip() == value.strip()
