from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_squid import Squid
from mozdef_squid.access import read_access

EXTENDED = {
    "1700000000.250 1250 10.20.30.40 50123 198.51.100.7 443 TCP_MISS 200 517 48213 GET "
    "https://shop.example/cart?id=7 HTTP/1.1 shop.example text/html": {
        "duration": 1.25,
        "sourceipaddress": "10.20.30.40",
        "sourceport": 50_123,
        "destinationipaddress": "198.51.100.7",
        "destinationport": 443,
        "proxyaction": "TCP_MISS",
        "status": "200",
        "requestsize": 517,
        "responsesize": 48_213,
        "method": "GET",
        "destination": "https://shop.example/cart?id=7",
        "host": "shop.example",
        "proto": "HTTP/1.1",
        "mimetype": "text/html",
    },
    "1700000000.250 0 2001:db8::40 - - - TCP_DENIED 403 90 3901 CONNECT [2001:db8::1]:8443 - - -": {
        "duration": 0.0,
        "sourceipaddress": "2001:db8::40",
        "sourceport": 0,
        "destinationport": 8443,
        "proxyaction": "TCP_DENIED",
        "status": "403",
        "requestsize": 90,
        "responsesize": 3_901,
        "method": "CONNECT",
        "destination": "[2001:db8::1]:8443",
        "host": "2001:db8::1",
        "proto": "ssl",
        "mimetype": "-",
    },
    "1700000000.250 3 10.20.30.40 50124 - - TCP_DENIED/403 403 - - GET https://ines:x@drop.example/a.exe - - text/html": {
        "duration": 0.003,
        "sourceipaddress": "10.20.30.40",
        "sourceport": 50_124,
        "destinationport": 443,
        "proxyaction": "TCP_DENIED",
        "status": "403",
        "method": "GET",
        "destination": "https://ines:x@drop.example/a.exe",
        "host": "drop.example",
        "proto": "-",
        "mimetype": "text/html",
    },
    "1700000000 5 10.20.30.40 50124 origin.example - TCP_MEM_HIT 200 80 900 GET http://cdn.example/x HTTP/1.1 - image/png": {
        "duration": 0.005,
        "sourceipaddress": "10.20.30.40",
        "sourceport": 50_124,
        "destinationport": 0,
        "proxyaction": "TCP_MEM_HIT",
        "status": "200",
        "requestsize": 80,
        "responsesize": 900,
        "method": "GET",
        "destination": "http://cdn.example/x",
        "host": "cdn.example",
        "proto": "HTTP/1.1",
        "mimetype": "image/png",
    },
}
NATIVE = {
    "1700000000.250   1250 10.20.30.40 TCP_TUNNEL/200 48213 CONNECT pastebin.com:443 ines HIER_DIRECT/198.51.100.7 -": {
        "duration": 1.25,
        "sourceipaddress": "10.20.30.40",
        "destinationipaddress": "198.51.100.7",
        "destinationport": 443,
        "proxyaction": "TCP_TUNNEL",
        "status": "200",
        "responsesize": 48_213,
        "method": "CONNECT",
        "destination": "pastebin.com:443",
        "host": "pastebin.com",
        "mimetype": "-",
        "username": "ines",
    },
    "1700000000.250      2 ws7.lab.example TCP_DENIED/403 3901 GET http://192.0.2.9/run.sh - HIER_NONE/- text/html": {
        "duration": 0.002,
        "source": "ws7.lab.example",
        "destinationport": 80,
        "proxyaction": "TCP_DENIED",
        "status": "403",
        "responsesize": 3_901,
        "method": "GET",
        "destination": "http://192.0.2.9/run.sh",
        "host": "192.0.2.9",
        "mimetype": "text/html",
    },
    "1700000000.250     -4 10.20.30.40 TCP_MISS_ABORTED/000 0 GET http://v6.example:8081/ - HIER_DIRECT/2001:db8::9 -": {
        "duration": -0.004,
        "sourceipaddress": "10.20.30.40",
        "destinationipaddress": "2001:db8::9",
        "destinationport": 8081,
        "proxyaction": "TCP_MISS_ABORTED",
        "status": "000",
        "responsesize": 0,
        "method": "GET",
        "destination": "http://v6.example:8081/",
        "host": "v6.example",
        "mimetype": "-",
    },
    "1700000000.250      0 10.20.30.40 NONE/400 4012 NONE error:invalid-request - HIER_NONE/- text/html": {
        "duration": 0.0,
        "sourceipaddress": "10.20.30.40",
        "proxyaction": "NONE",
        "status": "400",
        "responsesize": 4_012,
        "method": "NONE",
        "destination": "error:invalid-request",
        "mimetype": "text/html",
    },
}
LINES = {**EXTENDED, **NATIVE}


def one(make_host, document, **origin):
    (event,) = make_host(Squid).process(document, **origin).events
    return event


@pytest.mark.parametrize(("line", "fields"), LINES.items())
def test_a_line_gives_exactly_its_fields(line, fields):
    request = read_access(line)
    assert request is not None
    assert request.fields == fields


def test_a_request_is_an_event_of_the_proxy_at_the_time_when_it_began(make_host):
    line = next(iter(EXTENDED))
    sent = {
        "category": "proxy",
        "source": "access",
        "summary": line,
        "tags": ["squid", "dmz"],
        "host_from": "px1.example",
    }
    event = one(make_host, {**sent, "severity": "ERROR"})
    assert event.get("details") == EXTENDED[line]
    names = (
        "type",
        "category",
        "eventsource",
        "severity",
        "source",
        "hostname",
        "tags",
        "summary",
        "utctimestamp",
    )
    assert {name: event.get(name) for name in names} == {
        "type": "squid",
        "category": "proxy",
        "eventsource": "squid",
        "severity": "INFO",
        "source": "access",
        "hostname": "px1.example",
        "tags": ["squid", "dmz"],
        "summary": line,
        "utctimestamp": "2023-11-14T22:13:19.000000+00:00",
    }
    assert event.get("mozdef.problems") == []
    assert event.get("mozdef.plugins") == ["squid"]


@pytest.mark.parametrize(
    "sent",
    [
        {"program": "squid", "facility": "local4", "category": "syslog"},
        {"program": "squid"},
        {"category": "PROXY", "path": "/var/log/squid/access.log"},
        {"category": "proxy", "source": "squid_access"},
        {"processname": "/usr/sbin/squid", "source": "access"},
    ],
)
def test_a_line_is_read_whichever_way_it_came(sent, make_host):
    line, fields = next(iter(NATIVE.items()))
    event = one(make_host, {"message": line, **sent})
    assert {name: event.get(f"details.{name}") for name in fields} == fields
    assert event.get("category") == "proxy"
    assert event.get("source") == sent.get("source") or "source" not in sent
    assert event.get("eventsource") == "squid"


@pytest.mark.parametrize(
    "line",
    [
        "TCP_DENIED",
        "1700000000.250 12 10.20.30.40 TCP_MISS/200 77 GET http://a.example/ - HIER_NONE/-",
        "1700000000.250 12 10.20.30.40 TCP_MISS/200 77 GET http://a.example/ - HIER_NONE/- text/html more",
        "14/Nov/2023:22:13:20 12 10.20.30.40 TCP_MISS/200 77 GET http://a.example/ - HIER_NONE/- text/html",
        "1700000000.250 1250 10.20.30.40 x 198.51.100.7 443 TCP_MISS 200 517 48213 GET http://a/ HTTP/1.1 a text/html",
    ],
)
def test_a_line_of_neither_format_keeps_its_summary_and_is_noted(line, make_host):
    event = one(make_host, {"category": "proxy", "source": "access", "summary": line})
    assert event.get("summary") == line
    assert event.get("type") == "squid"
    assert event.get("details") == {}
    (note,) = [note for note in event.get("mozdef.problems") if "plugin" in note]
    assert (note["code"], note["plugin"]) == ("conversion-failed", "squid")


@pytest.mark.parametrize(
    ("source", "line"),
    [("cache", next(iter(EXTENDED))), ("local4", "Squid Parent: squid-1 process 881 started")],
)
def test_other_messages_of_the_proxy_are_not_split(source, line, make_host):
    sent = {"source": source} if source == "cache" else {"facility": source}
    event = one(make_host, {"program": "squid", "summary": line, **sent})
    assert event.get("type") == "squid"
    assert event.get("details") == {"program": "squid"}
    assert not [note for note in event.get("mozdef.problems") if "plugin" in note]


@pytest.mark.parametrize(
    "document",
    [
        {"category": "web", "source": "access", "summary": next(iter(NATIVE))},
        {"category": "syslog", "program": "nginx", "summary": "squid", "details": {"username": "squid"}},
    ],
)
def test_an_event_of_another_category_is_untouched(document, make_host):
    with_it, without = one(make_host, document), make_host().process(document).events[0]
    with_it.body["mozdef"].pop("worker"), without.body["mozdef"].pop("worker")
    assert with_it.body == without.body


@given(
    seconds=st.integers(10**9, 4 * 10**9),
    milliseconds=st.integers(0, 999),
    elapsed=st.integers(0, 10**8),
)
def test_a_request_began_before_it_was_logged(seconds, milliseconds, elapsed):
    request = read_access(f"{seconds}.{milliseconds:03d} {elapsed} 192.0.2.1 A/1 0 GET a.example:1 - N/- -")
    assert request is not None
    began = datetime.fromisoformat(request.began) + timedelta(milliseconds=elapsed)
    assert began == datetime.fromtimestamp(seconds, began.tzinfo) + timedelta(milliseconds=milliseconds)
    assert request.fields["duration"] == elapsed / 1000


WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=12)


@given(
    line=st.sampled_from([*LINES]),
    position=st.integers(0, 14),
    word=WORD | st.sampled_from(["-", "0", "99999", "/"]),
)
def test_a_line_with_any_word_in_it_is_read_or_it_is_not(line, position, word):
    words = line.split()
    words[position % len(words)] = word
    request = read_access(" ".join(words))
    assert request is None or all(value is not None for value in request.fields.values())


@given(st.text())
def test_no_line_makes_it_raise(line):
    assert read_access(line) is None or len(line.split()) in (10, 15)


def test_the_plugin_keeps_the_contract(run_contract, make_event):
    run_contract(
        Squid, events=[make_event(category="proxy", source="access", summary=line) for line in LINES]
    )
