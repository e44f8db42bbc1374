"""``mozdef notify``: what it says of notifiers and routes, with a receiver that this test makes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mozdef_core.services.cli import main

pytest.importorskip("mozdef_webhook")


class Receiver(HTTPServer):
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(receiver: Receiver, tmp_path: Path) -> Path:
    path = tmp_path / "mozdef.toml"
    path.write_text(
        'plugins = ["webhook"]\n'
        f'[plugin.webhook]\nurl = "http://127.0.0.1:{receiver.server_port}/hook"\n'
        '[[notify.routes]]\nquery = "severity:CRITICAL"\nnotifiers = ["webhook"]\nchannel = "now"\n'
        '[[notify.routes]]\nquery = "tags:ssh"\nnotifiers = ["webhook"]\nhours = "08:00-18:00"\n'
    )
    return path


def notify(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["notify", *arguments, "--config", str(config)])


def test_a_test_alert_goes_where_it_is_sent_and_nowhere_else(receiver: Receiver, config: Path) -> None:
    result = notify(config, "test", "webhook", "--channel", "#here")
    assert (result.output, result.exit_code) == ("webhook: sent to #here\n", 0)
    ((told),) = receiver.told
    assert told["alert"]["channel"] == "#here"
    assert told["alert"]["rule"] == "mozdef_test"
    assert not (config.parent / "var").exists()


def test_without_a_channel_the_routes_decide(receiver: Receiver, config: Path) -> None:
    result = notify(config, "test")
    assert (result.output, result.exit_code) == ("webhook: not told: no route takes it to webhook\n", 0)
    assert receiver.told == []
    result = notify(config, "test", "--severity", "critical", "--json")
    (told,) = json.loads(result.output)["results"]
    assert told == {
        "notifier": "webhook",
        "channel": "now",
        "reason": "route 1 (severity:CRITICAL)",
        "outcome": "sent",
        "text": "",
    }


def test_what_goes_wrong_is_said_and_ends_with_status_1(receiver: Receiver, config: Path) -> None:
    receiver.status = 404
    result = notify(config, "test", "webhook", "--channel", "x")
    assert result.exit_code == 1
    assert "webhook: failed to x: delivery-failed: DeliveryError: http://127.0.0.1" in result.output
    assert "answered 404" in result.output


def test_a_notifier_that_is_none_is_refused(config: Path) -> None:
    result = notify(config, "test", "webhok")
    assert result.exit_code == 1
    assert "no notifier 'webhok' is enabled; did you mean 'webhook'?" in result.output
    config.write_text("")
    assert "no notifier is enabled" in notify(config, "test").output
    config.write_text('[[notify.routes]]\nnotifiers = ["mail"]\n')
    assert "notify.routes[0].notifiers: no notifier 'mail' is enabled" in notify(config, "routes").output


@pytest.mark.parametrize(
    ("arguments", "channel", "reason"),
    [
        (["--severity", "CRITICAL"], "now", "route 1 (severity:CRITICAL)"),
        (["--tag", "ssh", "--at", "2026-01-05T09:00:00Z"], "", "route 2 (tags:ssh)"),
        (
            ["--tag", "ssh", "--at", "2026-01-05T19:00:00Z"],
            None,
            "no route takes it to webhook; route 2 (tags:ssh) is not within its hours",
        ),
        (["--severity", "DEBUG"], None, "the alert is not meant to notify anybody"),
    ],
)
def test_who_would_be_told_is_said_with_the_reason(
    config: Path, arguments: list[str], channel: str | None, reason: str
) -> None:
    (found,) = json.loads(notify(config, "routes", "--json", *arguments).output)["routes"]
    assert found == {"notifier": "webhook", "channel": channel, "reason": reason}
    assert notify(config, "routes", *arguments).exit_code == 0


def test_an_alert_of_the_database_can_be_asked_about(config: Path) -> None:
    result = notify(config, "routes", "0f" * 13)
    assert result.exit_code == 1
    assert "0f0f" in result.output


def test_a_severity_that_is_none_is_refused(config: Path) -> None:
    assert "expected one of EMERGENCY" in notify(config, "routes", "--severity", "loud").output
