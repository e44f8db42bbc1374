"""What each condition finds in a store: the questions and, by name, the events of the zoo that answer them."""

# the name of a test is its sentence
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import pytest

from mozdef_core.errors import QueryError
from mozdef_core.event import Event, isoformat
from mozdef_core.ports import EventStore
from mozdef_core.query import evaluate
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    QueryString,
    Range,
    Regexp,
    Search,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.testing_contracts.store_events import BASE_US, LONG, SECOND_US, ZOO, stored_event

Mode: TypeAlias = Literal["writer", "reader"]
Question: TypeAlias = tuple[Query, str]

_PORTS: Final = "port number, port digits, port float, port list"
_ADDRESS: Final = "details.sourceipaddress"

TERMS: Final[tuple[Question, ...]] = (
    (Term("details.port", 443), _PORTS),
    (Term("details.port", "443"), _PORTS),
    (Term("details.port", 443.0), _PORTS),
    (Term("details.port", 80), "port list"),
    (Term("details.port", "https"), "port word"),
    (Term("details.port", "HTTPS"), ""),
    (Term("details.port", "HTTPS", case_insensitive=True), "port word"),
    (Term("details.port", 443, case_insensitive=True), _PORTS),
    (Terms("details.port", [4430, "https"]), "port other, port word"),
    (Terms("details.port", ["443", 4430]), f"{_PORTS}, port other"),
    (Terms("details.port", []), ""),
    (Term("details.flag", True), "flag true, flag name"),
    (Term("details.flag", "true"), "flag true, flag name"),
    (Term("details.flag", "true", case_insensitive=True), "flag true, flag name, flag shout"),
    (Term("details.flag", 1), "flag one"),
    (Term("details.flag", "1"), "flag one"),
    (Term("details.flag", False), "flag false"),
    (Term("details.flag", 0), ""),
    (Term("details.net.zone", "dmz"), "zone nested, zone dotted, zone whole"),
    (Term("details.zone", "dmz"), "zone other"),
    (Term("details.parts.name", "door"), "parts"),
    (Term("details.parts.name", "axle"), "parts"),
    (Term("details.nested", "y"), "parts"),
    (Term("details.nested", 7), "parts"),
    (Term("details.mixed", "seven"), "mixed text, mixed list"),
    (Term("details.mixed", 7), "mixed number, mixed list"),
    (Term("details.mixed", 7.5), "mixed float"),
    (Term("details.mixed", "7.5"), "mixed float"),
    (Term("details.mixed", True), "mixed boolean"),
    (Term("details.mixed.seven", 7), "mixed object"),
    (Term("details.size", 2**63 - 1), "size greatest"),
    (Term("details.size", str(2**63 - 1)), "size greatest"),
    (Term("details.size", -(2**63)), "size least"),
    (Term("details.size", 2**53 + 1), "size exact"),
    (Term("details.size", 2**53), ""),
    (Term("details.maybe", ""), "maybe empty text"),
    (Term("details.username", "ines"), "user"),
    (Term("details.username", "ines", case_insensitive=True), "user, user capital"),
    (Term("details.username", "inés", case_insensitive=True), "user accent"),
    (Term("details.username", "王小明"), "user chinese"),
    (Term("details.username", "a*b"), "user star"),
    (Term("details.username", "LAB\\ines"), "user backslash"),
    (Term("details.username", 'a"b'), "user quote"),
    (Term("details.username", "first\nsecond"), "user lines"),
    (Term("details.username", "words"), ""),
    (Term("details.when", "2026-03-29T10:00:00Z"), "date zulu, date list"),
    (Term("details.when", "2026-03-29T10:00:00+00:00"), "date offset"),
    (Term("details.when", "2026-03-29T10:00:00.000000+00:00"), "date fraction"),
    (Term("details.when", "2026-03-29"), "date day"),
    (Term("details.when", "never"), "date list"),
    (Term("details.a key", "1"), "key blank"),
    (Term('details.schlüssel:"x"\\', "1"), "key odd"),
    (Term("details.a.b.c.d", "1"), "key deep dots"),
    (Term("details.a.b.c", "1"), ""),
    (Term("details.Key", "1"), "key case"),
    (Term("details.key", "1"), ""),
    (Term("details.blob", LONG + "x"), "long x"),
    (Term("details.blob", LONG), ""),
    (Term("details.absent", "x"), ""),
    (Term("summary", "the password check FAILED again"), "summary reversed"),
    (Term("summary", "password"), ""),
    (Term(_ADDRESS, "10.1.2.3"), "address ten"),
    (Term(_ADDRESS, "10.0.0.0/8"), "address ten, address ten high, address list"),
    (Terms(_ADDRESS, ["10.1.0.0/16", "192.0.2.7"]), "address ten, address list, address test"),
)

RANGES: Final[tuple[Question, ...]] = (
    (Range("details.size", gte=0, lte=10), "size zero, size ten"),
    (Range("details.size", gt=0, lt=10.5), "size ten"),
    (Range("details.size", gte=10, lt=12), "size ten, size fraction, size digits"),
    (Range("details.size", gte="10", lt="12"), "size ten, size fraction, size digits"),
    (Range("details.size", lt=0), "size negative, size least"),
    (Range("details.size", gt=2**53), "size exact, size greatest"),
    (Range("details.size", gte=2**63 - 1), "size greatest"),
    (Range("details.size", lte=-(2**63)), "size least"),
    (Range("details.mixed", gte=7), "mixed number, mixed float, mixed list"),
    (Range("details.mixed", lte=7), "mixed number, mixed list"),
    (Range("details.username", gte="user", lte="zzz"), ""),
    (Range("details.username", gte="first", lt="ines@"), "user lines, user"),
    (Range(_ADDRESS, gte="10.1.2.3", lte="10.200.0.0"), "address ten, address list"),
    (Range(_ADDRESS, gt="10.1.2.3"), "address ten high, address test, address list"),
    (Range(_ADDRESS, gte="2001:db8::", lt="2001:db9::1"), "address six"),
    (Range(_ADDRESS, gte="::"), "address six, address six other"),
)

EXISTENCE: Final[tuple[Question, ...]] = (
    (Exists("details.maybe"), "maybe list, maybe empty text, maybe false, maybe zero, maybe object"),
    (Exists("details.maybe.inner"), "maybe object"),
    (Exists("details.net.zone"), "zone nested, zone dotted, zone whole, zone other"),
    (Exists("details.parts"), "parts"),
    (Exists("details.blob"), "long x, long y"),
    (~Exists("hostname"), "host defaulted"),
    (Term("hostname", "UNKNOWN"), "host defaulted"),
    (
        Exists("tags") & ~Term("tags", "long"),
        "summary failed, summary reversed, summary pam, summary underscore, summary unicode",
    ),
    (Exists("details.absent"), ""),
)

TEXTS: Final[tuple[Question, ...]] = (
    (Match("summary", "PASSWORD"), "summary failed, summary reversed"),
    (Match("summary", "failed password"), "summary failed, summary reversed"),
    (Match("summary", "pass"), ""),
    (Match("summary", "10.1.2.3"), "summary failed"),
    (Match("summary", "host.example"), "summary underscore"),
    (Match("summary", "ldap_count_entries"), "summary underscore"),
    (Match("summary", "ldap"), ""),
    (Match("summary", "interactive"), "summary pam"),
    (Match("summary", "ärger"), "summary unicode"),
    (Match("summary", "GRÖSSE"), ""),
    (Match("summary", "größe"), "summary unicode"),
    (Match("summary", "明"), "summary unicode"),
    (Match("summary", "end"), "long summary"),
    (Match("summary", "!!"), ""),
    (MatchPhrase("summary", "failed PASSWORD"), "summary failed"),
    (MatchPhrase("summary", "keyboard-interactive/pam for"), "summary pam"),
    (MatchPhrase("summary", "keyboard interactive pam"), "summary pam"),
    (MatchPhrase("summary", "password root"), ""),
    (MatchPhrase("summary", ""), ""),
    (Match("details.username", "two words"), "user blank"),
    (Match("details.username", "words"), ""),
    (MatchPhrase("details.port", "443"), _PORTS),
    (Match("*", "ines"), "user, summary pam"),
    (Match("*", "dmz"), "zone nested, zone dotted, zone whole, zone other"),
    (Match("*", "door"), "parts"),
    (Match("*", "443"), "port digits, port list"),
    (Match("*", "two words"), "user blank"),
    (Match("*", "2026-03-29"), "date day"),
    (MatchPhrase("*", "password for root"), "summary failed"),
    (MatchPhrase("*", "10.1.2.3"), "summary failed, address ten"),
)

PATTERNS: Final[tuple[Question, ...]] = (
    (Prefix("details.username", "ines"), "user, user mail"),
    (Prefix("details.username", "INES", case_insensitive=True), "user, user capital, user mail"),
    (Prefix("details.username", "a*"), "user star"),
    (Prefix("details.blob", "AAAA"), "long x, long y"),
    (Prefix("details.when", "2026-03-29T10"), "date zulu, date offset, date fraction, date list"),
    (Prefix("details.port", "44"), "port digits, port list"),
    (Prefix("summary", "PASSW"), "summary failed, summary reversed"),
    (Wildcard("details.username", "*ines"), "user, user backslash"),
    (Wildcard("details.username", "?nes"), "user, user capital"),
    (Wildcard("details.username", "i?es@*.example"), "user mail"),
    (Wildcard("details.username", r"a\*b"), "user star"),
    (Wildcard("details.username", r"a\?b"), "user question"),
    (Wildcard("details.username", r"*\\*"), "user backslash"),
    (Wildcard("details.username", "a?b"), "user star, user question, user slash, user quote"),
    (Wildcard("details.username", "first*second"), "user lines"),
    (Wildcard("details.username", "?小?"), "user chinese"),
    (Wildcard("details.username", "*NÉS"), "user accent"),
    (Wildcard("details.username", "inÉs", case_insensitive=True), "user accent"),
    (Wildcard("details.blob", "A*y"), "long y"),
    (Wildcard("details.when", "2026-03-29*Z"), "date zulu, date list"),
    (Wildcard("summary", "pass*"), "summary failed, summary reversed"),
    (Wildcard("summary", "?ARD"), ""),
    (Wildcard("summary", "FAIL??"), "summary failed, summary reversed"),
    (Wildcard("summary", "fail* pass*"), ""),
    (Wildcard("*", "ldap_*_entries"), "summary underscore"),
    (Wildcard("*", "dm?"), "zone nested, zone dotted, zone whole, zone other"),
    (Regexp("details.username", "ines"), "user"),
    (Regexp("details.username", "[iI]nes(@.*)?"), "user, user capital, user mail"),
    (Regexp("details.username", "INES", case_insensitive=True), "user, user capital"),
    (Regexp("details.username", "first.second"), "user lines"),
    (Regexp("details.username", r"\p{Han}+"), "user chinese"),
    (Regexp("details.port", r"\d+"), "port digits, port list"),
    (Regexp("details.blob", "A+x"), "long x"),
    (Regexp("summary", "Failed.*"), "summary failed"),
    (Regexp("summary", "password"), ""),
    (Regexp("*", "d[mn]z"), "zone nested, zone dotted, zone whole, zone other"),
)

SUBNETS: Final[tuple[Question, ...]] = (
    (Subnet(_ADDRESS, ["10.0.0.0/8"]), "address ten, address ten high, address list"),
    (Subnet(_ADDRESS, ["10.1.2.3"]), "address ten"),
    (Subnet(_ADDRESS, ["10.1.99.99/16"]), "address ten, address list"),
    (Subnet(_ADDRESS, ["192.0.2.0/25", "2001:db8::/32"]), "address test, address six"),
    (Subnet(_ADDRESS, ["2001:db8::/31"]), "address six, address six other"),
    (Subnet(_ADDRESS, ["::/0"]), "address six, address six other"),
    (Subnet(_ADDRESS, ["0.0.0.0/0"]), "address ten, address ten high, address test, address list"),
    (Subnet(_ADDRESS, []), ""),
    (Subnet("details.client", ["10.0.0.0/8"]), "client ten"),
)

BOOLEANS: Final[tuple[Question, ...]] = (
    (
        Bool(must=[Term("details.port", 443), ~Term("details.port", 80)]),
        "port number, port digits, port float",
    ),
    (Bool(should=[Term("details.port", 4430), Term("details.flag", 1)]), "port other, flag one"),
    (
        Bool(must=[Exists("details.flag")], should=[Term("details.flag", 1), Term("details.port", 80)]),
        "flag one",
    ),
    (
        Bool(must=[Exists("details.flag")], must_not=[Term("details.flag", "true")]),
        "flag shout, flag one, flag false",
    ),
    (~(Term("details.flag", True) | ~Exists("details.flag")), "flag shout, flag one, flag false"),
    (Exists("details.size") & ~Range("details.size", gte=0), "size negative, size least, size word"),
    (~All(), ""),
    (QueryString('details.port:443 AND NOT details.port:"80"'), "port number, port digits, port float"),
    (
        QueryString("summary:(failed AND password) OR details.username:in?s"),
        "summary failed, summary reversed, user",
    ),
)

QUESTIONS: Final = (*TERMS, *RANGES, *EXISTENCE, *TEXTS, *PATTERNS, *SUBNETS, *BOOLEANS)


class StoreMatching:
    """What each condition finds."""

    def open_store(self, path: Path, mode: Mode) -> EventStore:
        """Open the store at a path; every call with one path sees the same events."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def zoo(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EventStore, dict[str, Event]]]:
        """A store with the named events, for tests that only read."""
        store = cls().open_store(tmp_path_factory.mktemp("zoo") / "store", "writer")
        events = {name: stored_event(**fields) for name, fields in ZOO.items()}
        assert not store.write(list(events.values()))
        store.refresh()
        yield store, events
        store.close()

    @pytest.mark.parametrize(("query", "names"), QUESTIONS, ids=lambda part: repr(part)[:80])
    def test_a_condition_finds_exactly_these_events(
        self, zoo: tuple[EventStore, dict[str, Event]], query: Query, names: str
    ) -> None:
        store, events = zoo
        expected = {name for name in names.split(", ") if name}
        found = store.search(Search(query, size=200)).events
        by_id = {event.id: name for name, event in events.items()}
        assert {by_id[event.id] for event in found} == expected
        assert len(found) == len(expected)
        assert store.count(query) == len(expected)

    @pytest.mark.parametrize(("query", "names"), QUESTIONS, ids=lambda part: repr(part)[:80])
    def test_the_negation_finds_all_other_events(
        self, zoo: tuple[EventStore, dict[str, Event]], query: Query, names: str
    ) -> None:
        store, events = zoo
        expected = len(events) - len([name for name in names.split(", ") if name])
        assert store.count(~query) == store.count(Bool(must_not=[query])) == expected

    def test_an_event_comes_back_as_it_was_written(self, zoo: tuple[EventStore, dict[str, Event]]) -> None:
        store, events = zoo
        for event in events.values():
            found = store.get(event.id)
            assert found is not None
            assert found.body == event.body
            assert found.to_bytes() == event.to_bytes()

    def test_the_store_agrees_with_evaluation_in_memory(
        self, zoo: tuple[EventStore, dict[str, Event]]
    ) -> None:
        store, events = zoo
        for query, _ in QUESTIONS:
            matches: Callable[[Event], bool] = evaluate.compile(query)
            expected = {event.id for event in events.values() if matches(event)}
            assert {event.id for event in store.search(Search(query, size=200)).events} == expected, query

    @pytest.mark.parametrize("field", ["utctimestamp", "timestamp"])
    def test_a_range_of_event_time_is_exact_to_the_microsecond(self, tmp_path: Path, field: str) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        events = [stored_event(BASE_US + step) for step in (-1, 0, 1, SECOND_US)]
        store.write(events)
        store.refresh()
        low, high = isoformat(BASE_US), isoformat(BASE_US + 1)
        for query, expected in (
            (Range(field, gte=low), [0, 1, 2]),
            (Range(field, gt=low), [1, 2]),
            (Range(field, gte=low, lte=high), [0, 1]),
            (Range(field, gte=low, lt=high), [0]),
            (Range(field, lt=low), [-1]),
            (Range(field, gte="2026-03-29T12:00:00.25Z", lt="2026-03-29T14:00:01+02:00"), [0, 1]),
            (Range(field, gte="2026-03-29", lte="2026-03-29"), [-1, 0, 1, 2]),
            (Range(field, lt="2026-03-29"), []),
        ):
            found = store.search(Search(query, order="oldest")).events
            assert [event.id for event in found] == [events[step + 1].id for step in expected], query
        store.close()

    def test_a_range_of_reception_is_not_one_of_event_time(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path / "store", "writer")
        events = [stored_event(BASE_US, received_us=BASE_US + seconds * SECOND_US) for seconds in (1, 2, 3)]
        store.write(events)
        store.refresh()
        query = Range("receivedtimestamp", gte=isoformat(BASE_US + 2 * SECOND_US))
        assert {event.id for event in store.search(Search(query)).events} == {
            event.id for event in events[1:]
        }
        assert store.count(Range("receivedtimestamp", lt=isoformat(BASE_US + 2 * SECOND_US))) == 1
        store.close()

    @pytest.mark.parametrize(
        "query",
        [
            Regexp("details.username", "("),
            Regexp("details.username", r"(a)\1"),
            QueryString("details.username:("),
            Subnet(_ADDRESS, ["10.0.0.0/33"]),
            Range(_ADDRESS, gte="here"),
            Range("utctimestamp", gte="yesterday"),
            Range("details.size", gte=1, lt="large"),
        ],
    )
    def test_a_query_without_meaning_is_refused(
        self, zoo: tuple[EventStore, dict[str, Event]], query: Query
    ) -> None:
        store, _ = zoo
        with pytest.raises(QueryError):
            store.search(Search(query))
        with pytest.raises(QueryError):
            store.count(query)
