"""``mozdef search``: finding and counting on the command line."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mozdef_core.config import load
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import QueryError
from mozdef_core.event import microseconds
from mozdef_core.query.model import All
from mozdef_core.services.cli import main
from mozdef_core.services.cli.search import read_moment
from mozdef_core.services.compose import open_store
from mozdef_core.services.counts import Wanted, count, print_csv
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event

HOUR_US = 3_600_000_000
SPAN = ("--since", "2026-03-29T00:00:00Z", "--until", "2026-03-30T00:00:00Z")
EVENTS: tuple[tuple[int, dict[str, Any]], ...] = (
    (0, {"user": "ines", "port": 443}),
    (0, {"user": "ines", "port": "443"}),
    (0, {"user": "ines", "port": 22}),
    (2, {"user": "=1+1", "port": 22}),
    (2, {"user": "a,b\n\x1b[31m"}),
    (2, {"port": [22, 80]}),
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data directory with a few events."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("mozdef.toml").write_text('[core]\ndata_dir = "data"\n')
    store = open_store(load(Path("mozdef.toml"), {}), "writer")
    store.write([stored_event(BASE_US + hour * HOUR_US, details=details) for hour, details in EVENTS])
    store.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["search", *arguments])


def answer(*arguments: str) -> Any:
    result = run(*arguments, *SPAN, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("site")
def test_groups_are_counted_the_largest_first() -> None:
    assert answer("*", "--by", "details.user") == {
        "rows": [
            {"details.user": "ines", "count": 3},
            {"details.user": "=1+1", "count": 1},
            {"details.user": "a,b\n\x1b[31m", "count": 1},
        ],
        "total_groups": 3,
    }
    assert answer("details.user:ines", "--by", "details.port")["rows"] == [
        {"details.port": "443", "count": 2},
        {"details.port": "22", "count": 1},
    ]


@pytest.mark.usefixtures("site")
def test_a_second_field_divides_the_groups_of_the_first() -> None:
    assert answer("*", "--by", "details.port", "--by", "details.user", "--limit", "1") == {
        "rows": [{"details.port": "22", "details.user": "=1+1", "count": 1}],
        "total_groups": 3,
    }


@pytest.mark.usefixtures("site")
def test_a_histogram_has_every_interval_and_the_clock_of_its_zone() -> None:
    rows = answer("*", "--histogram", "hour", "--time-zone", "Europe/Madrid")["rows"]
    assert len(rows) == 24
    assert [row for row in rows if row["count"]] == [
        {"time": "2026-03-29T14:00:00+02:00", "count": 3},
        {"time": "2026-03-29T16:00:00+02:00", "count": 3},
    ]
    assert rows[0] == {"time": "2026-03-29T01:00:00+01:00", "count": 0}


@pytest.mark.usefixtures("site")
def test_groups_within_a_histogram_are_those_of_each_interval() -> None:
    assert answer("*", "--by", "details.port", "--histogram", "1d", "--limit", "2") == {
        "rows": [
            {"time": "2026-03-29T00:00:00+00:00", "details.port": "22", "count": 3},
            {"time": "2026-03-29T00:00:00+00:00", "details.port": "443", "count": 2},
        ],
        "total_groups": None,
    }


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("form", ["json", "csv"])
def test_an_interval_without_events_has_no_groups_and_no_line(form: str) -> None:
    arguments = ("*", *SPAN, "--by", "details.port", "--histogram", "hour", "--limit", "1", "--format", form)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    if form == "json":
        assert [list(row.values())[1:] for row in json.loads(result.stdout)["rows"]] == [
            ["443", 2],
            ["22", 2],
        ]
    else:
        assert {len(row) for row in csv.reader(io.StringIO(result.stdout, newline=""))} == {3}


def test_an_interval_that_begins_before_all_years_is_an_error_not_a_crash() -> None:
    store = MemoryStore()
    first_us = microseconds(datetime(1, 1, 2, tzinfo=UTC))
    store.write([stored_event(first_us)])
    with pytest.raises(QueryError, match="beyond the years 1 to 9999"):
        count(store, Wanted([], 10, "7d", "UTC"), All(), (None, None))


@pytest.mark.parametrize("moment", ["99999999999d", "0001-01-01", "soon", "5 apples"])
def test_a_moment_that_cannot_be_reached_is_named(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with pytest.raises(
            ValueError, match=f"expected a span such as 15m, 24h, 7d or an ISO time, got '{moment}'"
        ):
            read_moment(moment)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.usefixtures("site")
def test_groups_without_a_sub_group_have_no_line() -> None:
    rows = answer("*", "--by", "details.user", "--by", "details.port")["rows"]
    assert [row["details.user"] for row in rows] == ["ines", "ines", "=1+1"]


@pytest.mark.usefixtures("site")
def test_csv_holds_the_values_as_they_are() -> None:
    result = run("*", *SPAN, "--by", "details.user", "--format", "csv")
    assert list(csv.reader(io.StringIO(result.stdout, newline=""))) == [
        ["details.user", "count"],
        ["ines", "3"],
        ["=1+1", "1"],
        ["a,b\n\x1b[31m", "1"],
    ]


@pytest.mark.usefixtures("site")
def test_csv_of_events_has_their_ids_and_whole_summaries() -> None:
    events = run("details.user:ines", *SPAN, "--format", "csv", "--size", "1")
    header, line = csv.reader(io.StringIO(events.stdout, newline=""))
    assert header == ["id", "time", "host", "program", "severity", "summary"]
    assert line[1:] == [
        "2026-03-29T12:00:00.250000+00:00",
        "db4.lab.example",
        "ledgerd",
        "INFO",
        "nothing to see",
    ]
    assert "more with --after" in events.stderr


def test_csv_on_a_terminal_cannot_repaint_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_csv(["user"], [["\x1b[31mred"]])
    assert capsys.readouterr().out == "user\r\n\N{REPLACEMENT CHARACTER}[31mred\r\n"


@pytest.mark.usefixtures("site")
def test_a_table_says_how_many_groups_it_leaves_out_and_paints_no_terminal() -> None:
    result = run("*", *SPAN, "--by", "details.user", "--limit", "2")
    assert result.stdout.split() == ["details.user", "count", "ines", "3", "=1+1", "1"]
    assert result.stderr == "2 of 3 groups; more with --limit\n"
    assert "\x1b" not in run("*", *SPAN, "--by", "details.user").stdout


@pytest.mark.usefixtures("site")
def test_json_stays_what_it_was() -> None:
    plain = answer("details.user:ines", "--size", "2")
    assert plain == json.loads(run("details.user:ines", *SPAN, "--size", "2", "--json").stdout)
    assert set(plain) == {"events", "after", "complete"}
    assert answer("*", "--count") == {"count": 6}
    assert run("*", *SPAN, "--count").stdout == "6\n"
    lines = run("*", *SPAN, "--raw").stdout.splitlines()
    assert len(lines) == 6
    assert json.loads(lines[0])["id"]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("details.user:(", "--by", "details.user"), "\n  details.user:(\n"),
        (("*", "--by", "summary"), "summary: a text makes no groups; search for its words"),
        (("*", "--by", "utctimestamp"), "a DateHistogram (--histogram) counts by event time"),
        (("*", "--by", "*"), "need the name of a field"),
        (("*", "--histogram", "soon"), "expected a length such as 30s"),
        (("*", "--histogram", "1s"), "more than 10,000 intervals"),
        (("*", "--histogram", "day", "--time-zone", "Mars/Base"), "got 'Mars/Base'"),
    ],
)
def test_what_cannot_be_counted_is_said(arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments, *SPAN)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert not result.stdout


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--limit", "3"),
        ("--by", "a", "--by", "a"),
        ("--by", "a", "--count"),
        ("--by", "a", "--raw"),
        ("--histogram", "1h", "--after", "1.1"),
        ("--json", "--format", "csv"),
        ("--count", "--raw"),
        ("--count", "--format", "csv"),
    ],
)
def test_options_that_exclude_one_another_are_refused(arguments: tuple[str, ...]) -> None:
    result = run("*", *SPAN, *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("arguments", [(), ("--count",), ("--histogram", "1h")])
def test_a_search_that_finds_nothing_says_which_field_no_event_has(arguments: tuple[str, ...]) -> None:
    result = run("details.usr:ines AND NOT details.port:22", *arguments, *SPAN)
    assert result.exit_code == 0
    assert result.stderr == "no event of this time has a field 'details.usr'; did you mean 'details.user'?\n"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("query", "arguments", "hint"),
    [
        ("user:ines", (), "did you mean 'details.user'?"),
        ("*", ("--by", "details.zzz"), "'mozdef search --raw' shows what events have"),
        ("details.user:nobody", (), ""),
        ("_exists_:details AND details.user:nobody", (), ""),
        ("nobody", (), ""),
        ("details.usr:ines OR details.user:ines", (), ""),
    ],
)
def test_a_hint_is_given_where_nothing_was_found_and_a_name_is_unknown(
    query: str, arguments: tuple[str, ...], hint: str
) -> None:
    result = run(query, *arguments, *SPAN)
    assert result.exit_code == 0
    assert hint in result.stderr
    assert bool(hint) == ("no event of this time" in result.stderr)


@pytest.mark.usefixtures("site")
def test_what_has_no_effect_in_a_search_string_is_said() -> None:
    result = run("details.user:ines~2", *SPAN)
    assert "ines" in result.stdout or "nothing to see" in result.stdout
    assert "'~' has no effect here and is ignored" in result.stderr
