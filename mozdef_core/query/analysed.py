"""What Elasticsearch's ``match`` and ``match_phrase`` mean here, where one field is text and the others are not."""

from __future__ import annotations

from mozdef_core.event import Scalar
from mozdef_core.query import glob
from mozdef_core.query.bounds import TIME_FIELDS
from mozdef_core.query.model import (
    ANY_FIELD,
    TEXT_FIELDS,
    All,
    Bool,
    Exists,
    Match,
    MatchPhrase,
    Query,
    Range,
    Term,
    Wildcard,
)
from mozdef_core.query.text import tokens
from mozdef_core.query.values import spellings


def any_word(name: str, value: Scalar) -> Query:
    """Return ``match``: on text fields any token of the value, elsewhere the whole value.

    :param name: a field, or :data:`ANY_FIELD` for a search without one.
    """
    text = _text(value)
    if name in TEXT_FIELDS:
        words = list(dict.fromkeys(tokens(text)))
        return Bool(should=[Match(name, word) for word in words]) if len(words) > 1 else Match(name, text)
    if name == ANY_FIELD:
        words = list(dict.fromkeys(tokens(text)))
        more = [Match(field, word) for field in sorted(TEXT_FIELDS) for word in words if len(words) > 1]
        return Bool(should=[Match(ANY_FIELD, text), *more]) if more else Match(ANY_FIELD, text)
    return whole(name, value)


def every_word(name: str, value: Scalar) -> Query:
    """Return ``match`` with the operator ``and``: on text fields every token, elsewhere the whole value."""
    return Match(name, _text(value)) if name in TEXT_FIELDS or name == ANY_FIELD else whole(name, value)


def phrase(name: str, value: Scalar) -> Query:
    """Return ``match_phrase``: on text fields the tokens in order, elsewhere the whole value."""
    return MatchPhrase(name, _text(value)) if name in TEXT_FIELDS or name == ANY_FIELD else whole(name, value)


def words_and_globs(name: str, pattern: str) -> Query:
    r"""Return what Kibana asks for a value with ``*``: on text fields and everywhere any word or pattern of it.

    :param pattern: as in ``Wildcard``, with ``?`` escaped. ``*`` alone means that the field exists.
    """
    if name != ANY_FIELD and name not in TEXT_FIELDS:
        return Exists(name) if pattern == "*" else Wildcard(name, pattern)
    parts = [_word_or_glob(name, part) for part in pattern.split()]
    return parts[0] if len(parts) == 1 else Bool(should=parts)


def _word_or_glob(name: str, pattern: str) -> Query:
    text = glob.literal(glob.read(pattern))
    if text is not None:
        return phrase(name, text)
    if pattern == "*":
        return All() if name == ANY_FIELD else Exists(name)
    return Wildcard(name, pattern)


def whole(name: str, value: Scalar) -> Query:
    """Return the condition that a field has this value; on fields that hold times, that it lies in that time."""
    if name in TIME_FIELDS:
        return Range(name, gte=value, lte=value)
    return Term(name, value)


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else (spellings(value) or ("",))[0]
