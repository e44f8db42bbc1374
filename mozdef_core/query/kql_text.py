"""The words of a KQL query, read one after the other: names, values, operators, with their escapes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mozdef_core.errors import QueryError
from mozdef_core.query import glob

_BLANKS: Final = re.compile(r"[ \t\r\n\u00a0]*")
_OPERATOR: Final = re.compile(r"[ \t\r\n\u00a0]+(and|or)(?=[ \t\r\n\u00a0(\"]|$)", re.IGNORECASE)
_NOT: Final = re.compile(r"not(?=[ \t\r\n\u00a0(]|$)", re.IGNORECASE)
_COMPARISON: Final = re.compile(r"([<>])(=?)")
_ESCAPE: Final = re.compile(r"\\(?:([trn])|([\\():<>\"*{}])|u([0-9a-fA-F]{4})|((?i:or|and|not)))")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED_ESCAPE: Final = re.compile(r'\\(?:([trn])|([\\"])|u([0-9a-fA-F]{4}))')
_CONTROL: Final = {"t": "\t", "r": "\r", "n": "\n"}
_SPECIAL: Final = frozenset('\\():<>"*{}')
_SPACE: Final = frozenset(" \t\r\n\u00a0")


class Word(NamedTuple):
    """A name or value: its text, the same as a pattern, and whether it has wildcards or was quoted."""

    text: str
    pattern: str
    wild: bool
    quoted: bool
    position: int


class Scanner:
    """A query's text and the place that has been read to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def done(self) -> bool:
        """Return whether nothing is left."""
        return self.at == len(self.text)

    def blanks(self) -> None:
        """Read blanks, if there are any."""
        found = _BLANKS.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def peek(self, character: str) -> bool:
        """Return whether this character comes next."""
        return self.text.startswith(character, self.at)

    def operator(self, word: str) -> bool:
        """Read ``and`` or ``or`` with the blanks around it, if it comes next."""
        found = _OPERATOR.match(self.text, self.at)
        if found is None or found[1].lower() != word:
            return False
        self.at = found.end()
        self.blanks()
        return True

    def negation(self) -> bool:
        """Read ``not`` with the blanks behind it, if it comes next."""
        found = _NOT.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            self.blanks()
        return found is not None

    def comparison(self) -> str | None:
        """Read ``>``, ``>=``, ``<`` or ``<=`` with the blanks behind it, if it comes next."""
        found = _COMPARISON.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        self.blanks()
        return found[0]

    def unexpected(self, expected: str) -> QueryError:
        """Return the error that something else was expected here."""
        rest = self.text[self.at : self.at + 20]
        reason = (
            f"unexpected {rest!r}; expected {expected}" if rest else f"unexpected end; expected {expected}"
        )
        return QueryError(reason, self.at)

    def word(self, expected: str) -> Word:
        """Read a name or value.

        :raises QueryError: there is none; with what was expected.
        """
        if self.peek('"'):
            return self._quoted()
        start = self.at
        if self.at == len(self.text) or _NOT.match(self.text, self.at):
            raise self.unexpected(expected)
        text: list[str] = []
        pattern: list[str] = []
        wild = False
        while (piece := self._piece(start)) is not None:
            text.append(piece[0])
            pattern.append("*" if piece[1] else glob.escape(piece[0]))
            wild = wild or piece[1]
        if not text:
            raise self.unexpected(expected)
        return Word(
            _characters("".join(text)).strip(), _characters("".join(pattern)).strip(), wild, False, start
        )

    def _piece(self, start: int) -> tuple[str, bool] | None:
        """Read one character of an unquoted literal, and whether it is a wildcard; None at its end."""
        if self.at == len(self.text):
            return None
        character = self.text[self.at]
        if (
            character in _SPACE
        ):  # only at the first blank of a run, so that a long one is not read again and again
            if self.text[self.at - 1] not in _SPACE and _OPERATOR.match(self.text, self.at):
                return None
        elif self.at > start and self.text[self.at - 1] in _SPACE and _NOT.match(self.text, self.at):
            return None
        if character == "\\":
            found = _ESCAPE.match(self.text, self.at)
            if found is None:
                raise QueryError(
                    "a lone backslash; before a special character it makes that literal, and itself is written '\\\\'",
                    self.at,
                )
            self.at = found.end()
            return _unescaped(found) if found[4] is None else found[4], False
        if character == "*" or character not in _SPECIAL:
            self.at += 1
            return character, character == "*"
        return None

    def _quoted(self) -> Word:
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            raise QueryError("expected a closing quote", self.at)
        start, self.at = self.at, found.end()
        text = _characters(_QUOTED_ESCAPE.sub(_unescaped, found[1]))
        return Word(text, glob.escape(text), False, True, start)


def _unescaped(found: re.Match[str]) -> str:
    control, special, code = found[1], found[2], found[3]
    return _CONTROL[control] if control else special or chr(int(code, 16))


def _characters(text: str) -> str:
    r"""Join the halves of characters that were written as two ``\u`` escapes."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
