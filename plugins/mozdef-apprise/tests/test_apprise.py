"""Apprise, with a service that this test makes: its ``json://`` posts to any web server."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mozdef_apprise import AppriseNotifier

from mozdef_core import Alert, DeliveryError, Moment, Occasion, Severity, Site

SECRET = "t0ken-of-the-test"


def alert(**fields):
    fields = {"severity": Severity.CRITICAL, "id": "0f" * 13, **fields}
    return Alert("r", fields.pop("summary", "root <b>came</b> in"), Moment(1, "a"), Moment(1, "a"), **fields)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, json.loads(body)))
        refused = self.server.refuse.get(self.path.split("?")[0].strip("/"), 0)
        self.server.refuse[self.path.split("?")[0].strip("/")] = refused - 1
        self.send_response(500 if refused > 0 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.refuse = [], {}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make(service, monkeypatch):
    def make_notifier(channels=None, **options):
        port = service.server_port
        for name in ("chat", "pager", "other"):
            monkeypatch.setenv(f"URL_{name.upper()}", f"json://user:{SECRET}@127.0.0.1:{port}/{name}/")
        channels = channels or {"default": ["env:URL_CHAT"], "oncall": ["env:URL_CHAT", "env:URL_PAGER"]}
        return AppriseNotifier(AppriseNotifier.Options(channels=channels, **options))

    return make_notifier


def tell(notifier, told, occasion=Occasion.RAISED, delivery="0f:1:apprise"):
    return notifier.alert_action(alert=told, occasion=occasion, delivery=delivery)


def paths(service):
    return [path.split("?")[0].strip("/") for path, _ in service.requests]


def test_an_alert_reaches_the_service_with_its_link(service, make):
    notifier = make()
    notifier.use_site(Site(web_url="https://siem.example"))
    assert tell(notifier, alert()) is None
    ((_, body),) = service.requests
    assert body["message"] == f"[CRITICAL] root <b>came</b> in\nhttps://siem.example/alerts/{'0f' * 13}"
    assert (body["title"], body["type"]) == ("", "failure")


def test_a_long_message_is_cut_and_its_link_is_not(service, make):
    notifier = make()
    notifier.use_site(Site(web_url="https://siem.example"))
    tell(notifier, alert(summary="x" * 2_000))
    message = service.requests[0][1]["message"]
    assert len(message) == 450
    assert message.endswith(f"…\nhttps://siem.example/alerts/{'0f' * 13}")


@pytest.mark.parametrize(
    ("channel", "expected"), [("", ["chat"]), ("oncall", ["chat", "pager"]), ("#unknown", ["chat"])]
)
def test_a_channel_is_a_list_of_services(service, make, channel, expected):
    tell(make(), alert(channel=channel))
    assert paths(service) == expected


def test_only_the_service_that_did_not_take_it_is_asked_again(service, make):
    notifier = make()
    service.refuse["pager"] = 1
    with pytest.raises(DeliveryError, match="'oncall': not taken by service 2") as caught:
        tell(notifier, alert(channel="oncall"))
    assert not caught.value.final
    tell(notifier, alert(channel="oncall"))
    assert paths(service) == ["chat", "pager", "pager"]
    tell(notifier, alert(channel="oncall"), delivery="0f:2:apprise")
    assert paths(service)[3:] == ["chat", "pager"]


def test_an_address_is_told_to_nobody(service, make, caplog):
    caplog.set_level(logging.DEBUG)
    notifier = make()
    service.refuse["chat"] = 1
    with pytest.raises(DeliveryError) as caught:
        tell(notifier, alert())
    assert SECRET not in str(caught.value) + repr(notifier.options) + caplog.text


@pytest.mark.parametrize("url", ["nothing", "nosuchservice://" + SECRET, "slack://", ""])
def test_an_address_that_stands_for_no_service_is_refused_at_start_and_not_told(
    make, monkeypatch, caplog, url
):
    monkeypatch.setenv("URL_BAD", url)
    with pytest.raises(ValueError, match=r"channels.default: address 2 is none|not set") as caught:
        make({"default": ["env:URL_CHAT", "env:URL_BAD"]})
    assert SECRET not in str(caught.value) + caplog.text


@pytest.mark.parametrize(
    "channels", [{"oncall": ["env:URL_CHAT"]}, {"default": []}, {"default": ["json://x"]}]
)
def test_channels_that_cannot_work_are_refused_at_start(make, channels):
    with pytest.raises(ValueError, match="default"):
        make(channels)


@pytest.mark.parametrize(
    ("severity", "kind"), [("ERROR", "failure"), ("WARNING", "warning"), ("NOTICE", "info")]
)
def test_the_service_is_told_how_bad_it_is(service, make, severity, kind):
    tell(make(), alert(severity=Severity(severity)))
    assert service.requests[0][1]["type"] == kind


def test_the_plugin_keeps_the_contract(run_contract, make):
    make()
    run_contract(AppriseNotifier, {"channels": {"default": ["env:URL_CHAT"]}})
