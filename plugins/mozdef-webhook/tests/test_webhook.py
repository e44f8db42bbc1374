from __future__ import annotations

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mozdef_webhook import Webhook, retry_after_s

from mozdef_core import Alert, DeliveryError, Moment, Occasion, Severity

ALERT = Alert(
    rule="ssh_root_login",
    summary="root came in",
    first=Moment(1, "a"),
    last=Moment(1, "a"),
    severity=Severity.WARNING,
    id="0f" * 13,
)


class Receiver(HTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.answers = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make_webhook(receiver, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", "s3cret-of-the-test")
    made = []

    def make(**options):
        options = {"url": receiver.url, "secret": "env:HOOK_SECRET", **options}
        made.append(Webhook(Webhook.Options(**options)))
        return made[-1]

    yield make
    for plugin in made:
        plugin.close()


def test_the_receiver_can_check_who_sent_it_and_when(receiver, make_webhook):
    assert make_webhook().alert_action(alert=ALERT, occasion=Occasion.RAISED) is None
    ((headers, body),) = receiver.requests
    signed = headers["MozDef-Timestamp"].encode() + b"." + body
    expected = hmac.new(b"s3cret-of-the-test", signed, hashlib.sha256).hexdigest()
    assert headers["MozDef-Signature"] == f"sha256={expected}"
    document = json.loads(body)
    assert document["occasion"] == "raised"
    assert document["alert"]["summary"] == "root came in"
    assert document["alert"]["id"] == ALERT.id


def test_a_repeat_carries_the_same_delivery_and_another_occasion_another(receiver, make_webhook):
    plugin = make_webhook()
    for occasion in (Occasion.RAISED, Occasion.RAISED, Occasion.CLOSED):
        plugin.alert_action(alert=ALERT, occasion=occasion)
    first, again, other = (headers["MozDef-Delivery"] for headers, _ in receiver.requests)
    assert first == again != other


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_answer_that_may_change_asks_for_another_try(receiver, make_webhook, status):
    receiver.answers = [(status, {"Retry-After": "7"})]
    with pytest.raises(DeliveryError) as caught:
        make_webhook().alert_action(alert=ALERT, occasion=Occasion.RAISED)
    assert caught.value.retry_after_s == 7
    assert not caught.value.final
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
def test_an_answer_that_will_not_change_is_final(receiver, make_webhook, status):
    receiver.answers = [(status, {"Location": receiver.url})]
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        make_webhook().alert_action(alert=ALERT, occasion=Occasion.RAISED)
    assert caught.value.final
    assert len(receiver.requests) == 1


def test_a_receiver_that_is_down_asks_for_another_try_and_the_secret_stays_secret(make_webhook):
    plugin = make_webhook(url="http://127.0.0.1:1/hook")
    with pytest.raises(DeliveryError) as caught:
        plugin.alert_action(alert=ALERT, occasion=Occasion.RAISED)
    assert "s3cret" not in str(caught.value) + repr(plugin.options)


def test_alerts_that_are_not_meant_to_notify_are_sent_only_on_request(receiver, make_webhook):
    quiet = Alert(rule="r", summary="s", first=Moment(1, "a"), last=Moment(1, "a"), severity=Severity.INFO)
    make_webhook().alert_action(alert=quiet, occasion=Occasion.RAISED)
    assert receiver.requests == []
    make_webhook(all_alerts=True).alert_action(alert=quiet, occasion=Occasion.RAISED)
    make_webhook(all_alerts=True, occasions=["closed"]).alert_action(alert=quiet, occasion=Occasion.RAISED)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("url", ["ftp://x/", "hooks.example", "https://user:pass@hooks.example/"])
def test_an_address_that_cannot_be_posted_to_is_refused_at_start(url):
    with pytest.raises(ValueError, match="address"):
        Webhook.Options(url=url)


def test_retry_after_is_read_in_both_forms():
    assert retry_after_s("120") == 120
    assert retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    assert retry_after_s("soon") is None


def test_the_plugin_keeps_the_contract(run_contract, receiver):
    run_contract(Webhook, options={"url": receiver.url})
