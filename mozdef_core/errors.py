"""The exceptions of MozDef: every one that a caller may want to catch by name."""

from __future__ import annotations

from collections.abc import Sequence


class MozdefError(Exception):
    """The root of all errors that MozDef raises on purpose."""


class ConfigError(MozdefError):
    """The configuration or the plugins that it names are wrong; it carries every problem, not only the first.

    :param problems: one sentence each: what was wrong, where, and what would be right.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class InvalidItemError(MozdefError):
    """An item that cannot be understood as an event (event-format.md section 4.1).

    :param code: the machine code, such as ``invalid-json``.
    :param reason: a sentence that names the position or the field.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class QueueError(MozdefError):
    """Nothing was accepted; the sender should come back.

    :param retry_after_s: seconds after which another try makes sense.
    """

    def __init__(self, reason: str, retry_after_s: float = 5) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class QueueFullError(QueueError):
    """The queue holds as much as it may; back-pressure for the sender."""


class QueueUnavailableError(QueueError):
    """The queue cannot be written or read at the moment."""


class StoreUnavailableError(MozdefError):
    """The event store cannot be used at the moment; nothing of the attempted write counts as stored."""


class BookUnavailableError(MozdefError):
    """The casework database cannot be used at the moment; nothing of the attempted transaction was kept."""


class LeaseLostError(MozdefError):
    """Another process runs this rule now; nothing of the attempted transaction was kept."""


class AlertClosedError(MozdefError):
    """What a finding would have extended was closed meanwhile; the run is to be made again, nothing was kept."""


class RuleError(MozdefError):
    """A rule asked its window for something that this kind of window does not have."""


class DeliveryError(MozdefError):
    """An alert action did not get through and should be tried again.

    :param retry_after_s: seconds that the receiver asked for, or None for the usual back-off.
    :param final: the receiver does not want it, and would not want it later: it is not tried again.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None, *, final: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.final = final


class QueryError(MozdefError):
    """A query that has no meaning, or that this store cannot answer exactly.

    :param position: zero-based offset in the query string, where there is one.
    """

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.position = position


class QueryTimeoutError(QueryError):
    """A query that the store could not answer in its time; what is narrower takes less."""


class NotFoundError(MozdefError):
    """There is no such alert, dead letter, token or other object."""


class TransitionError(MozdefError):
    """A change of state that the state machine does not allow (investigate.md section 2.2).

    :param allowed: the states that can be reached from the present one.
    """

    def __init__(self, reason: str, allowed: Sequence[str]) -> None:
        super().__init__(reason)
        self.allowed = tuple(allowed)
