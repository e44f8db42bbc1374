"""Disagreements between stores that the differential tests have found, so that none comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mozdef_core.event import Event
from mozdef_core.query.model import All, Query
from mozdef_core.testing_contracts.store_events import BASE_US, stored_event


class Disagreement(NamedTuple):
    """One of them.

    :param questions: each as (name, what else it needs), as tests/integration/test_differential.py asks them.
    """

    name: str
    events: Sequence[Event]
    query: Query
    questions: Sequence[tuple[str, Any]]


def _events(*fields: dict[str, Any]) -> list[Event]:
    return [stored_event(BASE_US + place, **each) for place, each in enumerate(fields)]


DISAGREEMENTS: Final[Sequence[Disagreement]] = (
    Disagreement(
        "a number, its digits and a list of both are one group",
        _events({"details": {"key": 443}}, {"details": {"key": "443"}}, {"details": {"key": [443.0, "443"]}}),
        All(),
        [("groups", "details.key"), ("numbers", "details.key")],
    ),
)
