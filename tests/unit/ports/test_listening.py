from __future__ import annotations

import pytest

from mozdef_core.ports.listening import listens, parts_of, stored_until_us


def test_a_worker_vouches_for_the_queue_it_can_ask_and_the_inputs_it_runs() -> None:
    inputs = {"syslog": {"running": True}, "files": {"running": False}, "amqp": {"running": True}}
    counters = {"queue": {"items": 0, "size_bytes": 0, "oldest_us": None}, "inputs": inputs}
    assert parts_of("worker", counters) == ["worker", "queue", "input:amqp", "input:syslog"]
    assert parts_of("worker", {"queue": {"error": "it is away"}, "inputs": {}}) == ["worker"]
    assert parts_of("web", {"requests": {"events.accepted": 3}}) == ["web"]


@pytest.mark.parametrize("missing", ["web", "queue", "worker"])
def test_without_one_of_the_three_nobody_listens(missing: str) -> None:
    assert listens({"web", "queue", "worker"})
    assert listens({"input:syslog", "queue", "worker", "scheduler"})
    assert not listens({"web", "queue", "worker"} - {missing})


def test_without_workers_nobody_knows_what_is_stored() -> None:
    assert stored_until_us([]) is None
    assert stored_until_us([{"worker": {"watermark_us": 7}}]) == 7
    assert stored_until_us([{"worker": {"watermark_us": 7}, "queue": {"oldest_us": 9}}]) == 7
    assert stored_until_us([{"worker": {"watermark_us": 7}}, {"worker": None}]) is None
