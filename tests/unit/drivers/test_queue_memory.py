from __future__ import annotations

from typing import Any

import pytest

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.errors import QueueUnavailableError
from mozdef_core.testing_contracts.queue import OpenQueue, QueueContract, items


class TestMemoryQueue(QueueContract):
    @pytest.fixture
    def open_queue(self) -> OpenQueue:
        def open_queue(**options: Any) -> MemoryQueue:
            return MemoryQueue(MemoryQueue.Options(**options))

        return open_queue

    def test_a_closed_queue_takes_nothing_more(self) -> None:
        queue = MemoryQueue(MemoryQueue.Options())
        queue.close()
        with pytest.raises(QueueUnavailableError, match="closed"):
            queue.put(items(b"a"))
