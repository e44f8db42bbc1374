"""What the evaluators ask of exceptions (detections.md A5): which events of a rule are to be left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mozdef_core.event import Event


class Filter(Protocol):
    """The exceptions of one rule, for one run."""

    def __call__(self, event: Event, counted: bool, /) -> bool:
        """Return whether an event stays.

        It may be asked of the same event several times in a run, and must count it once.

        :param counted: whether a removal counts; one in the look-back was counted when the rule ran over it.
        """

    @property
    def removed(self) -> Mapping[str, int]:
        """How many events each exception has removed, by its id."""


class Excepted(Protocol):
    """Knows the exceptions."""

    def __call__(self, rule: str, /) -> Filter | None:
        """Return what leaves out events of a rule, by its name; None when it has no exceptions."""

    def mutes(self, rule: str, at_us: int) -> object | None:
        """Return what forbids a rule about absence to tell anybody at a time, microseconds since 1970; else None."""
