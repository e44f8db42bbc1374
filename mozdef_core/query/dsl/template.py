"""The index template: the few fields that every index of events has, the same for every event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mozdef_core.query.dsl.tokens import COLUMN_NAMES

LAYOUT: Final = 1
"""Stands in each index's mapping: which version of the fields it has."""

_FOUND: Final = {"type": "keyword", "doc_values": False, "norms": False}


def mapping() -> dict[str, Any]:
    """Return the mapping: what an event may hold is not in it, so nothing of an event can contradict it.

    ``us`` and ``received`` (microseconds), ``tie`` (query/order.py) and ``id`` order and cut; ``c000`` and on hold the
    terms of query/dsl/tokens.py, and group; ``more``, ``any``, ``paths`` and ``odd`` only find; ``summary`` holds the
    words of the summary, cut by MozDef, so that every engine has the same.
    """
    return {
        "dynamic": False,
        "date_detection": False,
        "numeric_detection": False,
        "_meta": {"mozdef": {"layout": LAYOUT}},
        "_source": {"includes": ["event"]},
        "properties": {
            "us": {"type": "long"},
            "tie": {"type": "long"},
            "received": {"type": "long"},
            "id": {"type": "keyword", "norms": False},
            "summary": {"type": "text", "analyzer": "whitespace", "norms": False},
            "paths": {"type": "keyword", "norms": False},
            "more": dict(_FOUND),
            "any": dict(_FOUND),
            "odd": dict(_FOUND),
            **{name: {"type": "keyword", "norms": False} for name in COLUMN_NAMES},
            "event": {"type": "object", "enabled": False},
        },
    }


def template(pattern: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of ``PUT _index_template/NAME``.

    :param pattern: of the names of the indices that it is for.
    :param settings: of each index, such as ``{"index.number_of_shards": 1}``.
    """
    return {
        "index_patterns": [pattern],
        "priority": 500,
        "template": {
            "settings": {
                "index.refresh_interval": "1s",
                "index.translog.durability": "request",
                "index.codec": "default",
                **settings,
            },
            "mappings": mapping(),
        },
        "_meta": {"description": "Events of MozDef, one index per day of reception and retention class"},
    }
