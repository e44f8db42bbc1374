r"""From an expression in RE2's syntax to one in Lucene's that means the same for whole values.

Only what the two have in common is translated: characters, ``.``, ``|``, groups, classes of characters, and repetition.
Everything else (``(?i)``, ``\b``, ``\p{Greek}``, anchors in the middle) is left to evaluation in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mozdef_core.query import glob

_LUCENE_SPECIAL: Final = re.compile(r'[.?+*|{}\[\]()"\\#@&<>~^$\-]')
_CLASSES: Final = {"d": "0-9", "w": "0-9A-Za-z_", "s": "\t\n\f\r "}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_COUNT: Final = re.compile(r"\{(\d{1,2})(,?)(\d{0,2})\}", re.ASCII)
_LONGEST: Final = 200


class _UntranslatableError(Exception):
    """The expression has something that Lucene's syntax has not, or means otherwise."""


def literal(text: str) -> str:
    """Return the Lucene expression that matches exactly this text."""
    return _LUCENE_SPECIAL.sub(r"\\\g<0>", text)


def from_glob(pattern: glob.Pattern) -> str:
    """Return the pattern of a ``wildcard`` query: the engines' syntax is MozDef's."""
    return "".join(glob.escape(piece.text) if piece.kind == "literal" else piece.text for piece in pattern)


def translate(expression: str) -> str | None:
    """Return the Lucene expression that matches the same whole texts as an RE2 expression with ``.`` for any character.

    :returns: None where there is none, or none that is surely cheap.
    """
    if len(expression) > _LONGEST:
        return None
    inner = expression.removeprefix("^")
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner = inner[:-1]
    if inner != expression and "|" in inner:
        return None  # the anchor belongs to one alternative
    try:
        return "".join(_pieces(inner))
    except _UntranslatableError:
        return None


def _pieces(expression: str) -> Iterator[str]:
    place, repeatable = 0, False
    while place < len(expression):
        character = expression[place]
        if character in "*+?":
            if not repeatable:
                raise _UntranslatableError
            yield character
            place += 1
            place += expression[place : place + 1] == "?"  # a lazy one matches the same whole texts
            repeatable = False
        elif character == "{":
            found = _COUNT.match(expression, place)
            if found is None or not repeatable:
                raise _UntranslatableError
            yield found[0]
            place = found.end()
            place += expression[place : place + 1] == "?"
            repeatable = False
        elif character == "[":
            piece, place = _class(expression, place + 1)
            yield piece
            repeatable = True
        elif character == "(":
            place += 3 if expression.startswith("(?:", place) else 1
            if expression[place : place + 1] in ("?", ")", "|", ""):
                raise _UntranslatableError
            yield "("
            repeatable = False
        elif character == ")" or character == "|":
            if expression[place - 1 : place] in ("|", "(", "") or place == 0:
                raise _UntranslatableError  # an empty alternative
            if character == "|" and expression[place + 1 : place + 2] in ("|", ")", ""):
                raise _UntranslatableError
            yield character
            place += 1
            repeatable = character == ")"
        elif character in "^$":
            raise _UntranslatableError
        elif character == ".":
            yield "."
            place += 1
            repeatable = True
        else:
            piece, place = _character(expression, place)
            yield piece
            repeatable = True


def _character(expression: str, place: int) -> tuple[str, int]:
    character = expression[place]
    if character != "\\":
        return literal(character), place + 1
    following = expression[place + 1 : place + 2]
    if following in _CLASSES and following:
        return f"[{_CLASSES[following]}]", place + 2
    if following in _CONTROLS and following:
        return _CONTROLS[following], place + 2
    if following in _PUNCTUATION:
        return literal(following), place + 2
    raise _UntranslatableError


def _class(expression: str, place: int) -> tuple[str, int]:
    """Return a class of characters and what comes behind it; only plain members, ranges and ``\\d \\w \\s``."""
    end = expression.find("]", place + 1)
    body = expression[place:end]
    if end < 0 or not body or "[" in body or "&" in body:
        raise _UntranslatableError
    opening = "["
    if body.startswith("^"):
        opening, body = "[^", body[1:]
    members: list[str] = []
    index = 0
    while index < len(body):
        character = body[index]
        if character == "\\":
            following = body[index + 1 : index + 2]
            if following in _CLASSES and following:
                members.append(_CLASSES[following])
            elif following in _CONTROLS and following:
                members.append(_CONTROLS[following])
            elif following in _PUNCTUATION and following:
                members.append("\\" + following)
            else:
                raise _UntranslatableError
            index += 2
        elif body[index + 1 : index + 2] == "-" and index + 2 < len(body):
            last = body[index + 2]
            if not (character.isalnum() and last.isalnum() and character <= last):
                raise _UntranslatableError
            members.append(f"{character}-{last}")
            index += 3
        else:
            members.append(literal(character))
            index += 1
    if not members:
        raise _UntranslatableError
    return f"{opening}{''.join(members)}]", end + 1
