"""Rules: detections as small classes. A rule is a plugin whose ``alert_match`` follows from what it declares."""

from __future__ import annotations

from mozdef_core.rules.aggregation import AggregationOptions, AggregationRule
from mozdef_core.rules.deadman import Awaited, DeadmanOptions, DeadmanRule
from mozdef_core.rules.event import EventRule
from mozdef_core.rules.group import UNKNOWN, Group
from mozdef_core.rules.rule import Mode, Rule, RuleOptions, ScheduledOptions
from mozdef_core.rules.schedule import STREAM, read_schedule
from mozdef_core.rules.sequence import SequenceOptions, SequenceRule, Step

__all__ = [
    "STREAM",
    "UNKNOWN",
    "AggregationOptions",
    "AggregationRule",
    "Awaited",
    "DeadmanOptions",
    "DeadmanRule",
    "EventRule",
    "Group",
    "Mode",
    "Rule",
    "RuleOptions",
    "ScheduledOptions",
    "SequenceOptions",
    "SequenceRule",
    "Step",
    "read_schedule",
]
