"""MozDef: a self-hosted SIEM, a small core with plugins. This is what a plugin may import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mozdef_core.aggregation import aggregate
from mozdef_core.alert import Alert, AlertChange, Block, Moment, Occasion, Severity, Status
from mozdef_core.errors import (
    ConfigError,
    DeliveryError,
    InvalidItemError,
    MozdefError,
    QueryError,
    QueryTimeoutError,
    QueueError,
    StoreUnavailableError,
)
from mozdef_core.event import Change, Drop, Event, Problem, Refuse, Split, State
from mozdef_core.markers import hookimpl
from mozdef_core.normalise.settings import Recogniser
from mozdef_core.notification import Digest, Note, brief, headline
from mozdef_core.options import Duration, Field, Items, ListOption, Options, Secret
from mozdef_core.ports import EventStore, FieldInfo, Input, Intake, Page, PutResult
from mozdef_core.query.aggregations import (
    Aggregation,
    Cardinality,
    CardinalityResult,
    DateHistogram,
    GroupBucket,
    Groups,
    Histogram,
    Hits,
    Percentiles,
    PercentilesResult,
    Stats,
    StatsResult,
    TermsAgg,
    TimeBucket,
    TopHits,
)
from mozdef_core.query.groups import group_values, in_group
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    In,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    QueryString,
    Range,
    Regexp,
    Search,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.rules import (
    AggregationOptions,
    AggregationRule,
    Awaited,
    DeadmanOptions,
    DeadmanRule,
    EventRule,
    Group,
    NewValueOptions,
    NewValueRule,
    Rule,
    RuleOptions,
    RulePack,
    ScheduledOptions,
    SequenceOptions,
    SequenceRule,
    StateOptions,
    StateRule,
    Step,
)
from mozdef_core.site import Site
from mozdef_core.window import Window

if TYPE_CHECKING:
    from mozdef_core.indices import Answer, Dialect, IndexOptions, IndexStore
    from mozdef_core.watching import WatchEntry, WatchList

__all__ = [
    "Aggregation",
    "AggregationOptions",
    "AggregationRule",
    "Alert",
    "AlertChange",
    "All",
    "Answer",
    "Awaited",
    "Block",
    "Bool",
    "Cardinality",
    "CardinalityResult",
    "Change",
    "ConfigError",
    "DateHistogram",
    "DeadmanOptions",
    "DeadmanRule",
    "DeliveryError",
    "Dialect",
    "Digest",
    "Drop",
    "Duration",
    "Event",
    "EventRule",
    "EventStore",
    "Exists",
    "Field",
    "FieldInfo",
    "Group",
    "GroupBucket",
    "Groups",
    "Histogram",
    "Hits",
    "In",
    "IndexOptions",
    "IndexStore",
    "Input",
    "Intake",
    "InvalidItemError",
    "Items",
    "ListOption",
    "Match",
    "MatchPhrase",
    "Moment",
    "MozdefError",
    "NewValueOptions",
    "NewValueRule",
    "Note",
    "Occasion",
    "Options",
    "Page",
    "Percentiles",
    "PercentilesResult",
    "Prefix",
    "Problem",
    "PutResult",
    "Query",
    "QueryError",
    "QueryString",
    "QueryTimeoutError",
    "QueueError",
    "Range",
    "Recogniser",
    "Refuse",
    "Regexp",
    "Rule",
    "RuleOptions",
    "RulePack",
    "ScheduledOptions",
    "Search",
    "Secret",
    "SequenceOptions",
    "SequenceRule",
    "Severity",
    "Site",
    "Split",
    "State",
    "StateOptions",
    "StateRule",
    "Stats",
    "StatsResult",
    "Status",
    "Step",
    "StoreUnavailableError",
    "Subnet",
    "Term",
    "Terms",
    "TermsAgg",
    "TimeBucket",
    "TopHits",
    "WatchEntry",
    "WatchList",
    "Wildcard",
    "Window",
    "aggregate",
    "brief",
    "group_values",
    "headline",
    "hookimpl",
    "in_group",
]

_SELDOM: Final = {
    **dict.fromkeys(("Answer", "Dialect", "IndexOptions", "IndexStore"), "mozdef_core.indices"),
    **dict.fromkeys(("WatchEntry", "WatchList"), "mozdef_core.watching"),
}
"""What only drivers for servers and the watch list need; imported when asked for, which spares all others 90 ms."""


def __getattr__(name: str) -> Any:
    """Import what is seldom needed."""
    if name not in _SELDOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SELDOM[name]), name)
