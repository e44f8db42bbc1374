"""A request to the proxy: what all rules have in common that look at those of one client."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Final, TypeVar

from mozdef_core import AggregationOptions, AggregationRule, Query, Severity, Term

OptionsType = TypeVar("OptionsType", bound=AggregationOptions)

MOST: Final = 20
"""A summary names at most so many destinations."""

DENIED: Final[Query] = Term("category", "proxy") & Term("details.proxyaction", "TCP_DENIED")
"""The proxy refused a request."""


class ProxiedRule(AggregationRule[OptionsType]):
    """Requests to the proxy by one client, of a kind that is worth an alert."""

    by = "details.sourceipaddress"
    window = timedelta(minutes=20)
    threshold = 1
    severity: ClassVar[Severity] = Severity.WARNING
    category: ClassVar[str] = "squid"
    tags: ClassVar[Sequence[str]] = ("squid", "proxy")
    needs: ClassVar[Sequence[str]] = ("squid",)
