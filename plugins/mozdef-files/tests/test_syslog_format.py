"""Lines as syslog servers write them to files: from the file to the event that a rule sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_files import FilesOptions, reader
from pydantic import ValidationError

from mozdef_core.normalise import EntranceSettings, Normaliser
from mozdef_core.ports import Item, Origin

RECEIVED_US = 1_795_000_000_000_000
"""2026-11-18T11:06:40 UTC."""
FAILED = "Failed password for root from 203.0.113.9 port 50122 ssh2"


def event_of(raw, form="syslog"):
    origin = Origin("files", "file", "files")
    item = Item("0" * 26, RECEIVED_US, origin, raw, fields={"category": "syslog"})
    return Normaliser("siem.test", 1).normalise(reader.make_reader(form)(raw), item, EntranceSettings())


@pytest.mark.parametrize(
    ("line", "timestamp"),
    [
        (f"Nov 18 11:00:00 web1 sshd[123]: {FAILED}", "2026-11-18T11:00:00"),
        (f"Dec 31 23:59:59 web1 sshd[123]: {FAILED}", "2025-12-31T23:59:59"),
        (f"2026-11-18T11:00:00.123456+01:00 web1 sshd[123]: {FAILED}", "2026-11-18T10:00:00.123456"),
        (f"<38>Nov 18 11:00:00 web1 sshd[123]: {FAILED}", "2026-11-18T11:00:00"),
        (f"1 2026-11-18T11:00:00Z web1 sshd 123 - - {FAILED}", "2026-11-18T11:00:00"),
        (f"Nov 18 11:00:00 web1 authpriv.info sshd[123]: {FAILED}", "2026-11-18T11:00:00"),
    ],
)
def test_a_line_of_auth_log_says_when_where_and_which_program(line, timestamp):
    pytest.importorskip("mozdef_syslog")
    event = event_of(line.encode())
    assert event.get("timestamp").startswith(timestamp)
    assert event.get("hostname") == "web1"
    assert event.program == event.get("details.program") == "sshd"
    assert event.get("processid") == "123"
    assert event.get("summary") == FAILED


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=200))
def test_whatever_a_line_says_its_text_is_kept(text):
    pytest.importorskip("mozdef_syslog")
    event = event_of(f"Nov 18 11:00:00 web1 app[1]: {text}".encode())
    assert event.get("summary") == text


def test_the_input_gives_syslog_lines_the_category_of_syslog(follow, write, intake):
    pytest.importorskip("mozdef_syslog")
    write("auth.log", f"Nov 18 11:00:00 web1 sshd[123]: {FAILED}\n".encode())
    follow(format="syslog")
    intake.until_just(f"Nov 18 11:00:00 web1 sshd[123]: {FAILED}".encode())
    assert intake.fields[0]["category"] == "syslog"


def test_without_the_reader_of_syslog_the_options_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"install mozdef-files\[syslog\]"):
        FilesOptions(paths=["a.log"], format="syslog", state_dir=tmp_path)


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ValidationError, match="'auto', 'json', 'syslog' or 'text'"):
        FilesOptions(paths=["a.log"], format="yaml", state_dir=tmp_path)


def test_a_byte_order_mark_and_broken_utf8_do_not_keep_json_from_being_read():
    assert dict(reader.make_reader("json")(b'\xef\xbb\xbf{"summary": "a"}')) == {"summary": "a"}
    assert dict(reader.make_reader("auto")(b'{"summary": "caf\xe9"}')) == {"summary": "caf\ufffd"}
