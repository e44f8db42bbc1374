"""Detection: rules run over events just accepted, over spans of the store by schedule, and over what they missed."""

from mozdef_core.detection.stream import OWED_RETRY_S, Conditions, Detector, EventsWindow, Found

__all__ = ["OWED_RETRY_S", "Conditions", "Detector", "EventsWindow", "Found"]
