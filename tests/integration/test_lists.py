"""Lists and exceptions on a running service: what people keep is obeyed by searches and rules within seconds."""

from __future__ import annotations

import json

import pytest

from mozdef_core.event import isoformat, now_us
from tests.running import Service, eventually

EXCEPTION = "details.sourceipaddress:@scanners AND details.username:root"


@pytest.fixture
def service(tmp_path):
    made = Service(
        tmp_path, plugins=["linux"], inputs=[], tables='[alerts]\nenabled = ["ssh_root_login"]\n'
    ).start()
    yield made
    assert made.stop() == 0


def log_in(service, address):
    """Send what sshd says when root logs in."""
    event = {
        "summary": f"Accepted password for root from {address} port 52000 ssh2",
        "timestamp": isoformat(now_us()),
        "category": "syslog",
        "hostname": "web1.example",
        "processname": "sshd",
        "details": {"program": "sshd"},
    }
    status, answer = service.post("/events", json.dumps([event]).encode())
    assert (status, answer["accepted"]) == (200, 1)


def alerts(service):
    """Return the source addresses of the alerts."""
    found = service.cli("alerts", "list")["alerts"]
    return sorted(alert["details"]["sourceipaddress"] for alert in found)


def test_an_exception_over_a_list_is_obeyed_and_what_it_removes_is_counted(service):
    log_in(service, "198.51.100.1")
    assert eventually(lambda: alerts(service) == ["198.51.100.1"])
    service.cli("lists", "create", "scanners", "--kind", "addresses")
    assert service.cli("lists", "add", "scanners", "198.51.100.0/24", "--expires", "1h")["added"] == 1
    assert service.count("details.sourceipaddress:@scanners") == 1
    preview = service.cli("exceptions", "preview", EXCEPTION, "--tag", "root")
    assert (preview["matching"], preview["rules"]) == (
        1,
        [{"rule": "ssh_root_login", "alerts": 1, "hidden": 1, "events": 1}],
    )
    assert service.cli("exceptions", "preview", EXCEPTION, "--rule", "other")["rules"] == []
    made = service.cli(
        "exceptions", "create", EXCEPTION, "--tag", "root", "--reason", "our scanner", "--expires", "90d"
    )

    def excepted(number):
        """Log in until the worker has heard of the exception, which is within seconds."""
        log_in(service, "198.51.100.2")
        return eventually(lambda: service.cli("exceptions", "show", made["id"])["hits"] >= number, 3)

    assert eventually(lambda: excepted(1))
    shown = service.cli("exceptions", "show", made["id"])
    assert shown["samples"][-1]["rule"] == "ssh_root_login"
    seen = len(alerts(service))
    log_in(service, "203.0.113.9")
    assert eventually(lambda: "203.0.113.9" in alerts(service))
    assert len(alerts(service)) == seen + 1

    service.cli("lists", "remove", "scanners", "198.51.100.0/24")

    def alerted():
        log_in(service, "198.51.100.3")
        return eventually(lambda: "198.51.100.3" in alerts(service), 3)

    assert eventually(alerted)
    assert service.cli("exceptions", "end", made["id"])["state"] == "expired"


def test_a_large_list_comes_in_and_goes_out_and_is_searched(service, tmp_path):
    log_in(service, "10.9.2.3")
    assert eventually(lambda: service.count() == 1)
    service.cli("lists", "create", "many", "--kind", "addresses")
    path = tmp_path / "many.csv"
    lines = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(70_000)]
    path.write_text("value\n" + "\n".join(lines) + "\n")
    done = service.cli("lists", "import", "many", str(path))
    assert done == {"entries": 70_000, "added": 70_000, "removed": 0}
    assert service.count("details.sourceipaddress:@many") == 0
    path.write_text("value,comment\n10.9.2.0/24,lab\nnot an address,x\n")
    refused = service.run("lists", "import", "many", str(path), "--config", str(service.config))
    assert refused.returncode == 1
    assert b"line 3: expected an address or a network" in refused.stderr
    assert service.cli("lists", "show", "many")["entries"] == 70_000
    path.write_text("value,comment\n10.9.2.0/24,lab\n")
    assert service.cli("lists", "import", "many", str(path), "--replace")["removed"] == 70_000
    assert service.count("details.sourceipaddress:@many") == 1
    out = service.run("lists", "export", "many", "--config", str(service.config)).stdout.decode().splitlines()
    assert out[0] == "value,source,comment,added,expires"
    assert out[1].startswith("10.9.2.0/24,")
    assert service.cli("lists", "delete", "many", "--yes")["removed"] == 1
    assert (
        b"there is no list @many"
        in service.run("search", "details.sourceipaddress:@many", "--config", str(service.config)).stderr
    )
