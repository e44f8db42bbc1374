"""The whole way: real rsyslogd, real syslog-ng, a real sshd with real logins, a real receiver of the webhook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.running import Service, eventually, free_port, program

PASSWORD = "correct horse battery"


class Receiver(HTTPServer):
    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.documents = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.documents.append((time.time(), dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def service(tmp_path):
    hook = free_port()
    made = Service(
        tmp_path / "mozdef",
        plugins=["linux", "webhook"],
        environ={"HOOK_SECRET": "of the test"},
        tables=f'[plugin.webhook]\nurl = "http://127.0.0.1:{hook}/"\nsecret = "env:HOOK_SECRET"\n'
        '[alerts]\nenabled = ["ssh_root_login", "bruteforce_ssh"]\n[alerts.bruteforce_ssh]\nschedule = "1s"\n',
    )
    made.hook_port = hook
    made.start()
    yield made
    assert made.stop() == 0


@pytest.fixture
def sshd(tmp_path):
    """A real sshd on a port of its own that logs to a file, and what a client needs to log in to it."""
    sshd = program("MOZDEF_TEST_SSHD")
    program("MOZDEF_TEST_SSH", "ssh")
    if os.geteuid() != 0:
        pytest.skip("sshd needs root to let root in")
    at = tmp_path / "sshd"
    at.mkdir(mode=0o700)
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(at / name)], check=True)
    (at / "authorized").write_text((at / "user.pub").read_text())
    port = free_port()
    (at / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile {at}/pid\nAuthorizedKeysFile {at}/authorized\n"
        "PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nStrictModes no\nLogLevel VERBOSE\nMaxAuthTries 6\n"
    )
    log = (at / "log").open("wb")
    process = subprocess.Popen([sshd, "-D", "-e", "-f", str(at / "config")], stderr=log)
    common = ["ssh", "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
              "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-F", "none"]  # fmt: skip

    def log_in(user, key):
        return subprocess.run(
            [*common, "-i", str(at / key), f"{user}@127.0.0.1", "true"],
            capture_output=True,
            timeout=30,
            check=False,
        ).returncode

    assert eventually(lambda: b"listening" in (at / "log").read_bytes())
    log_in.log = at / "log"
    yield log_in
    end(process)
    log.close()


def forward(path, port):
    """Send each line that sshd writes as sshd would have sent it to syslog, until it is told to stop."""
    stop = threading.Event()

    def run():
        offset = 0
        while not stop.is_set():
            content = path.read_bytes()[offset:]
            for line in content.split(b"\n")[:-1]:
                offset += len(line) + 1
                text = line.decode().strip()
                if text:
                    subprocess.run(
                        ["logger", "-n", "127.0.0.1", "-P", str(port), "-T", "--rfc3164", "-p", "authpriv.info", "-t",
                         "sshd[4711]", "--", text],
                        check=True,
                    )  # fmt: skip
            stop.wait(0.05)

    thread = threading.Thread(target=run)
    thread.start()

    def finish():
        stop.set()
        thread.join()

    return finish


def attack(log_in):
    """Fail to log in as root with a key that is not known, then come in with the right one."""
    assert log_in("root", "stranger") != 0
    assert log_in("root", "user") == 0


def assert_each_line_arrived_once(service, log):
    lines = [line.strip() for line in log.read_text().splitlines() if line.strip()]
    eventually(lambda: service.count("details.program:sshd") >= len(lines))
    events = service.search("details.program:sshd")
    assert sorted(event["summary"] for event in events) == sorted(lines)
    return events


def assert_normalised(events):
    (accepted,) = [event for event in events if event["summary"].startswith("Accepted publickey for root")]
    failed = [event for event in events if event["summary"].startswith("Failed publickey for root")]
    for event in (accepted, *failed):
        details = event["details"]
        assert details["program"] == "sshd"
        assert details["username"] == "root"
        assert details["sourceipaddress"] == "127.0.0.1"
        assert details["sourceport"].isdigit()
        assert event["severity"] == "INFO"
        assert event["facility"] == "authpriv"
        assert event["utctimestamp"].endswith("+00:00")
        assert event["mozdefhostname"] == "siem.test"
        assert "linux" in event["mozdef"]["plugins"]
    assert accepted["details"]["success"] is True
    assert accepted["details"]["authstatus"] == "Accepted"
    assert accepted["details"]["keyfingerprint"].startswith("SHA256:")
    return accepted


def assert_alert_in_time(service, accepted):
    (alert,) = eventually(lambda: service.cli("alerts", "list")["alerts"])
    assert alert["rule"] == "ssh_root_login"
    raised = datetime.fromisoformat(alert["utctimestamp"])
    received = datetime.fromisoformat(accepted["receivedtimestamp"])
    assert (raised - received).total_seconds() < 2
    return alert


def assert_delivered(receiver, alert):
    found = eventually(lambda: [one for one in receiver.documents if one[2]["occasion"] == "raised"], 30)
    assert [document["alert"]["id"] for _, _, document in found] == [alert["id"]]
    assert found[0][1]["MozDef-Signature"].startswith("sha256=")


RSYSLOG = """
global(workDirectory="{at}" maxMessageSize="64k")
module(load="imtcp") module(load="omelasticsearch")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="out")
template(name="evt" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="program" name="programname" format="jsonf")
  property(outname="procid" name="procid" format="jsonf")
  property(outname="message" name="msg" format="jsonf" controlcharacters="escape")
}}
ruleset(name="out") {{ {action} }}
"""
ELASTICSEARCH = (
    'action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" template="evt" searchIndex="events" '
    'searchType="" bulkmode="on" queue.type="linkedList" queue.dequeueBatchSize="500" '
    'action.resumeRetryCount="-1" action.resumeInterval="1")'
)
PLAIN = (
    'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" '
    'queue.type="linkedList" action.resumeRetryCount="-1" action.resumeInterval="1")'
)


@pytest.fixture(params=["rsyslog-bulk", "rsyslog-syslog", "syslog-ng-http", "syslog-ng-syslog", "direct"])
def shipper(request, tmp_path, service):
    """A port that takes syslog lines and a shipper behind it that hands them on in its way."""
    if request.param == "direct":
        yield service.syslog_port
        return
    at = tmp_path / "shipper"
    at.mkdir()
    port = free_port()
    if request.param.startswith("rsyslog"):
        action = ELASTICSEARCH.format(port=service.port)
        if request.param == "rsyslog-syslog":
            action = PLAIN.format(port=service.syslog_port)
        (at / "conf").write_text(RSYSLOG.format(at=at, port=port, action=action))
        command = [program("MOZDEF_TEST_RSYSLOGD"), "-n", "-i", str(at / "pid"), "-f", str(at / "conf")]
    else:
        destination = (
            f'http(url("{service.url}/nxlog") method("POST") batch-lines(100) batch-timeout(200) '
            'body("$(format-json --scope rfc5424 --exclude SOURCE --key ISODATE)\\n"))'
            if request.param == "syslog-ng-http"
            else f'syslog("127.0.0.1" transport("tcp") port({service.syslog_port}))'
        )
        (at / "conf").write_text(
            "@version: 3.35\noptions { keep-hostname(yes); stats-freq(0); time-reopen(1); };\n"
            f'source s {{ network(ip("127.0.0.1") transport("tcp") port({port})); }};\n'
            f"destination d {{ {destination}; }};\nlog {{ source(s); destination(d); }};\n"
        )
        command = [program("MOZDEF_TEST_SYSLOG_NG"), "-F", "--no-caps", "-f", str(at / "conf"), "-R",
                   str(at / "persist"), "-p", str(at / "pid"), "-c", str(at / "ctl")]  # fmt: skip
    with (at / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    assert eventually(lambda: listening(port)), (at / "log").read_text()
    yield port
    end(process)


def listening(port):
    return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()


def test_an_ssh_login_becomes_events_an_alert_and_a_message(service, shipper, sshd):
    receiver = Receiver(service.hook_port)
    finish = forward(sshd.log, shipper)
    try:
        attack(sshd)
        eventually(lambda: b"Accepted publickey" in sshd.log.read_bytes())
        time.sleep(0.5)  # sshd still writes that the session is over
    finally:
        finish()
    events = assert_each_line_arrived_once(service, sshd.log)
    accepted = assert_normalised(events)
    alert = assert_alert_in_time(service, accepted)
    assert_delivered(receiver, alert)
    receiver.stop()


def guessing(service):
    """Return the alerts about guessing over ssh, once the rule has looked again at everything that has arrived."""
    key = "bruteforce_ssh"
    before = service.cli("status")["rules"].get(key, {}).get("runs", 0)
    eventually(lambda: service.cli("status")["rules"].get(key, {}).get("runs", 0) >= before + 3, 30)
    return [alert for alert in service.cli("alerts", "list")["alerts"] if alert["rule"] == key]


def test_guessing_over_ssh_is_exactly_one_alert_by_every_route(service, shipper, sshd):
    finish = forward(sshd.log, shipper)
    try:
        for _ in range(12):
            assert sshd("root", "stranger") != 0
        eventually(lambda: sshd.log.read_bytes().count(b"Failed publickey") == 12)
        time.sleep(0.5)  # sshd still writes that the connection is closed
    finally:
        finish()
    assert_each_line_arrived_once(service, sshd.log)
    eventually(lambda: guessing(service), 30)
    (alert,) = guessing(service)
    assert alert["group"] == {"field": "details.sourceipaddress", "value": "127.0.0.1"}
    assert alert["count"] == 12


def test_400_attempts_among_5000_other_matches_are_one_alert(service):
    def failed(number, address):
        text = f"Failed password for invalid user u{number % 7} from {address} port 50122 ssh2"
        return json.dumps(
            {"program": "sshd", "host": f"db{number % 40}", "message": text, "category": "syslog"}
        )

    lines = [failed(number, f"198.51.{number // 200}.{number % 200}") for number in range(5_000)]
    for number in range(400):
        lines.insert(number * 13, failed(number, "203.0.113.9"))
    for start in range(0, len(lines), 900):
        status, _ = service.post("/events", "\n".join(lines[start : start + 900]).encode())
        assert status == 200
    eventually(lambda: service.count("details.program:sshd") == len(lines), 60)
    eventually(lambda: [alert for alert in guessing(service) if alert["count"] == 400], 60)
    (alert,) = guessing(service)
    assert alert["group"]["value"] == "203.0.113.9"


def test_a_receiver_that_was_down_gets_the_alert_when_it_is_back(service):
    line = b"<86>Nov 24 09:15:02 db4 sshd[811]: Accepted password for root from 203.0.113.9 port 50122 ssh2"
    status, _ = service.post("/events", json.dumps({"message": line.decode()}).encode())
    assert status == 200
    document = {"program": "sshd", "host": "db4", "message": line.decode().partition(": ")[2]}
    service.post("/events", json.dumps(document).encode())
    (alert,) = eventually(lambda: service.cli("alerts", "list")["alerts"])
    assert eventually(lambda: service.cli("alerts", "show", alert["id"])["errors"])
    receiver = Receiver(service.hook_port)
    assert_delivered(receiver, alert)
    receiver.stop()
    history = eventually(lambda: [
        entry for entry in service.cli("alerts", "show", alert["id"])["history"] if entry["actor"] == "webhook"
    ])  # fmt: skip
    assert history
