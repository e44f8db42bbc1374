"""The state machine of an alert: the table of investigate.md 2.2, and nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mozdef_core.alert import Status
from mozdef_core.errors import TransitionError

TARGETS: Final[Mapping[Status, Sequence[Status]]] = {
    Status.MANUAL: (Status.IN_PROGRESS, Status.ACKNOWLEDGED, Status.ESCALATED, Status.CLOSED),
    Status.IN_PROGRESS: (Status.MANUAL, Status.ACKNOWLEDGED, Status.ESCALATED, Status.CLOSED),
    Status.ACKNOWLEDGED: (Status.MANUAL, Status.ESCALATED, Status.CLOSED),
    Status.ESCALATED: (Status.ACKNOWLEDGED, Status.CLOSED),
    Status.CLOSED: (Status.MANUAL,),
}
"""The statuses that can follow each one."""

VERDICTS: Final = ("true_positive", "benign", "false_positive", "duplicate", "undetermined")
REASONED: Final = ("false_positive", "duplicate")
"""Verdicts that need a reason; for a duplicate it names the other alert."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of status that somebody asks for, with what its condition needs.

    :param verdict: one of :data:`VERDICTS`, for closing an alert that has none yet.
    :param case: id of the incident or investigation that an alert is escalated to.
    :param unlink: take away the links to cases, so that an escalated alert may be acknowledged again.
    :param unassign: give the assignee up, when it goes from ``inProgress`` back to ``manual``.
    """

    to: Status
    comment: str = ""
    verdict: str | None = None
    verdict_reason: str | None = None
    case: str | None = None
    unlink: bool = False
    unassign: bool = False


def check(
    start: Status,
    step: Step,
    *,
    kind: Literal["user", "token", "plugin", "system"],
    verdict: str | None,
    verdict_reason: str | None,
    linked: bool,
) -> None:
    """Refuse a step that is not in the table or whose condition is not met.

    :param kind: who asks: an analyst is a ``user`` or a ``token``.
    :param verdict: the verdict that the alert would have after the step; ``linked`` whether it would have a case.
    :raises TransitionError: with the allowed targets.
    """
    allowed = TARGETS[start]
    if step.to not in allowed:
        names = ", ".join(target.value for target in allowed)
        raise TransitionError(
            f"an alert that is {start.value} cannot become {step.to.value}; it can: {names}", allowed
        )
    problem = _unmet(start, step, kind in ("user", "token"), verdict, verdict_reason, linked)
    if problem is not None:
        raise TransitionError(f"{start.value} to {step.to.value}: {problem}", allowed)


def _unmet(
    start: Status, step: Step, analyst: bool, verdict: str | None, reason: str | None, linked: bool
) -> str | None:
    if verdict is not None and verdict not in VERDICTS:
        return f"the verdict is one of {', '.join(VERDICTS)}, not {verdict!r}"
    if verdict in REASONED and not reason:
        return f"the verdict {verdict} needs a reason"
    if step.to is Status.CLOSED and verdict is None:
        return f"closing needs a verdict: {', '.join(VERDICTS)}"
    if step.to is Status.ESCALATED and analyst and not linked:
        return "escalating needs a case, created or linked"
    if start is Status.ESCALATED and step.to is Status.ACKNOWLEDGED and linked:
        return "the case has to be unlinked first"
    if start is Status.CLOSED and not step.comment.strip():
        return "opening a closed alert again needs a comment"
    return None
