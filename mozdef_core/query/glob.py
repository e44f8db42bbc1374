r"""Wildcard patterns: ``*`` for any number of characters, ``?`` for one, ``\`` before a literal character."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

_SPECIAL: Final = re.compile(r"[*?\\]")


class Piece(NamedTuple):
    """A part of a pattern: literal text, or one wildcard (its text is ``*`` or ``?``)."""

    kind: Literal["literal", "many", "one"]
    text: str


Pattern: TypeAlias = tuple[Piece, ...]


def escape(text: str) -> str:
    """Return the pattern that matches exactly this text."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def read(pattern: str) -> Pattern:
    """Return a pattern's parts; neighbouring literals and neighbouring ``*`` are joined.

    A backslash at the end stands for itself.
    """
    pieces: list[Piece] = []
    literal: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            literal.append(next(characters, "\\"))
        elif character in "*?":
            if literal:
                pieces.append(Piece("literal", "".join(literal)))
                literal.clear()
            if character == "?":
                pieces.append(Piece("one", "?"))
            elif not pieces or pieces[-1].kind != "many":
                pieces.append(Piece("many", "*"))
        else:
            literal.append(character)
    if literal:
        pieces.append(Piece("literal", "".join(literal)))
    return tuple(pieces)


def literal(pattern: Pattern) -> str | None:
    """Return the text when the pattern has no wildcards, else None."""
    if not pattern:
        return ""
    return pattern[0].text if len(pattern) == 1 and pattern[0].kind == "literal" else None


def prefix(pattern: Pattern) -> str | None:
    """Return the text when the pattern is a text and then ``*``, else None."""
    if len(pattern) == 2 and pattern[0].kind == "literal" and pattern[1].kind == "many":
        return pattern[0].text
    return None
