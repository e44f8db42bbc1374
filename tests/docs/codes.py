"""What the machine codes mean, for the reference; a test compares them with those that stand in the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mozdef_core.normalise import limits, tags
from mozdef_core.services import rule_lint
from mozdef_core.services.web.policy import Limits, WebSettings

_WEB: Final = WebSettings()

ITEMS: Final = {
    "empty-body": "There was nothing to read.",
    "empty-message": "A syslog message or a line of a file has no text.",
    "invalid-json": "Not JSON; the reason has line and column.",
    "invalid-number": "`NaN`, `Infinity`, or a number that JSON cannot hold.",
    "invalid-cef": "Not a CEF or LEEF line.",
    "not-an-object": "JSON, but no object.",
    "not-an-event": "Imported, but not what `mozdef export` writes; the reason names the field.",
    "too-deep": f"Nested deeper than {Limits().depth} levels.",
    "too-large": "An item of more than 1 MiB. Its first MiB is kept.",
    "missing-document": "The last action of a bulk request has no document.",
    "unsupported-action": "A bulk action `update` or `delete`: events are never changed.",
    "no-decoder": "The input that brings the decoder is no longer enabled; enable it and replay.",
    "decoder-error": "The decoder failed on this item; replay it when the decoder is mended.",
    "refused": "The store refused the event; the reason says why.",
}
REQUESTS: Final = {
    "unauthorized": "401: no token, or one that is unknown, expired or revoked.",
    "forbidden": "403: the token lacks the scope `events:write`, or a web page (`Origin`) sent no token.",
    "not-found": "404: there is nothing at this address.",
    "method-not-allowed": "405: the header `Allow` names the methods.",
    "invalid-length": "400: `Content-Length` is not a number.",
    "incomplete-body": "400: the body ended before its `Content-Length` or its last chunk, or has trailers.",
    "slow-body": "408: the body did not arrive within `web.body_timeout` and what it has bought of more time.",
    "invalid-encoding": "400: the body cannot be decompressed, or is cut short.",
    "too-large": "413: the body is larger than `web.max_body_bytes` before or after decompression, or has more than "
    "`web.max_items` items.",
    "unsupported-encoding": "415: `Content-Encoding` is none of gzip, deflate and zstd.",
    "rate-limited": f"429: the token has sent more than {_WEB.rate_per_s:,} events a second, with bursts up to "
    f"{_WEB.rate_per_s * _WEB.burst_s:,}, to one server process, or the token or address more than the entrance's "
    "`rate_limit` and `rate_burst`.",
    "busy": "503: request bodies take more than `web.body_memory_bytes`; this one had been on its way for longest.",
    "queue-full": "429: as much waits as may wait, or the disk has less than `queue.sqlite.min_free_bytes` left.",
    "queue-unavailable": "503: the queue cannot be written; the reason says why.",
    "unavailable": "503: tokens cannot be checked, since the casework database is away.",
    "error": "500: a bug; the log has the traceback.",
}
QUESTIONS: Final = {
    "invalid-query": "400: the search string does not parse, or what it or an aggregation asks has no meaning.",
    "invalid-value": "400: a value is of another type, or beyond its limits.",
    "invalid-time": "400: `from` or `to` is no time, or the first is not before the other.",
    "invalid-cursor": "400: the cursor is not `next` of an earlier page.",
    "invalid-csv": "400: the file is not UTF-8.",
    "exists": "409: there is a list of this name already.",
    "invalid-parameter": "400: a query parameter is given twice, is not UTF-8, or there are too many.",
    "unknown-field": "400: there is no such query parameter or member of the body; the message names the nearest.",
    "too-many-buckets": "400: the answer to the aggregations might become too large; give smaller sizes.",
    "busy": "503: `web.searches` questions are being worked on.",
    "store-unavailable": "503: the event store cannot be opened or read; the message says why.",
    "query-timeout": "504: it took too long; narrow the query or take a shorter time.",
}
NOTES: Final = {
    "timestamp-missing": "No time was sent; the time of reception stands in.",
    "timestamp-unreadable": "The time sent cannot be read; it is in `details.original_timestamp`.",
    "timestamp-future": "The time is further ahead than the entrance's `max_future`; the event has the tag `clock-skew`.",
    "timestamp-old": "The time is further back than the entrance's `max_age`.",
    "severity-unknown": "The severity sent is none of the eight and no known name of one.",
    "key-collision": "Two spellings of one name with different values; all values are kept.",
    "details-not-object": "`details` was no object; its value is in `details.message`.",
    "ip-invalid": "What stood in a field for an address is none; the plugin `ip` has taken it away, and a name it has moved to "
    "`details.source` or `details.destination`.",
    "conversion-failed": "A port, a flag, or a name ending in `_int` or `_float` whose value cannot be converted, or a "
    "record that the plugin named could not read; it is kept as sent.",
    "utf8-replaced": "Bytes that are not UTF-8 were replaced.",
    "tags-cut": f"More than {tags.MOST} tags, or one of more than {tags.LONGEST} characters.",
    "keys-cut": f"More than {limits.KEYS:,} keys; the rest is in `details.overflow` as text.",
    "key-cut": f"A name of more than {limits.KEY_LENGTH} characters was cut.",
    "value-cut": f"A text of more than {limits.STRING:,} characters (`summary`: {limits.SUMMARY:,}) was cut.",
    "array-cut": f"A list of more than {limits.ARRAY:,} elements was cut.",
    "depth-cut": f"What is deeper than {limits.DEPTH} levels is kept as text.",
    "normaliser-error": "A bug in the normaliser; the item as sent is in `details.raw`.",
    "plugin-error": "A plugin raised, or returned what cannot stand in an event; the event went on without it.",
    "plugin-timeout": "A plugin took longer than its limit in `[health]`; its answer was discarded.",
    "plugin-suspended": "A plugin is suspended and was not asked.",
}
ACTIONS: Final = {
    "delivery-failed": "The plugin raised `DeliveryError`: it will be tried again, or was final.",
    "unavailable": "Store, queue or casework database were away; the plugin is not to blame.",
    "plugin-error": "The plugin raised something else, or returned what the hook may not return.",
    "plugin-timeout": "The plugin took longer than `health.alert_action_s` or `health.alert_match_s`.",
}
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "Items that are refused, and dead letters": ITEMS,
    "Requests that are refused as a whole": REQUESTS,
    "Requests to the API that are refused": QUESTIONS,
    "Notes in `mozdef.problems` of an event": NOTES,
    "Failures of rules and alert actions": ACTIONS,
    "Remarks about rules": rule_lint.CODES,
}
