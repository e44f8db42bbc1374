"""The abstract drivers: what the core asks of a queue, a store, a scheduler, an input and the casework database."""

from __future__ import annotations

from mozdef_core.ports.book import (
    PRUNE_STEP,
    RAW_LIMIT_BYTES,
    AlertBook,
    BatchRecord,
    DeadLetter,
    Keep,
    OwedSpan,
    Pruned,
    StateDocument,
    Task,
    TaskResult,
)
from mozdef_core.ports.ledger import Interval, Lease, Ledger, Outcome, RunState
from mozdef_core.ports.queue import Delivery, Item, Origin, PutResult, Queue, QueueDepth
from mozdef_core.ports.running import Input, Intake, Job, JobState, Scheduler
from mozdef_core.ports.store import (
    Between,
    EventStore,
    FieldInfo,
    Page,
    StorePartition,
    StoreRefusal,
    StoreStatus,
)

__all__ = [
    "PRUNE_STEP",
    "RAW_LIMIT_BYTES",
    "AlertBook",
    "BatchRecord",
    "Between",
    "DeadLetter",
    "Delivery",
    "EventStore",
    "FieldInfo",
    "Input",
    "Intake",
    "Interval",
    "Item",
    "Job",
    "JobState",
    "Keep",
    "Lease",
    "Ledger",
    "Origin",
    "Outcome",
    "OwedSpan",
    "Page",
    "Pruned",
    "PutResult",
    "Queue",
    "QueueDepth",
    "RunState",
    "Scheduler",
    "StateDocument",
    "StorePartition",
    "StoreRefusal",
    "StoreStatus",
    "Task",
    "TaskResult",
]
