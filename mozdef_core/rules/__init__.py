"""Rules: detections as small classes. A rule is a plugin whose ``alert_match`` follows from what it declares."""

from __future__ import annotations

from mozdef_core.rules.aggregation import AggregationOptions, AggregationRule
from mozdef_core.rules.deadman import Awaited, DeadmanOptions, DeadmanRule
from mozdef_core.rules.event import EventRule
from mozdef_core.rules.group import UNKNOWN, Group
from mozdef_core.rules.new_value import NewValueOptions, NewValueRule
from mozdef_core.rules.pack import RulePack
from mozdef_core.rules.rule import Mode, Rule, RuleOptions, ScheduledOptions
from mozdef_core.rules.schedule import STREAM, read_schedule
from mozdef_core.rules.sequence import SequenceOptions, SequenceRule, Step
from mozdef_core.rules.state import StateOptions, StateRule

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
    "NewValueOptions",
    "NewValueRule",
    "Rule",
    "RuleOptions",
    "RulePack",
    "ScheduledOptions",
    "SequenceOptions",
    "SequenceRule",
    "StateOptions",
    "StateRule",
    "Step",
    "read_schedule",
]
