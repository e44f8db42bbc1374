from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mozdef_pagerduty import PagerDuty

from mozdef_core import Alert, DeliveryError, Moment, Occasion, Severity, Site

ALERT = Alert(
    rule="bruteforce_ssh",
    summary="12 ssh bruteforce attempts\nby 203.0.113.9",
    first=Moment(1_760_000_000_000_000, "a"),
    last=Moment(1_760_000_060_000_000, "b"),
    severity=Severity.ERROR,
    category="bruteforce",
    tags=("ssh", "page"),
    count=12,
    group=("details.sourceipaddress", "203.0.113.9"),
    details={"sourceipaddress": "203.0.113.9"},
    id="0f" * 13,
)


class Service(HTTPServer):
    """Answers as the events interface does, and takes nothing that it would not."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.events, self.answers = [], []
        self.url = f"http://127.0.0.1:{self.server_port}/v2/enqueue"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.events.append(event)
        status, headers = self.server.answers.pop(0) if self.server.answers else (202, {})
        errors = list(self.problems(event))
        body = {"status": "success", "message": "Event processed", "dedup_key": event.get("dedup_key")}
        if errors and status == 202:
            status, body = (
                400,
                {"status": "invalid event", "message": "Event object is invalid", "errors": errors},
            )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        data = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @staticmethod
    def problems(event):
        if len(event.get("routing_key", "")) != 32:
            yield "'routing_key' is invalid (must be a 32 character string)"
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            yield "'event_action' is invalid"
        if event.get("event_action") == "trigger":
            payload = event.get("payload", {})
            yield from (
                f"'payload.{name}' is missing" for name in ("summary", "source") if not payload.get(name)
            )
            if len(payload.get("summary", "")) > 1024:
                yield "'payload.summary' is too long"
            if payload.get("severity") not in ("critical", "error", "warning", "info"):
                yield "'payload.severity' is invalid"

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    server = Service()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def send(service, monkeypatch):
    monkeypatch.setenv("KEY_DNS", "d" * 32)
    monkeypatch.setenv("KEY_SSH", "s" * 32)
    monkeypatch.setenv("KEY_PAGE", "p" * 32)
    integrations = [
        {"service_key": "env:KEY_DNS", "tag": "dns"},
        {"service_key": "env:KEY_SSH", "tag": "ssh", "doc": "https://wiki.example/ssh"},
        {"service_key": "env:KEY_PAGE", "tag": "page"},
    ]
    made = []

    def send(alert=ALERT, occasion=Occasion.RAISED, **options):
        options = {"endpoint": service.url, "integrations": integrations, **options}
        made.append(PagerDuty(PagerDuty.Options(**options)))
        made[-1].use_site(Site(web_url="https://siem.example"))
        return made[-1].alert_action(alert=alert, occasion=occasion)

    yield send
    for plugin in made:
        plugin.close()


def test_an_incident_is_opened_at_the_first_integration_whose_tag_the_alert_has(service, send):
    assert send().note == "sent trigger to the service for ssh"
    (event,) = service.events
    payload = event.pop("payload")
    assert event == {
        "routing_key": "s" * 32,
        "event_action": "trigger",
        "dedup_key": ALERT.id,
        "client": "MozDef",
        "client_url": f"https://siem.example/alerts/{ALERT.id}",
        "links": [
            {"href": f"https://siem.example/alerts/{ALERT.id}", "text": "the alert in MozDef"},
            {"href": "https://wiki.example/ssh", "text": "run book"},
        ],
    }
    assert payload.pop("custom_details")["details"] == {"sourceipaddress": "203.0.113.9"}
    assert payload.pop("timestamp").startswith("2025-10-09T08:53:20")
    assert payload == {
        "summary": "12 ssh bruteforce attempts by 203.0.113.9",
        "source": "203.0.113.9",
        "severity": "error",
        "component": "bruteforce_ssh",
        "class": "bruteforce",
    }


@pytest.mark.parametrize(
    ("occasion", "action"),
    [
        (Occasion.RAISED, "trigger"),
        (Occasion.EXTENDED, "trigger"),
        (Occasion.REPEATED, "trigger"),
        (Occasion.ACKNOWLEDGED, "acknowledge"),
        (Occasion.CLOSED, "resolve"),
        (Occasion.RECOVERED, "resolve"),
    ],
)
def test_what_happens_to_the_alert_happens_to_the_same_incident(service, send, occasion, action):
    send(occasion=occasion)
    assert [(event["event_action"], event["dedup_key"]) for event in service.events] == [(action, ALERT.id)]
    assert ("payload" in service.events[0]) is (action == "trigger")


@pytest.mark.parametrize("severity", Severity)
def test_every_severity_has_one_there(service, send, severity):
    send(replace(ALERT, severity=severity))
    order = {
        "EMERGENCY": "critical",
        "ALERT": "critical",
        "CRITICAL": "critical",
        "ERROR": "error",
        "WARNING": "warning",
    }
    assert service.events[0]["payload"]["severity"] == order.get(severity.value, "info")


@pytest.mark.parametrize("summary", ["x" * 2_000, "", " \n "])
def test_an_odd_summary_is_made_acceptable(service, send, summary):
    send(replace(ALERT, summary=summary, group=None))
    assert service.events[0]["payload"]["source"] == "MozDef"


def test_an_alert_without_such_a_tag_is_left_alone(service, send):
    change = send(replace(ALERT, tags=("vpn",)))
    assert (change.skipped, change.note) == (True, "no integration has one of the alert's tags")
    assert service.events == []


def test_a_muted_alert_opens_no_incident_and_may_still_end_one(service, send):
    muted = replace(ALERT, notify=False)
    assert send(muted).skipped
    send(muted, Occasion.CLOSED)
    assert [event["event_action"] for event in service.events] == ["resolve"]


def test_a_dry_run_sends_nothing(service, send):
    assert send(dry_run=True).note == "dry run: trigger would be sent to the service for ssh"
    assert service.events == []


def test_its_own_address_of_the_pages_goes_before_the_sites(service, send):
    send(web_url="https://other.example/")
    assert service.events[0]["client_url"] == f"https://other.example/alerts/{ALERT.id}"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_answer_that_may_change_asks_for_another_try(service, send, status):
    service.answers = [(status, {"Retry-After": "7"})]
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        send()
    assert (caught.value.retry_after_s, caught.value.final) == (7, False)


def test_what_is_wrong_with_an_event_is_told_and_final_and_the_key_is_not(service, send, monkeypatch):
    monkeypatch.setenv("KEY_SSH", "too-short-a-key")
    with pytest.raises(DeliveryError, match="answered 400: 'routing_key' is invalid") as caught:
        send()
    assert caught.value.final
    assert "too-short-a-key" not in str(caught.value)


def test_a_service_that_is_away_asks_for_another_try(send):
    with pytest.raises(DeliveryError) as caught:
        send(endpoint="http://127.0.0.1:1/v2/enqueue")
    assert not caught.value.final


@pytest.mark.parametrize(
    "wrong", [{"integrations": []}, {"endpoint": "ftp://x/"}, {"web_url": "https://user:pass@siem.example"}]
)
def test_options_that_make_no_sense_are_refused(send, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        send(**wrong)


def test_the_plugin_keeps_the_contract(run_contract, service, monkeypatch):
    monkeypatch.setenv("KEY_SSH", "s" * 32)
    run_contract(
        PagerDuty,
        options={"endpoint": service.url, "integrations": [{"service_key": "env:KEY_SSH", "tag": "ssh"}]},
    )
