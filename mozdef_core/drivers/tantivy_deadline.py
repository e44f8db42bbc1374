"""The time that one question to the embedded store may take."""

from __future__ import annotations

import time

from mozdef_core.errors import QueryTimeoutError
from mozdef_core.ports.store import took_too_long


class Deadline:
    """Begins when it is made. The engine cannot be interrupted, so it is looked at before each call of it.

    :param limit_s: how long the question may take.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._end_s = time.monotonic() + limit_s

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end_s

    def check(self) -> None:
        """Do nothing while there is time.

        :raises QueryTimeoutError: the time is up; it says what to do.
        """
        if self.passed:
            raise QueryTimeoutError(took_too_long(self.limit_s))
