"""Answers: what senders are told, in the form that each of them understands (event-format.md section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from mozdef_core.services.web.bulk import bulk_answer, bulk_error
from mozdef_core.services.web.policy import EntrancePolicy, RefusalError
from mozdef_core.services.web.split import Sent

JSON: Final = "application/json"
PRODUCT: Final = ("X-Elastic-Product", "Elasticsearch")
"""Elasticsearch's clients talk to nobody who does not say this."""


class Answer(NamedTuple):
    """What is sent back.

    :param broken: break the connection off instead; see :func:`hold_back`.
    """

    status: int
    body: bytes
    headers: Sequence[tuple[str, str]] = ()
    broken: bool = False


def hold_back(
    environ: Mapping[str, Any],
    status: int,
    code: str,
    reason: str,
    retry_after_s: float | None,
    *,
    elastic: bool,
) -> Answer:
    """Answer that nothing was accepted and when to come back.

    rsyslog's omelasticsearch, which names no User-Agent, gives a batch up that is answered with 429 or 503, but
    keeps it and tries again when the connection breaks.
    """
    headers = retry_after(retry_after_s)
    if elastic:
        broken = anonymous(environ)
        return Answer(status, bulk_error(status, code, reason), [PRODUCT, *headers], broken)
    body = {"accepted": 0, "rejected": 0, "ids": [], "errors": [{"code": code, "reason": reason}]}
    return Answer(status, orjson.dumps(body), headers)


def anonymous(environ: Mapping[str, Any]) -> bool:
    """Return whether a request names no User-Agent; of the senders of bulk requests only rsyslog does not."""
    return not environ.get("HTTP_USER_AGENT")


def retry_after(after_s: float | None) -> list[tuple[str, str]]:
    """Return the header that says after how many seconds another try makes sense, at least one."""
    return [("Retry-After", str(max(1, math.ceil(after_s or 1))))]


def refusal_body(error: RefusalError) -> bytes:
    """Return what is said when nothing of a request could be accepted."""
    problem = {"index": 0, "code": error.code, "reason": error.reason}
    return orjson.dumps({"accepted": 0, "rejected": 1, "ids": [None], "errors": [problem]})


def answer_of(
    sent: Sequence[Sent],
    outcome: Sequence[tuple[str, bool] | None],
    policy: EntrancePolicy,
    index: str | None,
    *,
    elastic: bool,
) -> Answer:
    """Return the answer to a request that was understood, in the dialect that it came in.

    :param outcome: for each item its id and whether it is a repeat; None where it was refused.
    :param index: index name in the address.
    """
    ids = [None if one is None else one[0] for one in outcome]
    repeated = [one is not None and one[1] for one in outcome]
    if elastic:
        return Answer(200, bulk_answer(sent, ids, repeated, index), [PRODUCT])
    errors = [
        {"index": number, "code": one.refusal[0], "reason": _about(number, one.refusal[1])}
        for number, one in enumerate(sent)
        if one.refusal is not None
    ]
    body: dict[str, Any] = {"accepted": len(sent) - len(errors), "rejected": len(errors), "ids": ids}
    if any(repeated):
        body["duplicates"] = sum(repeated)
    if not errors:
        return Answer(200, orjson.dumps(body))
    body["errors"] = errors
    only_large = policy.partial_status == 400 and all(error["code"] == "too-large" for error in errors)
    return Answer(413 if only_large else policy.partial_status, orjson.dumps(body))


def _about(index: int, reason: str) -> str:
    """Let a reason name the item that it is about."""
    subject = "the item "
    return (
        f"item {index} {reason.removeprefix(subject)}"
        if reason.startswith(subject)
        else f"item {index}: {reason}"
    )
