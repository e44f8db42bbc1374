"""What a message says, in the form of either RFC and in the odd forms of real senders."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_syslog import SyslogInput, SyslogOptions
from mozdef_syslog.message import parse_message

from mozdef_core import InvalidItemError

AUTH_WARNING = {"facility": 4, "severity": 4}


def fields(timestamp=None, hostname=None, program=None, processid=None, summary=None, **more):
    named = {
        "timestamp": timestamp,
        "hostname": hostname,
        "program": program,
        "processid": processid,
        "summary": summary,
    }
    return {name: value for name, value in named.items() if value is not None} | more


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('<36>1 2026-11-24T03:00:28.99+01:00 db4 sshd 71 ID1 [ex@32473 iut="3"][u@32473 user="b\\"o\\]b\\\\"] \ufeffno',
         fields("2026-11-24T03:00:28.99+01:00", "db4", "sshd", "71", "no",
                details={"msgid": "ID1", "sd": {"ex@32473": {"iut": "3"}, "u@32473": {"user": 'b"o]b\\'}}})),
        ("<36>1 2026-11-24T03:00:28Z db4 sshd 71 - - Failed password", fields(
            "2026-11-24T03:00:28Z", "db4", "sshd", "71", "Failed password")),
        ("<36>1 - - - - - - only text", fields(summary="only text")),
        ("<36>1 2026-11-24T03:00:28Z db4 app - - -", fields("2026-11-24T03:00:28Z", "db4", "app")),
        ("<36>1 - db4 app - - [empty@1] x", fields(None, "db4", "app", None, "x", details={"sd": {"empty@1": {}}})),
        ('<36>1 - db4 app - - [a n="1" n="2" n="3"][a m="4"] x', fields(
            None, "db4", "app", None, "x", details={"sd": {"a": {"n": ["1", "2", "3"], "m": "4"}}})),
        ('<36>1 - db4 app - - [a n="C:\\\\d\\x ]"] x', fields(
            None, "db4", "app", None, "x", details={"sd": {"a": {"n": "C:\\d\\x ]"}}})),
        ('<36>1 - db4 app - - [a n="never closed] x', fields(
            None, "db4", "app", None, '[a n="never closed] x')),
        ("<36>1 - db4 app - - -no blank", fields(None, "db4", "app", None, "-no blank")),
    ],
)  # fmt: skip
def test_a_message_of_rfc_5424_is_read(raw, expected):
    assert parse_message(raw.encode()) == AUTH_WARNING | expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 24 03:00:28 db4 sshd[71]: Failed password", fields(
            "Nov 24 03:00:28", "db4", "sshd", "71", "Failed password")),
        ("Nov  4 03:00:28 db4 kernel: [ 1.5] x: y", fields("Nov  4 03:00:28", "db4", "kernel", None, "[ 1.5] x: y")),
        ("Nov 24 03:00:28 db4 /usr/sbin/cron[9]: (root) CMD (ls)", fields(
            "Nov 24 03:00:28", "db4", "/usr/sbin/cron", "9", "(root) CMD (ls)")),
        ("Nov 24 03:00:28 db4 postfix/smtpd[9]: connect from a[10.0.0.1]", fields(
            "Nov 24 03:00:28", "db4", "postfix/smtpd", "9", "connect from a[10.0.0.1]")),
        ("Nov 24 03:00:28 db4 su(pam_unix)[9]: session opened", fields(
            "Nov 24 03:00:28", "db4", "su(pam_unix)", "9", "session opened")),
        ("Nov 24 03:00:28 su: pam_unix(su:auth): failure", fields(
            "Nov 24 03:00:28", None, "su", None, "pam_unix(su:auth): failure")),
        ("Nov 24 03:00:28 app[77]:no blank", fields("Nov 24 03:00:28", None, "app", "77", "no blank")),
        ("Nov 24 03:00:28 db4 app:no blank", fields("Nov 24 03:00:28", "db4", "app", None, "no blank")),
        ("Nov 24 03:00:28 db4 app[77] no colon", fields("Nov 24 03:00:28", "db4", "app", "77", "no colon")),
        ("Nov 24 03:00:28 db4 no program at all", fields("Nov 24 03:00:28", "db4", None, None, "no program at all")),
        ('Nov 24 03:00:28 {"a": "b: c"}', fields("Nov 24 03:00:28", None, None, None, '{"a": "b: c"}')),
        ("Nov 24 03:00:28 2001:db8::1 app: x", fields("Nov 24 03:00:28", "2001:db8::1", "app", None, "x")),
        ("app[77]: login failed", fields(None, None, "app", "77", "login failed")),
        ("login failed for bob", fields(None, None, None, None, "login failed for bob")),
        ("http://host/path is down", fields(None, None, None, None, "http://host/path is down")),
        ("2026-11-24T03:00:28.123456+01:00 db4 sshd[71]: x", fields(
            "2026-11-24T03:00:28.123456+01:00", "db4", "sshd", "71", "x")),
        ("2026-11-24 03:00:28 db4 app: x", fields("2026-11-24 03:00:28", "db4", "app", None, "x")),
        ("Nov 24 2026 03:00:28 db4 app: x", fields("Nov 24 2026 03:00:28", "db4", "app", None, "x")),
        ("2026 Nov 24 03:00:28 db4 app: x", fields("2026 Nov 24 03:00:28", "db4", "app", None, "x")),
        ("Nov 24 03:00:28 2026 db4 app: x", fields("Nov 24 03:00:28 2026", "db4", "app", None, "x")),
        ("Nov 24 03:00:28 db4 last message repeated 3 times", fields(
            "Nov 24 03:00:28", "db4", None, None, "last message repeated 3 times")),
        ("Nov 24 03:00:28 last message repeated 3 times", fields(
            "Nov 24 03:00:28", None, None, None, "last message repeated 3 times")),
        ("Nov 24 03:00:28 db4 sshd[71]: message repeated 2 times: [ Failed password for bob]", fields(
            "Nov 24 03:00:28", "db4", "sshd", "71", "message repeated 2 times: [ Failed password for bob]")),
        ("Nov 24 03:00:28 Message forwarded from aix1: sshd[71]: x", fields(
            "Nov 24 03:00:28", "aix1", "sshd", "71", "x")),
        ("1 1380664994.337961231 MX84 flows src=10.0.0.1", fields(
            "1380664994.337961231", "MX84", None, None, "flows src=10.0.0.1")),
        ("Nov 24 2026 03:00:28: %ASA-6-302013: Built", fields(
            "Nov 24 2026 03:00:28", None, "ASA", None, "%ASA-6-302013: Built", details={"msgid": "ASA-6-302013"})),
        ("Nov 24 2026 03:00:28 fw1 : %ASA-6-302013: Built", fields(
            "Nov 24 2026 03:00:28", "fw1", "ASA", None, "%ASA-6-302013: Built", details={"msgid": "ASA-6-302013"})),
        ("Nov 24 03:00:28 switch1: %LINK-3-UPDOWN: Interface down", fields(
            "Nov 24 03:00:28", "switch1", "LINK", None, "%LINK-3-UPDOWN: Interface down",
            details={"msgid": "LINK-3-UPDOWN"})),
        ("42: switch1: *Mar  1 18:46:11.123 UTC: %SYS-5-CONFIG_I: Configured", fields(
            "Mar  1 18:46:11.123 UTC", "switch1", "SYS", None, "%SYS-5-CONFIG_I: Configured",
            details={"msgid": "SYS-5-CONFIG_I"})),
        ("000042: .Mar  1 18:46:11.123: %SEC_LOGIN-SP-4-LOGIN_FAILED: x", fields(
            "Mar  1 18:46:11.123", None, "SEC_LOGIN-SP", None, "%SEC_LOGIN-SP-4-LOGIN_FAILED: x",
            details={"msgid": "SEC_LOGIN-SP-4-LOGIN_FAILED"})),
        ("42: %SYS-5-CONFIG_I: no time", fields(
            None, None, "SYS", None, "%SYS-5-CONFIG_I: no time", details={"msgid": "SYS-5-CONFIG_I"})),
    ],
)  # fmt: skip
def test_a_message_in_the_manner_of_rfc_3164_is_read(text, expected):
    assert parse_message(f"<36>{text}".encode()) == AUTH_WARNING | expected


def test_a_message_without_priority_has_neither_severity_nor_facility():
    assert parse_message(b"Nov 24 03:00:28 db4 sshd[71]: x") == fields(
        "Nov 24 03:00:28", "db4", "sshd", "71", "x"
    )
    assert parse_message(b"Warning: disk full") == fields(summary="Warning: disk full")


def test_a_mnemonic_names_the_severity_only_where_no_priority_does():
    line = b"Nov 24 03:00:28 switch1: %LINK-3-UPDOWN: down"
    assert parse_message(line)["severity"] == 3
    assert parse_message(b"<189>" + line)["severity"] == 5


def test_a_number_that_is_no_priority_is_text():
    assert parse_message(b"<192>app: x") == fields(summary="<192>app: x")
    assert parse_message(b"<191>app: x") == fields(None, None, "app", None, "x", facility=23, severity=7)


def test_a_byte_order_mark_and_blanks_around_a_message_are_removed():
    assert parse_message(b"\xef\xbb\xbf <13>app: x \r\n\x00") == fields(
        None, None, "app", None, "x", facility=1, severity=5
    )


def test_bytes_that_are_not_utf_8_are_replaced():
    assert parse_message(b"<13>app: caf\xe9")["summary"] == "caf\ufffd"


@pytest.mark.parametrize("raw", [b"", b" \r\n", b"\x00", b"<13>", b"<13> \n", b"\xef\xbb\xbf"])
def test_an_empty_message_is_refused(raw):
    with pytest.raises(InvalidItemError) as caught:
        parse_message(raw)
    assert caught.value.code == "empty-message"


def test_json_in_a_message_stays_text_unless_it_is_asked_for():
    raw = b'<36>Nov 24 03:00:28 db4 app: @cee: {"severity": "DEBUG"}'
    assert parse_message(raw)["summary"] == '@cee: {"severity": "DEBUG"}'
    asked = SyslogInput(SyslogOptions(json_in_message=True)).decode(raw)
    assert asked["severity"] == "DEBUG"
    assert SyslogInput(SyslogOptions()).decode(raw)["summary"] == '@cee: {"severity": "DEBUG"}'


def test_the_names_of_an_object_in_a_message_win_over_the_header(make_event):
    raw = (b'<36>1 2026-11-24T03:00:28Z relay app 7 ID1 - {"Host": "db4", "@timestamp": "2026-11-24T03:00:01Z", '
           b'"message": "inner", "details": {"username": "ines"}}')  # fmt: skip
    event = make_event(parse_message(raw, json_in_message=True), kind="syslog")
    assert event.text("hostname") == "db4"
    assert event.text("utctimestamp") == "2026-11-24T03:00:01.000000+00:00"
    assert event.text("summary") == "inner"
    assert event.text("processname") == "app"
    assert event.text("processid") == "7"
    assert event.text("severity") == "WARNING"
    assert event.text("facility") == "auth"
    assert event.get("details.username") == "ines"
    assert event.get("details.msgid") == "ID1"


@pytest.mark.parametrize("text", ["{broken", "[1]", '"x"', "{} trailing"])
def test_what_is_not_an_object_stays_text(text):
    assert parse_message(f"<13>{text}".encode(), json_in_message=True)["summary"] == text


def test_what_was_read_is_what_the_normaliser_takes(make_event):
    raw = b'<86>1 2026-11-24T03:00:28Z db4 /usr/sbin/sshd 71 ID1 [ex@1 iut="3"] Accepted'
    event = make_event(parse_message(raw), kind="syslog", entrance="syslog")
    assert event.text("severity") == "INFO"
    assert event.text("facility") == "authpriv"
    assert event.text("source") == "authpriv"
    assert event.text("summary") == "Accepted"
    assert event.get("details.program") == "sshd"
    assert event.get("details.sd.ex@1.iut") == "3"
    assert event.text("utctimestamp") == "2026-11-24T03:00:28.000000+00:00"


@pytest.mark.parametrize("time", [
    "Nov 24 03:00:28", "Nov  4 03:00:28.123", "2026 Nov 24 03:00:28", "Nov 24 2026 03:00:28", "Nov 24 03:00:28 2026",
    "2026-11-24T03:00:28,5Z", "2026-11-24 03:00:28", "2026-11-24T03:00:28+0100",
])  # fmt: skip
def test_every_time_that_is_taken_from_a_message_is_one_that_the_normaliser_reads(time, make_event):
    fields = parse_message(f"<13>{time} db4 app: x".encode())
    assert fields["timestamp"] == time
    event = make_event(fields, received="2026-11-24T12:00:00+00:00")
    assert not {note["code"] for note in event.get("mozdef.problems")} & {
        "timestamp-missing",
        "timestamp-unreadable",
    }


pieces = st.sampled_from([
    "<13>", "<36>", "1 ", "- ", "2026-11-24T03:00:28Z ", "Nov 24 03:00:28 ", "db4 ", "app[77]: ", "app: ",
    "[a b=\"c\"]",
    "[", "]", '"', "\\", "%ASA-6-302013: ", "42: ", "{", "}", "@cee: ", "\ufeff", "\n", " ", "x",
])  # fmt: skip


@given(
    st.one_of(
        st.binary(max_size=300), st.lists(pieces, max_size=25).map(lambda parts: "".join(parts).encode())
    ),
    st.booleans(),
)
def test_no_bytes_make_it_fail(raw, json_in_message):
    try:
        read = parse_message(raw, json_in_message=json_in_message)
    except InvalidItemError:
        read = None
    text = raw.decode("utf-8", "replace").strip("\ufeff \t\r\n\0")
    priority = re.match(r"<(\d{1,3})>\s*", text)
    empty = not text or (priority is not None and int(priority[1]) <= 191 and priority.end() == len(text))
    assert empty == (read is None)


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
        min_size=1,
    ),
)
def test_structured_data_comes_out_as_it_went_in(text, parameters):
    escaped = {
        n: v.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]") for n, v in parameters.items()
    }
    data = "".join(f' {name}="{value}"' for name, value in escaped.items())
    read = parse_message(f"<13>1 - db4 app - - [ex@1{data}] {text}".encode())
    assert read["details"]["sd"] == {"ex@1": parameters}
    assert read["summary"] == text


@pytest.mark.timeout(20)
def test_a_long_message_made_to_be_slow_is_not():
    for piece in (b"a:", b"1: ", b'[a b="c" ', b'[a b="\\', b"%A-", b"a[", b"Nov 24 03:00:28 "):
        for head in (b"<13>", b"<13>1 - h a p m ", b"<13>Nov 24 03:00:28 "):
            parse_message(head + piece * (200_000 // len(piece)))
