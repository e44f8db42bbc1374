"""Rule files: what they mean, and that whatever they hold gives a rule or says with a line what is wrong."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mozdef_core.alert import Severity
from mozdef_core.detection import Detector
from mozdef_core.event import Event
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.rulefiles import RuleFile, read_content, read_rule, rule_paths
from mozdef_core.rulefiles.document import read_document
from mozdef_core.rules import AggregationRule, DeadmanRule, EventRule, NewValueRule, SequenceRule
from mozdef_core.testing_contracts.book_alerts import event_at

EVENT = {"kind": "event", "query": "details.door:north", "summary": "door {details.door}"}
AGGREGATION = {
    "kind": "aggregation",
    "query": "details.result:failed",
    "by": "details.user",
    "window": "2m",
    "threshold": 3,
    "summary": "{count} by {group} on {top:hostname}",
}
STEPS = [{"query": "details.result:failed", "at_least": 2}, {"filters": {"details.result": "accepted"}}]
SEQUENCE = {"kind": "sequence", "by": "details.user", "window": "5m", "steps": STEPS, "summary": "{group}"}
DEADMAN = {
    "kind": "deadman",
    "query": "tags:beat",
    "window": "20m",
    "summary": "{name}, {window}, {last_seen}",
}
NEW = {
    "kind": "new_value",
    "query": "tags:login",
    "by": "details.user",
    "value_of": "details.country",
    "span": "30d",
    "summary": "{entity} in {value}",
}
GENERIC = {
    "search_string": "details.result:failed",
    "filters": [["category", "login"], ["details.port", 22]],
    "aggregation_key": "details.user",
    "time_window": 5,
    "num_samples": 2,
    "num_aggregations": 3,
    "alert_category": "bruteforce",
    "alert_tags": ["a", "b"],
    "alert_severity": "warning",
    "alert_summary": "Guessing",
    "alert_url": "https://runbook.example/guessing",
    "additional_summary_fields": ["details.port", "details.missing"],
}
SILENT = {
    "description": "no beat",
    "search_query": "tags:beat",
    "time_window": "20",
    "time_window_type": "minutes",
}
SILENCES = {"severity": "ERROR", "alerts": [SILENT]}
WHOLE = [EVENT, AGGREGATION, SEQUENCE, DEADMAN, NEW, GENERIC, SILENCES]


def read(document: object, name: str = "rule.json") -> RuleFile:
    text = document if isinstance(document, str) else json.dumps(document)
    return read_content(Path("/rules") / name, text.encode())


def made(document: object, name: str = "rule.json", **options: Any) -> Any:
    file = read(document, name)
    assert file.problems == ()
    assert file.cls is not None
    return file.cls(file.cls.Options.model_validate(options))


def found(document: object, *events: Event) -> list[Any]:
    """Return the alerts of a rule over some events."""
    plugin = Plugin("rule", made(document))
    window = Detector(Host([plugin], Health())).window(events)
    return list(plugin.instance.alert_match(window))


@pytest.mark.parametrize(
    ("document", "kind", "base"),
    [
        (EVENT, "event", EventRule),
        (AGGREGATION, "aggregation", AggregationRule),
        (SEQUENCE, "sequence", SequenceRule),
        (DEADMAN, "deadman", DeadmanRule),
        (NEW, "new_value", NewValueRule),
        (GENERIC, "aggregation", AggregationRule),
        (SILENCES, "deadman", DeadmanRule),
    ],
)
def test_each_form_makes_a_rule_of_its_kind(document: dict[str, Any], kind: str, base: type[Any]) -> None:
    file = read(document)
    assert (file.kind, file.problems) == (kind, ())
    assert isinstance(made(document), base)


def test_an_event_rule_has_what_the_file_says_and_what_the_table_says() -> None:
    more = {
        "severity": "error",
        "tags": "doors,night",
        "url": "https://r.example",
        "notify": False,
        "mode": "staged",
    }
    document = {
        **EVENT,
        **more,
        "details": ["details.door", "tags"],
        "description": "Doors.",
        "group_for": "1h",
    }
    rule = made(document, severity="CRITICAL", mode="live")
    assert (rule.severity, rule.options.severity) == (Severity.ERROR, Severity.CRITICAL)
    assert (rule.options.mode, made(document).options.mode) == ("live", "staged")
    assert (rule.__doc__, rule.group_for, rule.tags) == ("Doors.", timedelta(hours=1), ("doors", "night"))
    (alert,) = found(document, event_at(1, door="north", username="jo"), event_at(2, door="south"))
    assert (alert.summary, alert.notify, alert.url) == ("door north", False, "https://r.example")
    assert alert.details == {"username": "jo", "door": "north"}


def test_filters_want_each_field_to_have_one_of_its_values() -> None:
    document = {**EVENT, "query": None, "filters": {"details.door": ["north", "south"], "details.open": True}}
    doors = [
        event_at(1, door="north", open=True),
        event_at(2, door="south", open=False),
        event_at(3, door="east"),
    ]
    assert [alert.summary for alert in found(document, *doors)] == ["door north"]


def test_filters_look_into_lists() -> None:
    rule = made({**EVENT, "query": None, "filters": {"details.door": ["@doors", "north"]}})
    assert "list='doors'" in repr(rule.looks_for) or "'doors'" in repr(rule.looks_for)


def test_an_aggregation_counts_and_says_who() -> None:
    failures = [event_at(second, user="joe", result="failed", username="joe") for second in range(3)]
    (alert,) = found({**AGGREGATION, "having": {"details.user": 1}, "samples": 2}, *failures)
    assert (alert.count, alert.group, len(alert.events)) == (3, ("details.user", "joe"), 2)
    assert alert.summary == "3 by joe on unknown"
    assert not found({**AGGREGATION, "having": {"details.user": 2}}, *failures)
    assert made(AGGREGATION, threshold=7, window="1h").threshold == 7


def test_a_sequence_wants_its_steps_in_order_unless_it_says_so() -> None:
    results = ["accepted", "failed", "failed"]
    events = [event_at(second, user="joe", result=result) for second, result in enumerate(results)]
    assert not found(SEQUENCE, *events)
    assert [alert.summary for alert in found({**SEQUENCE, "ordered": False}, *events)] == ["joe"]


def test_a_generic_rule_says_title_count_group_fields_and_hosts() -> None:
    events = []
    for second, host in enumerate(("b", "a", "b")):
        event = event_at(second, user="joe", result="failed", port=22)
        events.append(Event(event.id, {**event.body, "category": "login", "hostname": host}))
    file = read(GENERIC, "guessing.json")
    assert file.name == "generic:guessing"
    (alert,) = found(GENERIC, *events)
    assert alert.summary == "Guessing (3): joe (details.port=22) [b, a]"
    assert (alert.severity, alert.category, alert.tags) == (Severity.WARNING, "bruteforce", ("a", "b"))
    assert alert.url == "https://runbook.example/guessing"
    assert not found({**GENERIC, "exceptions": ["hostname:a"]}, *events)


def test_one_bad_entry_of_a_list_of_silences_stops_no_other() -> None:
    document = {"severity": "warning", "alerts": [{"description": "bad"}, SILENT, 7]}
    rule = made(document, "beats.json")
    assert read(document, "beats.json").name == "deadman:beats"
    assert [(each.key, each.window) for each in rule.awaited()] == [("no beat", timedelta(minutes=20))]
    assert "alerts[1].search_query: required, but not set" in rule.problems


def test_a_file_that_changes_is_another_version() -> None:
    first, second = made(EVENT), made({**EVENT, "tags": ["x"]})
    assert first.version == made(EVENT).version != second.version


def test_json_may_have_comments_and_commas_at_the_end() -> None:
    text = """// about
    { "kind": "event", /* several
      lines */ "query": "details.url:\\"http://x\\"", # why
      "summary": "x \\u00e9 // no comment", "tags": ["a", "b",],
    }"""
    assert made(text).tags == ("a", "b")
    (form,) = [document.value for document in [read_document(Path("r.json"), text.encode())]]
    assert form["summary"] == "x é // no comment"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("kind: event\nquery: 'a:('\nsummary: x\n", 2, "query: "),
        ("kind: event\nquery: a:b\nsummary: '{cuont}'\n", 3, "did you mean 'count'?"),
        ("kind: event\nquery: a:b\nsummary: '{details.x!r}'\n", 3, "{details.x!r} is unknown"),
        ("kind: event\nquery: a:b\nsummary: 'a } b'\n", 3, "written twice"),
        ("kind: event\nquery: a:b\nsummary: x\nwindow: 5m\n", 4, "unknown key 'window'"),
        ("kind: evnt\n", 1, "did you mean 'event'?"),
        ("kind: event\nsummary: x\n", 1, "expected a condition"),
        ("kind: deadman\nquery: a:b\nwindow: 5m\nsummary: '{details.x}'\n", 4, "is unknown"),
        ("kind: aggregation\nquery: a:b\nsummary: x\nby: summary\nwindow: 5m\n", 4, "a text makes no groups"),
        ("kind: aggregation\nquery: a:b\nsummary: x\nby: a\nwindow: 5m\nschedule: stream\n", 6, "stream"),
        ("kind: event\nname: 'a/b'\nquery: a:b\nsummary: x\n", 2, "none of"),
        (
            "kind: sequence\nby: a\nwindow: 1m\nsummary: x\nsteps:\n- query: a:b\n- query: '('\n",
            7,
            "steps[1].query",
        ),
        ("a: [1\n", 2, "is no YAML"),
        ("- a\n", 1, "expected keys and values"),
        ("x: 1\n", 1, "expected 'kind'"),
        ("", 1, "expected keys and values"),
        ("&a [*a]", 1, "nested too deep"),
        ("kind: event\nquery: a:b\nsummary: x\nkibana: {file: ../x.ndjson}\n", 4, "beside this one"),
        ("kind: event\nquery: a:b\nsummary: x\nkibana: {file: none.ndjson}\n", 4, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, words: str) -> None:
    file = read(text, "rule.yaml")
    assert file.cls is None
    assert any(
        problem.startswith(f"/rules/rule.yaml:{line}: ") and words in problem for problem in file.problems
    ), file.problems


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", 1),
        ('{"a": 1\n "b": 2}', 2),
        ('{\n"a": x}', 2),
        ('{"a": 1,\n"a": 2}', 2),
        ('["\n"]', 1),
        ("{} {}", 1),
        ("1e999", 1),
    ],
)
def test_json_that_is_none_is_told_of_with_its_line(text: str, line: int) -> None:
    (problem,) = read(text).problems
    assert problem.startswith(f"/rules/rule.json:{line}: ")


def test_a_file_that_is_too_large_is_not_read() -> None:
    (problem,) = read("kind: event # " + "x" * 1_048_576, "rule.yaml").problems
    assert "expected at most 1048576" in problem


def test_a_search_of_kibana_is_taken_from_the_file_beside(tmp_path: Path) -> None:
    search = {"query": {"query": "details.door:north", "language": "lucene"}, "filter": []}
    attributes = {"title": "Doors", "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(search)}}
    saved = {"id": "1", "type": "search", "attributes": attributes, "references": []}
    path = tmp_path / "doors.yaml"
    path.write_text("kind: event\nkibana: {file: saved.ndjson, title: Doors}\nsummary: '{details.door}'\n")
    assert read_rule(path).used == [tmp_path / "saved.ndjson"]
    (tmp_path / "saved.ndjson").write_text(json.dumps(saved))
    file = read_rule(path)
    assert (file.problems, file.used) == ((), [tmp_path / "saved.ndjson"])
    assert file.cls is not None
    before = file.cls.version
    (tmp_path / "saved.ndjson").write_text(json.dumps({**saved, "id": "2"}))
    again = read_rule(path).cls
    assert again is not None
    assert again.version != before


def test_only_rule_files_of_a_folder_are_read(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "d.examples.yaml", ".e.yaml", "f.txt", "g.ndjson"):
        (tmp_path / name).write_text("")
    (tmp_path / "h.yaml").mkdir()
    assert [path.name for path in rule_paths(tmp_path)] == ["a.yml", "b.yaml", "c.json"]


def sound(file: RuleFile) -> None:
    """Hold that a file gives a rule, or says on which line what is wrong."""
    assert (file.cls is None) == bool(file.problems)
    for problem in file.problems:
        assert re.match(rf"{re.escape(str(file.path))}:[1-9]\d*: .", problem), problem
    if file.cls is not None:
        file.cls(file.cls.Options())


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
KEYS = sorted({key for each in (*WHOLE, *STEPS, SILENT) for key in each})
VALUES = [value for each in WHOLE for value in each.values()]
JSON = st.recursive(
    SCALARS | st.sampled_from([*VALUES, "{a.b}", "{", "a:(", "@x", "5m", "P1D"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(WHOLE),
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3),
    st.sampled_from([".json", ".yaml"]),
)
def test_any_change_of_a_rule_gives_a_rule_or_says_what_is_wrong(
    whole: dict[str, Any], changes: dict[str, Any], ending: str
) -> None:
    sound(read({**whole, **changes}, f"rule{ending}"))


@given(JSON, st.sampled_from([".json", ".yaml"]))
def test_any_document_gives_a_rule_or_says_what_is_wrong(document: object, ending: str) -> None:
    sound(read(document, f"rule{ending}"))


@given(
    st.binary(max_size=200) | st.text(alphabet="{}[],:\"'&*!|>-#? \n\tab0.\\/", max_size=60).map(str.encode),
    st.sampled_from([".json", ".yaml"]),
)
@example(b"? [a]\n: 1", ".yaml")
@example(b"!!set {a, b}", ".yaml")
@example(b"2001-99-99: 1", ".yaml")
@example(b"kind: !x [event]", ".yaml")
@example(b"<<: 1", ".yaml")
@example(b"a: &x [1]\nb: [*x, *x]", ".yaml")
@example(b"{" * 5_000, ".json")
@example(b"[" * 5_000, ".yaml")
@example(b"\xff", ".yaml")
def test_any_bytes_give_a_rule_or_say_what_is_wrong(content: bytes, ending: str) -> None:
    sound(read_content(Path(f"/rules/rule{ending}"), content))


@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    )
)
def test_json_means_what_it_means_elsewhere(document: object) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False)
    try:
        content = text.encode()
    except UnicodeEncodeError:
        return
    if not re.search(r"\d{19}", text):
        assert read_document(Path("r.json"), content).value == document
