from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.ports import Origin
from mozdef_core.services.intake import QueueIntake
from mozdef_core.services.story import ATTACKER, tell

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_story_is_told_in_order_within_half_a_minute() -> None:
    story = list(tell(BEGAN))
    moments = [after for after, _ in story]
    assert moments == sorted(moments)
    assert timedelta(0) <= moments[0] < moments[-1] < timedelta(seconds=31)
    assert [event["timestamp"] for _, event in story] == [(BEGAN + after).isoformat() for after in moments]


def test_the_attacker_guesses_comes_in_as_root_and_leaves() -> None:
    texts = [
        event["message"] for _, event in tell(BEGAN) if "message" in event and ATTACKER in event["message"]
    ]
    assert len(texts) == 26
    assert all(text.startswith("Failed password for ") for text in texts[:-2])
    assert texts[-2].startswith("Accepted password for root")
    assert texts[-1].startswith("Received disconnect")


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    assert list(tell(BEGAN, 7)) == list(tell(BEGAN, 7))
    first, second = ([event.get("message") for _, event in tell(BEGAN, seed)] for seed in (1, 2))
    assert first != second


def test_told_again_the_same_story_adds_nothing_and_another_one_does() -> None:
    queue = MemoryQueue(MemoryQueue.Options())
    intake = QueueIntake(queue, Origin("events", "http"))

    def hear(began: datetime, seed: int) -> tuple[int, int]:
        events = [event for _, event in tell(began, seed)]
        result = intake.put(
            [orjson.dumps(event) for event in events], sender_ids=[e["event_id"] for e in events]
        )
        return len(events), result.duplicates

    number, duplicates = hear(BEGAN, 1)
    assert duplicates == 0
    assert hear(BEGAN + timedelta(minutes=5), 1) == (number, number)
    assert hear(BEGAN, 2) == (number, 0)
