"""What goes wrong is answered with a clear message, and the service stays up."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys

import pytest

from tests.running import Service, eventually

RAISING = """
from mozdef_core import Options, hookimpl
class Raising:
    Options = Options
    def __init__(self, options): pass
    @hookimpl
    def on_event(self, event):
        raise RuntimeError("this plugin is broken")
"""
SETUP = """
[metadata]
name = mozdef-raising
version = 1
[options]
py_modules = mozdef_raising
[options.entry_points]
mozdef.plugins =
    raising = mozdef_raising:Raising
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("wrong"), plugins=["linux"]).start()
    yield made
    assert made.stop() == 0


def check(tmp_path, text):
    config = tmp_path / "mozdef.toml"
    config.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "mozdef_core.services", "check", "--config", str(config)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip


def test_every_typing_mistake_is_named_with_what_would_be_right(tmp_path):
    result = check(
        tmp_path,
        'plugins = ["linnux", "geoip"]\n[cor]\nstore = "tantivy"\n[core]\nstor = "tantivy"\n[web]\nlisten = "nowhere"\n'
        '[plugin.geoip]\ndatabse = "x"\n[alerts]\nenabled = ["ssh_root_logn"]\n',
    )
    assert result.returncode == 1
    for words in ("did you mean 'linux'", "did you mean 'core'", "did you mean 'store'", "host:port",
                  "did you mean 'database'", "did you mean 'ssh_root_login'"):  # fmt: skip
        assert words in result.stdout, (words, result.stdout)
    assert "Traceback" not in result.stdout + result.stderr


def test_serve_says_that_a_port_is_in_use_and_ends(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one = Service(tmp_path / "web")
        one.config.write_text(one.config.read_text().replace(f":{one.port}", f":{taken.getsockname()[1]}"))
        two = Service(tmp_path / "syslog")
        two.config.write_text(
            two.config.read_text().replace(f":{two.syslog_port}", f":{taken.getsockname()[1]}")
        )
        for made, word in ((one, "web.listen"), (two, "input.syslog")):
            made.spawn()
            assert made.process.wait(30) == 1
            assert word in made.output()
            assert "address already in use" in made.output().lower()
            assert "Traceback" not in made.output()


def test_a_full_queue_holds_senders_back_and_is_worked_off(tmp_path):
    made = Service(tmp_path, inputs=[], tables="[queue.sqlite]\nlimit_bytes = 65536\n")
    made.spawn()
    try:
        assert eventually(made.ready)
        statuses, accepted = [], 0
        filler = [
            json.dumps({"summary": sys.intern(str(number)) * 50, "n": number}) for number in range(4_000)
        ]
        for _ in range(40):
            status, answer = made.post("/events", "\n".join(filler).encode())
            statuses.append(status)
            accepted += answer["accepted"]
            if status == 429:
                assert answer["errors"][0]["code"] == "queue-full"
                break
        assert set(statuses) <= {200, 429}
        assert eventually(lambda: made.count() == accepted, 60)
        assert made.post("/events", b'{"summary": "after"}')[0] == 200
    finally:
        assert made.stop() == 0


def test_a_plugin_that_raises_touches_nothing_else(tmp_path):
    source = tmp_path / "plugin"
    source.mkdir()
    (source / "mozdef_raising.py").write_text(RAISING)
    dist = source / "mozdef_raising-1.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: mozdef-raising\nVersion: 1\n")
    (dist / "entry_points.txt").write_text("[mozdef.plugins]\nraising = mozdef_raising:Raising\n")
    made = Service(tmp_path / "mozdef", plugins=["raising", "linux"], environ={"PYTHONPATH": str(source)})
    made.start()
    try:
        for number in range(8):
            made.post(
                "/events",
                json.dumps({"program": "su", "message": "(to root) ines on pts/1", "n": number}).encode(),
            )
        events = eventually(
            lambda: (found := made.search("details.originuser:ines")) and len(found) == 8 and found
        )
        codes = {
            note["code"]
            for event in events
            for note in event["mozdef"]["problems"]
            if note.get("plugin") == "raising"
        }
        assert "plugin-error" in codes
        troubles = eventually(lambda: [
            trouble for trouble in made.cli("status", check=False)["troubles"] if "raising is suspended" in trouble
        ])  # fmt: skip
        assert "this plugin is broken" in troubles[0]
    finally:
        assert made.stop() == 0


def test_a_broken_database_switches_the_look_up_off(tmp_path):
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"not a database")
    made = Service(
        tmp_path / "mozdef", plugins=["geoip"], tables=f'[plugin.geoip]\ndatabase = "{broken}"\n'
    ).start()
    try:
        made.post("/events", b'{"summary": "x", "src_ip": "81.2.69.160"}')
        assert eventually(lambda: made.count() == 1)
        assert "is not a database in the MaxMind format" in made.output()
    finally:
        assert made.stop() == 0


def test_a_body_of_100_mb_is_refused_with_the_limit(service):
    status, answer = service.post("/events", b" " * 100_000_000)
    assert status == 413
    assert str(32 * 2**20) in answer["errors"][0]["reason"]


def test_a_gzip_bomb_is_stopped(service):
    bomb = gzip.compress(b"0" * 400_000_000, 9)
    status, answer = service.post("/events", bomb, {"Content-Encoding": "gzip"})
    assert status == 413
    assert answer["errors"][0]["code"] == "too-large"


@pytest.mark.parametrize("body", [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000])
def test_what_is_nested_10000_deep_is_refused(service, body):
    status, answer = service.post("/events", body)
    assert status == 400
    assert answer["errors"][0]["code"] == "too-deep"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "empty-body"), (b"{", "invalid-json"), (b'"text"', "not-an-object"), (b"[1]", "not-an-object"),
     (b'{"a": NaN}', "invalid-number")],
)  # fmt: skip
def test_what_is_no_event_is_answered_with_a_code_and_a_reason(service, body, code):
    status, answer = service.post("/events", body)
    assert status == 400
    assert answer["errors"][0]["code"] == code
    assert answer["errors"][0]["reason"]


def test_the_good_items_of_a_batch_are_accepted_and_the_bad_one_is_kept(service):
    before = service.count()
    status, answer = service.post("/events", b'[{"summary": "good"}, 5, {"summary": "good too"}]')
    assert status == 400
    assert answer["accepted"] == 2
    assert answer["ids"][1] is None
    assert answer["errors"] == [
        {"index": 1, "code": "not-an-object", "reason": "item 1 is a number, an object is required"}
    ]
    assert eventually(lambda: service.count() == before + 2)
    letters = eventually(lambda: service.cli("dead-letters", "list", "--code", "not-an-object")["letters"])
    assert letters[0]["raw"] == "5"


def test_a_second_worker_says_why_it_cannot_start(service):
    result = service.run("worker", "--config", str(service.config))
    assert result.returncode == 1
    assert b"only one process may write to it" in result.stderr
    assert b"Traceback" not in result.stderr


def test_after_all_that_the_service_is_up(service):
    assert service.process.poll() is None
    before = service.count()
    assert service.post("/events", b'{"summary": "still here"}')[0] == 200
    assert eventually(lambda: service.count() == before + 1)
