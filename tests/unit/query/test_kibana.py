from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.errors import QueryError
from mozdef_core.event import microseconds
from mozdef_core.query import evaluate, kibana
from mozdef_core.query.lucene import parse
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    Range,
    Regexp,
    Search,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.query.printing import to_lucene
from mozdef_core.testing_contracts.queries import events
from mozdef_core.testing_contracts.store_events import stored_event

EXPORTS = Path(__file__).parent / "exports"
NOW_US = microseconds(datetime(2026, 2, 13, 16, 26, 40, tzinfo=UTC))  # a Friday


def us(*when: int) -> int:
    return microseconds(datetime(*when, tzinfo=UTC))  # type: ignore[arg-type, misc]


def imported(name: str) -> kibana.Imported:
    return kibana.read((EXPORTS / name).read_bytes(), now_us=NOW_US)


def search_object(
    query: object = None, filters: Sequence[object] = (), attributes: Mapping[str, Any] | None = None
) -> str:
    """One saved search as a line of an export."""
    source = json.dumps({"query": query, "filter": list(filters)})
    return json.dumps(
        {
            "type": "search",
            "id": "s",
            "attributes": {
                "title": "S",
                "columns": [],
                "sort": [],
                "kibanaSavedObjectMeta": {"searchSourceJSON": source},
                **(attributes or {}),
            },
            "references": [],
        }
    )


def one(query: object = None, filters: Sequence[object] = (), **attributes: Any) -> kibana.KibanaSearch:
    return kibana.read(search_object(query, filters, attributes), now_us=NOW_US).one()


def filtered(clause: Mapping[str, Any], **meta: Any) -> Query:
    return one(None, [{"meta": {"disabled": False, **meta}, "query": clause}]).search.query


# -- exports of each version ----------------------------------------------------------------------------------

VERSION_5 = {
    "SSH failures": "(details.program:sshd AND (NOT tags:vpn)) AND category:authentication"
    " AND (NOT hostname:bastion1.example.com)",
    "Low ports": 'details.destinationport:["0" TO "1024"} AND _exists_:details.username',
    "Failures by host": "((details.program:sshd AND (NOT tags:vpn)) AND category:authentication"
    " AND (NOT hostname:bastion1.example.com)) AND summary:failed",
    "SSH": "source:authpriv",
    "SSH / SSH failures": "source:authpriv AND ((details.program:sshd AND (NOT tags:vpn))"
    " AND category:authentication AND (NOT hostname:bastion1.example.com))",
    "SSH / Failures by host": "source:authpriv AND ((details.program:sshd AND (NOT tags:vpn))"
    " AND category:authentication AND (NOT hostname:bastion1.example.com)) AND summary:failed",
}


def evaluates_as(found: Query, text: str) -> None:
    """Compare a query with a search string on events that hold every value of both, one by one left out."""
    values = {
        "details": {"program": "sshd", "username": "root", "destinationport": 22},
        "tags": ["x"],
        "category": "authentication",
        "hostname": "h",
        "summary": "failed login",
        "source": "authpriv",
    }
    odd: list[tuple[str, object]] = [
        ("tags", ["vpn"]),
        ("category", "other"),
        ("hostname", "bastion1.example.com"),
        ("summary", "accepted login"),
        ("source", "other"),
        ("details", {"program": "su", "username": "root", "destinationport": 22}),
        ("details", {"program": "sshd", "destinationport": 1024}),
    ]
    compiled, wanted = evaluate.compile(found), evaluate.compile(parse(text))
    outcomes = set()
    for name, value in [("extra", 1), *odd]:
        event = stored_event(**{**values, name: value})
        assert compiled(event) == wanted(event), (name, value)
        outcomes.add(compiled(event))
    assert outcomes == {True, False}


def test_the_json_array_of_version_5_is_read() -> None:
    found = imported("kibana-5.json")
    assert not found.refused
    assert [search.title for search in found.found] == list(VERSION_5)
    for search in found.found:
        evaluates_as(search.search.query, VERSION_5[search.title])
    low = found.one("Low ports").search
    assert (low.order, low.between) == ("oldest", (None, None))
    panel = found.one("SSH / SSH failures")
    assert panel.kind == "panel"
    assert panel.columns == ("hostname",)
    assert panel.time == ("now-24h", "now")
    assert panel.search.between == (us(2026, 2, 12, 16, 26, 40), us(2026, 2, 13, 16, 26, 40) + 1_000)
    assert "the filter 'severity: INFO' is switched off and left away" in panel.warnings
    assert "the index pattern 'events-*' has no meaning here: all events are searched" in panel.warnings


def test_the_lines_of_version_7_are_read() -> None:
    found = imported("kibana-7.ndjson")
    assert not found.refused
    assert [(search.kind, search.title) for search in found.found] == [
        ("search", "Logins"),
        ("visualization", "By user"),
        ("query", "Failed"),
        ("dashboard", "Access"),
        ("panel", "Access / Logins"),
        ("panel", "Access / Users"),
        ("panel", "Access / Odd hours"),
    ]
    logins = found.one("Logins")
    assert logins.columns == ("details.username",)
    assert "field 'details.username.keyword' is 'details.username' here" in logins.warnings
    assert logins.search.query == Bool(
        must=[
            Bool(
                must=[
                    Bool(should=[Term("details.program", "sshd"), Term("details.program", "su")]),
                    ~Wildcard("details.username", "root*"),
                ]
            ),
            Bool(should=[Term("hostname", "a.example.com"), Term("hostname", "b.example.com")]),
            ~Prefix("details.sourceipaddress", "10."),
        ]
    )
    any_address = Bool(
        should=[
            Term("details.sourceipaddress", "192.0.2.7"),
            Term("details.destinationipaddress", "192.0.2.7"),
        ]
    )
    assert found.one("By user").search.query == Bool(must=[logins.search.query, any_address])
    board = Bool(must=[Term("category", "authentication"), Term("details.dc", "ams1")])
    assert found.one("Access").search.query == board
    assert found.one("Access / Users").search.query == Bool(must=[board, logins.search.query, any_address])
    assert found.one("Access / Odd hours").search.query == Bool(
        must=[board, Bool(should=[Match("summary", "accepted"), Match("summary", "publickey")])]
    )
    assert found.one("Access").search.between == (us(2026, 1, 10), us(2026, 1, 11))
    failed = found.one("Failed").search
    assert failed.query == Bool(must=[Term("details.success", "false"), Term("source", "auth")])
    assert failed.between == (us(2026, 2, 6), us(2026, 2, 13, 16, 26, 40) + 1_000)


def test_the_lines_of_version_8_are_read() -> None:
    found = imported("kibana-8.ndjson")
    sessions = found.one("Sessions")
    assert sessions.columns == ("summary", "details.uid")
    assert sessions.search.order == "oldest"
    assert sessions.search.between[0] == us(2026, 2, 13, 16, 11, 40)
    assert "the order by 'details.uid' has no meaning here: events come by time" in sessions.warnings
    assert sessions.search.query == Bool(
        must=[
            MatchPhrase("summary", "session opened"),
            Bool(
                should=[
                    Term("details.username", "root"),
                    Bool(must=[Range("details.uid", lt="1000"), ~Exists("details.tty")]),
                ]
            ),
        ]
    )
    chosen = Bool(
        must=[
            Bool(should=[Term("details.dc", "ams1"), Term("details.dc", "fra2")]),
            Range("details.uid", gte="0"),
        ]
    )
    board = found.one("Sessions board").search
    assert board.query == chosen
    assert board.between == (us(2026, 2, 12), us(2026, 2, 13))
    by_value = found.one("Sessions board / Sudo by value")
    assert by_value.search.query == Bool(
        must=[chosen, Bool(must=[Term("tags", "sudo"), Term("details.shell", "/bin/bash")])]
    )
    assert "what the chart (lnsXY) counts and groups by is not imported" in by_value.warnings
    by_reference = found.one("Sessions board / Sessions by host")
    assert by_reference.search.query == Bool(must=[chosen, Wildcard("hostname", "*.example.com")])
    assert by_reference.time == ("now-7d", "now")
    inline = found.one("Sessions board / Inline")
    assert inline.search.query == Bool(must=[chosen, Term("details.username", "root")])
    assert [str(error) for error in found.refused] == [
        "panel 'Sessions board / Where': panels of the kind 'map' cannot be read; write the search by hand"
    ]
    assert found.warnings == ("the export misses index-pattern 'dv-gone', which an object refers to",)


def test_the_lines_of_version_9_are_read() -> None:
    found = imported("kibana-9.ndjson")
    assert found.one("Hunt / sudo").search.query == Term("details.program", "sudo")
    assert found.one("Hunt / su").search.query == Term("details.program", "su")
    assert found.one("Board").search == Search()
    assert found.one("Board / Roots").search.query == Term("details.username", "root")
    assert [str(error).split(":")[0] for error in found.refused] == [
        "search 'Hunt / count'",
        "panel 'Board / Text based'",
    ]
    assert all("ES|QL" in str(error) for error in found.refused)


@pytest.mark.parametrize("name", ["kibana-5.json", "kibana-7.ndjson", "kibana-8.ndjson", "kibana-9.ndjson"])
def test_what_is_imported_can_be_written_as_a_search_string(name: str) -> None:
    for found in imported(name).found:
        text = to_lucene(found.search.query)
        assert to_lucene(parse(text)) == to_lucene(parse(to_lucene(parse(text))))


# -- other envelopes ------------------------------------------------------------------------------------------


def test_other_documents_with_saved_objects_are_read() -> None:
    attributes = {
        "title": "S",
        "kibanaSavedObjectMeta": {"searchSourceJSON": '{"query":{"query":"f:a","language":"lucene"}}'},
    }
    modern = {"type": "search", "id": "s", "attributes": attributes}
    for document in (
        modern,
        [modern],
        {"version": "6.8.0", "objects": [modern]},
        {"page": 1, "total": 1, "saved_objects": [modern]},
        {"_id": "s", "_type": "search", "_source": attributes},
        {"hits": {"total": 1, "hits": [{"_id": "s", "_type": "search", "_source": attributes}]}},
        [{"_id": "search:s", "_type": "doc", "_source": {"type": "search", "search": attributes}}],
        {"type": "search", "search": attributes},
    ):
        assert Search.from_kibana(json.dumps(document, indent=2)).query == Term("f", "a")
    decoded = {
        **attributes,
        "kibanaSavedObjectMeta": {"searchSourceJSON": {"query": {"query_string": {"query": "f:a"}}}},
    }
    assert Search.from_kibana(json.dumps({**modern, "attributes": decoded})).query == Term("f", "a")
    assert Search.from_kibana(b"\xef\xbb\xbf" + json.dumps(modern).encode()).query == Term("f", "a")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "the file is empty"),
        ("title: x", "not JSON"),
        ('{"type":"search","attributes":{}}\n{"type":', "line 2 is not JSON"),
        ('{"type":"search","attributes":{}}\n17', "line 2: expected an object"),
        ('[{"name":"x"}]', "entry 0: expected a saved object"),
        ('{"type":"search","attributes":{}}\n{"rules":[]}', "line 2: expected a saved object"),
        ("17", "an export of saved objects"),
    ],
)
def test_what_is_no_export_is_refused(content: str, expected: str) -> None:
    with pytest.raises(QueryError, match=expected):
        kibana.read(content)


def test_one_search_is_chosen_by_its_title() -> None:
    content = (EXPORTS / "kibana-7.ndjson").read_text(encoding="utf-8")
    assert (
        Search.from_kibana(content, "Access", now_us=NOW_US)
        == imported("kibana-7.ndjson").one("Access").search
    )
    with pytest.raises(
        QueryError, match=r"expected one search of the title 'Nope', found 0; .*'Access / Logins'"
    ):
        Search.from_kibana(content, "Nope")
    with pytest.raises(QueryError, match="expected one search, found 7"):
        Search.from_kibana(content)
    with pytest.raises(QueryError, match="'Sessions board / Where': panels of the kind 'map'"):
        Search.from_kibana((EXPORTS / "kibana-8.ndjson").read_bytes(), "Sessions board / Where")
    with pytest.raises(QueryError, match="found 2"):
        Search.from_kibana(search_object("f:a") + "\n" + search_object("f:b"), "S")


# -- filters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ({"match_all": {}}, All()),
        ({"match_phrase": {"f": "a b"}}, Term("f", "a b")),
        ({"match_phrase": {"f": {"query": 443}}}, Term("f", 443)),
        ({"match_phrase": {"f": True}}, Term("f", True)),
        ({"match_phrase": {"summary": "a b"}}, MatchPhrase("summary", "a b")),
        ({"match_phrase": {"message": {"query": "a b", "slop": 0}}}, MatchPhrase("summary", "a b")),
        ({"match_phrase": {"message.keyword": "a b"}}, Term("summary", "a b")),
        ({"match_phrase": {"f.keyword": "a b"}}, Term("f", "a b")),
        ({"match_phrase_prefix": {"summary": "Fail"}}, Prefix("summary", "fail")),
        ({"match": {"f": {"query": "a b", "type": "phrase"}}}, Term("f", "a b")),
        ({"match": {"summary": "a b"}}, Bool(should=[Match("summary", "a"), Match("summary", "b")])),
        ({"match": {"summary": {"query": "a b", "operator": "and"}}}, Match("summary", "a b")),
        ({"multi_match": {"query": "a b", "type": "phrase", "lenient": True}}, MatchPhrase("*", "a b")),
        (
            {"multi_match": {"query": "a", "fields": ["f", "g"]}},
            Bool(should=[Term("f", "a"), Term("g", "a")]),
        ),
        ({"term": {"f": "a"}}, Terms("f", ["a"])),
        ({"term": {"f": {"value": "a", "case_insensitive": True}}}, Terms("f", ["a"], case_insensitive=True)),
        ({"term": {"summary": "word"}}, Match("summary", "word")),
        ({"term": {"summary.keyword": "Two Words"}}, Terms("summary", ["Two Words"])),
        ({"terms": {"f": ["a", 1], "boost": 2}}, Terms("f", ["a", 1])),
        ({"range": {"f": {"gte": 1, "lt": 5}}}, Range("f", gte=1, lt=5)),
        ({"range": {"f": {"from": 1, "to": 5, "include_upper": False}}}, Range("f", gte=1, lt=5)),
        ({"range": {"f": {"gte": None, "lt": 5, "boost": 1}}}, Range("f", lt=5)),
        (
            {"range": {"@timestamp": {"gte": 1771000000000, "lte": "2026-02-14", "format": "epoch_millis"}}},
            Range("utctimestamp", gte="2026-02-13T16:26:40.000000+00:00", lte="2026-02-14"),
        ),
        (
            {"range": {"@timestamp": {"gte": "now-1d/d", "lt": "now/d", "time_zone": "UTC"}}},
            Range(
                "utctimestamp",
                gte="2026-02-12T00:00:00.000000+00:00",
                lt="2026-02-13T00:00:00.000000+00:00",
            ),
        ),
        (
            {"range": {"@timestamp": {"gt": "now-1d/d", "lte": "now/d"}}},
            Range(
                "utctimestamp",
                gte="2026-02-13T00:00:00.000000+00:00",
                lt="2026-02-14T00:00:00.000000+00:00",
            ),
        ),
        ({"exists": {"field": "f"}}, Exists("f")),
        ({"missing": {"field": "f", "existence": True}}, ~Exists("f")),
        ({"prefix": {"f": {"value": "a"}}}, Prefix("f", "a")),
        ({"prefix": {"message.keyword": "a."}}, Regexp("summary", r"a\..*")),
        ({"wildcard": {"f": "a*"}}, Wildcard("f", "a*")),
        (
            {"wildcard": {"f": {"wildcard": "a*", "boost": 1, "rewrite": "constant_score"}}},
            Wildcard("f", "a*"),
        ),
        ({"wildcard": {"summary.keyword": "a?c*"}}, Regexp("summary", "a.c.*")),
        ({"regexp": {"f": {"value": "a[^b].*", "flags": "ALL"}}}, Regexp("f", "a[^b].*")),
        (
            {"query_string": {"query": "f:a AND g:b", "analyze_wildcard": True}},
            Term("f", "a") & Term("g", "b"),
        ),
        ({"query_string": {"query": "a b", "default_field": "f"}}, Term("f", "a") | Term("f", "b")),
        ({"query_string": {"query": "a g:b", "fields": ["f"]}}, Term("f", "a") | Term("g", "b")),
        (
            {"query_string": {"query": "f:a g:b", "default_operator": "AND"}},
            Term("f", "a") & Term("g", "b"),
        ),
        ({"query_string": {"query": "message:x"}}, MatchPhrase("summary", "x")),
        ({"query_string": {"query": "message.keyword:x*"}}, Regexp("summary", "x.*")),
        ({"query_string": {"query": "_exists_:message"}}, Exists("summary")),
        (
            {"query_string": {"query": "@timestamp:[now-1h TO *]"}},
            Range("utctimestamp", gte="2026-02-13T15:26:40.000000+00:00"),
        ),
        ({"bool": {"filter": {"term": {"f": "a"}}}}, Bool(must=[Terms("f", ["a"])])),
        (
            {
                "bool": {
                    "should": [{"exists": {"field": "f"}}, {"exists": {"field": "g"}}],
                    "minimum_should_match": "2",
                }
            },
            Bool(must=[Exists("f"), Exists("g")]),
        ),
        (
            {"bool": {"must": [{"exists": {"field": "f"}}], "should": [{"exists": {"field": "g"}}]}},
            Bool(must=[Exists("f")]),
        ),
        (
            {"bool": {"must_not": [{"exists": {"field": "f"}}], "should": [{"exists": {"field": "g"}}]}},
            Bool(should=[Exists("g")], must_not=[Exists("f")]),
        ),
        ({"constant_score": {"filter": {"exists": {"field": "f"}}}}, Exists("f")),
        ({"dis_max": {"queries": [{"exists": {"field": "f"}}]}}, Exists("f")),
        ({"nested": {"path": "p", "query": {"match_phrase": {"p.a": "1"}}}}, Term("p.a", "1")),
    ],
)
def test_a_clause_is_read(clause: Mapping[str, Any], expected: Query) -> None:
    assert filtered(clause) == expected


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ({"script": {"script": {"source": "doc['x'].value > 1"}}}, "a clause of kind 'script'"),
        ({"geo_bounding_box": {"location": {}}}, "'geo_bounding_box'"),
        ({"geo_shape": {"location": {}}}, "'geo_shape'"),
        ({"geo_distance": {"distance": "1km"}}, "'geo_distance'"),
        ({"ids": {"values": ["1"]}}, "'ids'"),
        ({"more_like_this": {}}, "'more_like_this'"),
        ({"bool": {"must": [{"script": {}}]}}, "'script'"),
        ({"match": {"f": {"query": "a", "fuzziness": "AUTO"}}}, "'fuzziness'"),
        ({"match": {"summary": {"query": "a b", "minimum_should_match": "75%"}}}, "minimum_should_match"),
        ({"match_phrase": {"summary": {"query": "a b", "slop": 2}}}, "'slop' of 2"),
        ({"match_phrase": {"_index": "x"}}, "belongs to the index"),
        ({"match_phrase": {"f": None}}, "null is never found"),
        ({"term": {"summary": "Two Words"}}, "expected match_phrase"),
        ({"terms": {"f": {"index": "x", "id": "1", "path": "p"}}}, "'id'"),
        ({"terms": {"f": "a"}}, "expected a list"),
        ({"range": {"utctimestamp": {"gte": "yesterday"}}}, "ISO 8601"),
        ({"range": {"f": {"gte": "2026-01-01", "time_zone": "Europe/Berlin"}}}, "'Europe/Berlin'"),
        ({"range": {"@timestamp": {"gte": "now-1q"}}}, "'-1q'"),
        ({"regexp": {"f": "a~b"}}, "'~'"),
        ({"regexp": {"f": "a("}}, "RE2"),
        ({"query_string": {"query": "f:/a&b/"}}, "'&'"),
        ({"query_string": {"query": "f:("}}, "expected '\\)'"),
        ({"bool": {"should": [{"match_all": {}}] * 3, "minimum_should_match": 2}}, "minimum_should_match"),
        ({"bool": {"should": [{"match_all": {}}] * 3, "minimum_should_match": "-25%"}}, "'-25%'"),
        (
            {
                "nested": {
                    "path": "p",
                    "query": {"bool": {"must": [{"term": {"p.a": 1}}, {"term": {"p.b": 1}}]}},
                }
            },
            "one element of 'p'",
        ),
        ({"exists": {"field": "f"}, "match_all": {}}, "expected one clause"),
        ({}, "no condition"),
    ],
)
def test_what_cannot_be_expressed_is_refused_with_title_and_filter(
    clause: Mapping[str, Any], expected: str
) -> None:
    found = kibana.read(
        search_object(None, [{"meta": {"alias": "my filter"}, "query": clause}]), now_us=NOW_US
    )
    assert not found.found
    (error,) = found.refused
    assert str(error).startswith("search 'S': filter 'my filter': ")
    assert "change or remove it in Kibana and export again" in str(error)
    with pytest.raises(QueryError, match=expected):
        found.one("S")


def test_filters_are_negated_switched_off_and_combined() -> None:
    assert filtered({"exists": {"field": "f"}}, negate=True) == ~Exists("f")
    off = one(None, [{"meta": {"disabled": True, "alias": "off"}, "query": {"script": {}}}])
    assert off.search.query == All()
    assert off.warnings == ("the filter 'off' is switched off and left away",)
    inner = [
        {"meta": {"negate": True}, "query": {"exists": {"field": "f"}}},
        {"meta": {}, "query": {"term": {"g": 1}}},
    ]
    for relation, expected in (
        ("OR", Bool(should=[~Exists("f"), Terms("g", [1])])),
        ("AND", Bool(must=[~Exists("f"), Terms("g", [1])])),
    ):
        found = one(
            None, [{"meta": {"type": "combined", "relation": relation, "params": inner, "negate": True}}]
        )
        assert found.search.query == ~expected
    with pytest.raises(QueryError, match="'AND' or 'OR'"):
        one(None, [{"meta": {"type": "combined", "relation": "XOR", "params": inner}}])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, All()),
        ("", All()),
        ("f:a", Term("f", "a")),
        ({"query": "", "language": "kuery"}, All()),
        ({"query": "f:(a or b)", "language": "kuery"}, Term("f", "a") | Term("f", "b")),
        ({"query": "f:(a OR b)", "language": "lucene"}, Term("f", "a") | Term("f", "b")),
        ({"query": {"query_string": {"query": "f:a"}}, "language": "lucene"}, Term("f", "a")),
        ({"query_string": {"query": "*", "analyze_wildcard": True}}, All()),
        ({"match_all": {}}, All()),
        (
            {"query": "message:one two", "language": "kuery"},
            Bool(should=[Match("summary", "one"), Match("summary", "two")]),
        ),
        ({"query": "message.keyword:one*", "language": "kuery"}, Regexp("summary", "one.*")),
        (
            {"query": "@timestamp >= now-1h", "language": "kuery"},
            Range("utctimestamp", gte="2026-02-13T15:26:40.000000+00:00"),
        ),
    ],
)
def test_a_query_bar_is_read_in_its_language(query: object, expected: Query) -> None:
    assert one(query).search.query == expected


@pytest.mark.parametrize(
    ("query", "position", "expected"),
    [
        ({"query": "f:a and", "language": "kuery"}, 7, "query 'f:a and' at position 7: unexpected end"),
        ({"query": "f:a AND", "language": "lucene"}, 7, "query 'f:a AND' at position 7: unexpected end"),
        ({"query": "details.*:x", "language": "kuery"}, 0, "includes the index pattern with its fields"),
        ({"query": "x", "language": "ppl"}, None, "'ppl'"),
        ({"query": "_id:x", "language": "kuery"}, 0, "belongs to the index"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused_with_its_place(
    query: object, position: int | None, expected: str
) -> None:
    with pytest.raises(QueryError) as caught:
        one(query)
    assert expected in str(caught.value)
    assert str(caught.value).startswith("search 'S': query ")
    assert caught.value.position == position


def test_scripted_and_runtime_fields_are_refused() -> None:
    pattern = json.dumps(
        {
            "type": "index-pattern",
            "id": "p",
            "attributes": {
                "title": "events-*",
                "timeFieldName": "@timestamp",
                "fields": json.dumps([{"name": "localhour", "scripted": True}]),
                "runtimeFieldMap": json.dumps({"weekday": {"type": "keyword"}}),
            },
        }
    )
    for name in ("localhour", "weekday"):
        source = {"query": {"query": f"{name}:5", "language": "kuery"}, "index": "p"}
        line = search_object(attributes={"kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)}})
        with pytest.raises(QueryError, match=f"'{name}' is a scripted field"):
            Search.from_kibana(pattern + "\n" + line, "S")


# -- times, order, references ---------------------------------------------------------------------------------


def pattern_line(time_field: str | None) -> str:
    attributes = {"title": "p-*", **({"timeFieldName": time_field} if time_field else {})}
    return json.dumps({"type": "index-pattern", "id": "p", "attributes": attributes})


def timed_line(first: str, last: str) -> str:
    source = json.dumps({"index": "p"})
    return search_object(
        attributes={
            "kibanaSavedObjectMeta": {"searchSourceJSON": source},
            "timeRestore": True,
            "timeRange": {"from": first, "to": last},
        }
    )


def test_a_time_range_on_another_field_becomes_a_condition() -> None:
    line = timed_line("2026-01-01", "2026-01-02")
    found = Search.from_kibana(pattern_line("details.seen") + "\n" + line)
    assert found.between == (None, None)
    assert found.query == Range(
        "details.seen", gte="2026-01-01T00:00:00.000000+00:00", lt="2026-01-03T00:00:00.000000+00:00"
    )
    without = kibana.read(pattern_line(None) + "\n" + line).one()
    assert without.search == Search()
    assert any("no time field" in warning for warning in without.warnings)


def test_a_time_range_is_only_taken_where_it_is_restored() -> None:
    assert one(timeRestore=False, timeRange={"from": "now-1h", "to": "now"}).search == Search()
    with pytest.raises(QueryError, match="search 'S': the time range now to now-1h is empty"):
        Search.from_kibana(timed_line("now", "now-1h"))
    with pytest.raises(QueryError, match="'soon' is not a time"):
        Search.from_kibana(timed_line("soon", "now"))


def test_what_the_file_misses_is_named() -> None:
    board = {
        "type": "dashboard",
        "id": "d",
        "attributes": {
            "title": "D",
            "panelsJSON": json.dumps(
                [{"panelIndex": "1", "panelRefName": "panel_0", "embeddableConfig": {}}]
            ),
            "kibanaSavedObjectMeta": {"searchSourceJSON": "{}"},
        },
        "references": [{"name": "panel_0", "type": "search", "id": "gone"}],
    }
    found = kibana.read(json.dumps(board))
    assert [search.title for search in found.found] == ["D"]
    assert [str(error) for error in found.refused] == [
        "panel 'D / panel 1': the export misses the search 'gone' that it shows; export with related objects"
    ]


def test_other_kinds_of_objects_are_reported() -> None:
    content = search_object("f:a") + '\n{"type":"canvas-workpad","id":"c","attributes":{}}'
    assert kibana.read(content).warnings == (
        "objects of the kind 'canvas-workpad' hold no search that can be read, and are left away",
    )


def test_fields_may_be_renamed() -> None:
    content = search_object({"query": "user.name:joe", "language": "kuery"})
    found = kibana.read(content, renamed={"user.name": "details.username"}).one()
    assert found.search.query == Term("details.username", "joe")
    assert found.warnings == ("field 'user.name' is 'details.username' here",)


# -- in general -----------------------------------------------------------------------------------------------

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["f", "a", "now", "match", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["f", "query", "bool", "must", "should", "match", "range", "gte", "meta", "exists", "field"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(json_values, json_values, json_values)
def test_any_content_is_read_or_refused(query: Any, clause: Any, panels: Any) -> None:
    lines = [
        search_object(query, [clause]),
        json.dumps({"type": "dashboard", "id": "d", "attributes": {"title": "D", "panelsJSON": panels}}),
    ]
    found = kibana.read("\n".join(lines), now_us=NOW_US)
    for search in found.found:
        assert evaluate.compile(search.search.query)(stored_event()) in (True, False)
    for error in found.refused:
        assert str(error).startswith(("search 'S': ", "dashboard 'D': ", "panel 'D / "))


def places(node: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    """Where something stands in an object of an export, also within the JSON in its texts (``None``)."""
    yield above
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, *above, key)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from places(value, *above, number)
    elif isinstance(node, str) and node[:1] in ("{", "["):
        yield from places(json.loads(node), *above, None)


def replaced(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    first, *rest = place
    if first is None:
        return json.dumps(replaced(json.loads(node), tuple(rest), value))
    copied = node.copy()
    copied[first] = replaced(node[first], tuple(rest), value)
    return copied


@pytest.mark.parametrize("name", ["kibana-7.ndjson", "kibana-8.ndjson", "kibana-9.ndjson"])
def test_an_export_with_anything_in_any_place_is_read_or_refused(name: str) -> None:
    lines = [json.loads(line) for line in (EXPORTS / name).read_text().splitlines()]
    for number, line in enumerate(lines):
        for place in places(line):
            for value in (1, [["x"]]):
                changed = [*lines[:number], replaced(line, place, value), *lines[number + 1 :]]
                with suppress(QueryError):
                    kibana.read("\n".join(map(json.dumps, changed)), now_us=NOW_US)


words = st.sampled_from(["a", "ab", "a b", "a-b", "", "A"])
clauses: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.builds(
        lambda f, v: {"match_phrase": {f: v}}, st.sampled_from(["summary", "tags", "details.key"]), words
    )
    | st.builds(lambda f: {"exists": {"field": f}}, st.sampled_from(["summary", "tags", "details.key"])),
    lambda inner: st.builds(
        lambda must, should, must_not: {"bool": {"filter": must, "should": should, "must_not": must_not}},
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2),
    ),
    max_leaves=4,
)


def expected_of(clause: Mapping[str, Any], event: Any) -> bool:
    """What Elasticsearch's documentation says of a clause, on the parts that are drawn here."""
    ((kind, body),) = clause.items()
    if kind == "match_phrase":
        ((name, value),) = body.items()
        return evaluate.compile(MatchPhrase(name, value))(event)
    if kind == "exists":
        return evaluate.compile(Exists(body["field"]))(event)
    must, should, must_not = (
        [expected_of(part, event) for part in body[key]] for key in ("filter", "should", "must_not")
    )
    return all(must) and not any(must_not) and (bool(must) or not should or any(should))


@given(clauses, st.booleans(), events())
def test_a_filter_finds_what_elasticsearch_documents(
    clause: dict[str, Any], negate: bool, event: Any
) -> None:
    assert evaluate.compile(filtered(clause, negate=negate))(event) == (expected_of(clause, event) != negate)
