"""Published client libraries, unchanged, deliver."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.running import Service, eventually, folder

BULK = """
import sys
from {module} import helpers, {name}
client = {make}
actions = [
    {{"_op_type": kind, "_index": "events", "_id": key, "_source": {{"summary": f"{{kind}} {{key}}", "n": key}}}}
    for kind, key in (("index", "a"), ("create", "b"), ("index", "c"))
]
print(helpers.bulk(client, actions))
print(helpers.bulk(client, actions))
"""
ELASTIC = '{name}("http://127.0.0.1:" + sys.argv[1])'
CLIENTS = {
    "elasticsearch8": BULK.format(
        module="elasticsearch", name="Elasticsearch", make=ELASTIC.format(name="Elasticsearch")
    ),
    "elasticsearch9": BULK.format(
        module="elasticsearch", name="Elasticsearch", make=ELASTIC.format(name="Elasticsearch")
    ),
    "opensearch2": BULK.format(
        module="opensearchpy", name="OpenSearch",
        make='OpenSearch(hosts=[{"host": "127.0.0.1", "port": int(sys.argv[1])}], http_compress=True)',
    ),
    "opensearch3": BULK.format(
        module="opensearchpy", name="OpenSearch",
        make='OpenSearch(hosts=[{"host": "127.0.0.1", "port": int(sys.argv[1])}], http_compress=True)',
    ),
}  # fmt: skip
MOZDEF = """
import sys, mozdef_client
for number in range(3):
    event = mozdef_client.MozDefEvent("http://127.0.0.1:%s/events" % sys.argv[1])
    event.summary = "login failed %d" % number
    event.set_category("authentication")
    event.tags = ["client"]
    event.set_severity(mozdef_client.MozDefEvent.SEVERITY_WARNING)
    event.details = {"username": "bob", "n": number}
    event.set_fire_and_forget(False)
    event.send()
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("clients")).start()
    yield made
    assert made.stop() == 0


def run(name, script, port):
    path = folder("MOZDEF_TEST_CLIENTS") / name
    environ = {**os.environ, "PYTHONPATH": str(path), "NO_PROXY": "127.0.0.1"}
    result = subprocess.run(
        [sys.executable, "-c", script, str(port)], env=environ, capture_output=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_bulk_helper_delivers_and_its_repeat_is_a_success_that_stores_nothing(service, name):
    before = service.count()
    script = CLIENTS[name]
    for key in "abc":
        script = script.replace(f'"{key}"', f'"{name}{key}"')
    assert run(name, script, service.port).splitlines() == ["(3, [])", "(3, [])"]
    eventually(lambda: service.count() >= before + 3)
    assert service.count() == before + 3
    newest = service.search(f"mozdef.input.sender_id:{name}b")
    assert [event["summary"] for event in newest] == [f"create {name}b"]
    assert newest[0]["mozdef"]["input"]["index"] == "events"


def test_the_classic_client_delivers(service):
    run("mozdef", MOZDEF, service.port)
    events = eventually(lambda: (found := service.search("tags:client")) and len(found) == 3 and found)
    assert sorted(event["summary"] for event in events) == [f"login failed {number}" for number in range(3)]
    for event in events:
        assert event["category"] == "authentication"
        assert event["severity"] == "WARNING"
        assert event["details"]["username"] == "bob"
