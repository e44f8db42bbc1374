"""Expressions for the terms of strings, in the syntax that tantivy's engines have in common.

They only leave fewer strings to try in memory, so they may find too many. One over ASCII is a quarter as costly as one
over all of Unicode, for the engine works out the whole automaton, in each segment anew.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mozdef_core.drivers.tantivy_document import MARK
from mozdef_core.query import glob

_ASCII: Final = "[\x00-\x7f]"
BEYOND_ASCII: Final = "[\x00-\x7f]*[^\x00-\x7f](.|\n)*"
"""The expression for strings with anything but ASCII."""


class Include(NamedTuple):
    """Expressions for the terms of strings that may match, of a path with nothing but ASCII and of any other.

    None lets all strings through.
    """

    ascii: str | None
    unicode: str | None


def expression(pattern: glob.Pattern, one: str = "(.|\n)") -> str:
    """Return the expression for a wildcard pattern in the syntax that tantivy's engines have in common.

    :param one: the expression for any character.
    """
    return "".join(
        _literal(piece.text) if piece.kind == "literal" else f"{one}*" if piece.kind == "many" else one
        for piece in pattern
    )


def _literal(text: str) -> str:
    if text.isascii():
        return re.sub(r"[^\w\s]", r"\\\g<0>", text, flags=re.ASCII)
    return "".join("\\" + letter if letter in r".+*?()|[]{}^$#&-~\/" else letter for letter in text)


def include(pattern: glob.Pattern, *, case_insensitive: bool) -> Include:
    """Return what leaves only the strings that a pattern may match, where tantivy sees case as it does."""
    if any(piece.kind == "literal" and not piece.text.isascii() for piece in pattern):
        return Include(None, None if case_insensitive else f"(?:{expression(pattern)}){MARK}?")
    return _include(expression(pattern, _ASCII), expression(pattern), case_insensitive=case_insensitive)


def any_case(folded: frozenset[str]) -> Include | None:
    """Return what leaves only these strings in any case, or None where tantivy's idea of case may differ."""
    if not all(text.isascii() for text in folded) or len(folded) > 100:
        return None
    found = "|".join(_literal(text) for text in folded)
    return _include(found, found, case_insensitive=True)


def _include(ascii_only: str, unicode: str, *, case_insensitive: bool) -> Include:
    flags = "(?i)" if case_insensitive else ""
    return Include(f"{flags}(?:{ascii_only}){MARK}?", f"{flags}(?:{unicode}){MARK}?")
