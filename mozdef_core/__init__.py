"""MozDef: a self-hosted SIEM, a small core with plugins. This is what a plugin may import."""

from __future__ import annotations

from mozdef_core.alert import Alert, AlertChange, Moment, Occasion, Severity, Status
from mozdef_core.errors import DeliveryError, InvalidItemError, MozdefError, QueryError, QueueError
from mozdef_core.event import Change, Drop, Event, Refuse, Split, State
from mozdef_core.markers import hookimpl
from mozdef_core.normalise.settings import Recogniser
from mozdef_core.options import Duration, Field, Options, Secret
from mozdef_core.ports import Input, Intake, PutResult
from mozdef_core.query.model import (
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Prefix,
    Query,
    QueryString,
    Range,
    Regexp,
    Subnet,
    Term,
    Terms,
    Wildcard,
)
from mozdef_core.rules import EventRule, Rule, RuleOptions
from mozdef_core.window import Window

__all__ = [
    "Alert",
    "AlertChange",
    "All",
    "Bool",
    "Change",
    "DeliveryError",
    "Drop",
    "Duration",
    "Event",
    "EventRule",
    "Exists",
    "Field",
    "Input",
    "Intake",
    "InvalidItemError",
    "Match",
    "MatchPhrase",
    "Moment",
    "MozdefError",
    "Occasion",
    "Options",
    "Prefix",
    "PutResult",
    "Query",
    "QueryError",
    "QueryString",
    "QueueError",
    "Range",
    "Recogniser",
    "Refuse",
    "Regexp",
    "Rule",
    "RuleOptions",
    "Secret",
    "Severity",
    "Split",
    "State",
    "Status",
    "Subnet",
    "Term",
    "Terms",
    "Wildcard",
    "Window",
    "hookimpl",
]
