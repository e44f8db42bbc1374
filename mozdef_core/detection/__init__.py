"""Detection: rules run over events just accepted, over spans of the store by schedule, and over what they missed."""

from mozdef_core.detection.excepting import Excepted, Filter
from mozdef_core.detection.runner import Runner
from mozdef_core.detection.scheduled import Budget, Scheduled
from mozdef_core.detection.store_window import StoreWindow
from mozdef_core.detection.stream import OWED_RETRY_S, Conditions, Detector, EventsWindow, Found
from mozdef_core.detection.traits import Traits, traits_of

__all__ = [
    "OWED_RETRY_S",
    "Budget",
    "Conditions",
    "Detector",
    "EventsWindow",
    "Excepted",
    "Filter",
    "Found",
    "Runner",
    "Scheduled",
    "StoreWindow",
    "Traits",
    "traits_of",
]
