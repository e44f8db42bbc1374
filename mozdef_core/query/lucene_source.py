"""A search string made ready for the parser: what luqum does not know is rewritten, and positions are kept.

``&&``, ``||`` and ``!`` become words, IPv6 addresses and other colons inside values are protected, a minus sign
before a value belongs to it. What the parser would silently read as something else (a path in slashes, a quote or a
tilde inside a word) is refused here.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mozdef_core.errors import QueryError
from mozdef_core.query.addresses import is_network, read_address

LONGEST: Final = 32_768
"""Characters that a search string may have."""

_DEEPEST: Final = 50

WITH_CASE: Final = "_glob_"
IGNORING_CASE: Final = "_iglob_"
GLOBS: Final = (WITH_CASE, IGNORING_CASE)
"""In place of a field's name: a pattern in quotes over all fields, which as a bare word could not be said."""

_PHRASE: Final = re.compile(r'"(?:[^\\"]|\\.)*"', re.DOTALL)
_EXPRESSION: Final = re.compile(r"/(?:[^\\/]|\\.)*/", re.DOTALL)
_WORD: Final = re.compile(r'(?:[^\s()\[\]{}"^~\\]|\\.)+', re.DOTALL)
_NAME: Final = re.compile(r"((?:[^:\\]|\\.)+):", re.DOTALL)
_COMPARISON: Final = re.compile(r"[<>]=?")
_SUFFIX: Final = re.compile(r"[~^][0-9.]*")
_OPERATORS: Final = {"&&": " AND ", "||": " OR "}
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_FIRST_ESCAPED: Final = "+-'/<>"
LINE_BREAK: Final = "\ue00a"
"""What stands for an escaped line break, behind a backslash: the parser knows none outside of quotes."""


class Source(NamedTuple):
    """The rewritten text, and for each of its characters (and its end) the position in the original."""

    text: str
    positions: list[int]

    def original(self, position: int) -> int:
        """Return the position in the original of one in the rewritten text."""
        return self.positions[min(position, len(self.positions) - 1)]


def rewrite(text: str) -> Source:
    """Return a search string made ready for the parser.

    :raises QueryError: it is empty, too long or too deep, or something in it is not closed; with its position.
    """
    if len(text) > LONGEST:
        raise QueryError(f"the search string is longer than {LONGEST} characters", LONGEST)
    if not text.strip():
        raise QueryError("the search string is empty; expected a word, a quoted text or field:value", 0)
    return _Rewriter(text).run()


class _Rewriter:
    """Walks over a search string once, token by token."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.positions: list[int] = []
        self.open: list[int] = []
        self.after_field = False

    def run(self) -> Source:
        while self.at < len(self.text):
            self._token()
        if self.open:
            position = self.open[-1]
            expected = "']' or '}'" if self._in_range() else "')'"
            raise QueryError(f"expected {expected} for the {self.text[position]!r}", position)
        return Source("".join(self.out), [*self.positions, len(self.text)])

    def _in_range(self) -> bool:
        return bool(self.open) and self.text[self.open[-1]] in "[{"

    def _emit(self, text: str, length: int) -> None:
        """Write something in place of the next characters of the original."""
        self.out.append(text)
        self.positions.extend([self.at] * len(text))  # the parser names the beginning of a token
        self.at += length

    def _token(self) -> None:
        character = self.text[self.at]
        if character.isspace():
            self._emit(character, 1)
        elif character in "()[]{}":
            self._bracket(character)
        elif character == '"':
            self._closed(_PHRASE, "a closing quote")
        elif character == "/" and not self._in_range():
            self._closed(_EXPRESSION, "a closing '/' of the regular expression (write a path in quotes)")
        elif character in "~^":
            self._suffix()
        elif not self.after_field and not self._in_range() and self._operator(character):
            return
        elif self.after_field and character in "<>":
            found = _COMPARISON.match(self.text, self.at)
            self._emit(found[0] if found else character, len(found[0]) if found else 1)
        else:
            self._word()

    def _operator(self, character: str) -> bool:
        pair = self.text[self.at : self.at + 2]
        if pair in _OPERATORS:
            self._emit(_OPERATORS[pair], 2)
        elif character == "!":
            self._emit("NOT ", 1)
        elif character in "+-<>":
            self._emit(character, 1)
        else:
            return False
        return True

    def _bracket(self, character: str) -> None:
        if character in _CLOSING:
            if self._in_range():
                raise QueryError(f"unexpected {character!r} in a range; expected [a TO b]", self.at)
            self.open.append(self.at)
            if len(self.open) > _DEEPEST:
                raise QueryError(f"brackets are nested more than {_DEEPEST} deep", self.at)
        else:
            in_range = self._in_range()
            if not self.open or (character == ")") == in_range:
                raise QueryError(f"unexpected {character!r}; nothing that it closes is open", self.at)
            self.open.pop()
        self.after_field = False
        self._emit(character, 1)

    def _closed(self, form: re.Pattern[str], expected: str) -> None:
        found = form.match(self.text, self.at)
        if found is None:
            raise QueryError(f"expected {expected}", self.at)
        self._emit(found[0], len(found[0]))
        self.after_field = False
        self._boundary(
            f"expected a blank behind {found[0][:40]!r}; a path or quote in a value is written in quotes"
        )

    def _suffix(self) -> None:
        found = _SUFFIX.match(self.text, self.at)
        length = len(found[0]) if found else 1
        self._emit(self.text[self.at : self.at + length], length)
        self._boundary(
            "expected a blank behind '~' or '^'; as part of a value they are written with a backslash"
        )

    def _boundary(self, complaint: str) -> None:
        if self.at < len(self.text):
            character = self.text[self.at]
            if not character.isspace() and character not in ")]}~^":
                raise QueryError(complaint, self.at)

    def _word(self) -> None:
        found = _WORD.match(self.text, self.at)
        if found is None:
            raise QueryError("expected a character behind the backslash", self.at)
        word = found[0]
        if self.text[found.end() : found.end() + 1] == '"' and not word.endswith(":"):
            raise QueryError(
                "a quote inside a word; as part of the value it is written with a backslash", found.end()
            )
        if word == "TO" and self._in_range():
            self._emit(word, 2)
        elif self.after_field or self._in_range():
            self._value(word)
        elif word.count(":") > 1 and (read_address(word) is not None or is_network(word)):
            self._emit(f'"{word}"', len(word))
        elif word[0] == ":":
            self._emit(":", 1)
            self.after_field = True
        else:
            self._field_or_value(word)

    def _field_or_value(self, word: str) -> None:
        name = _NAME.match(word)
        if name is None:
            self._value(word)
            return
        self._protected(name[1])
        self._emit(":", 1)
        self.after_field = True

    def _value(self, word: str) -> None:
        self._protected(word)
        self.after_field = False

    def _protected(self, word: str) -> None:
        """Write a word so that the parser takes it for one."""
        at = 0
        while at < len(word):
            length = 2 if word[at] == "\\" else 1
            piece = word[at : at + length]
            if piece in ("\\\n", "\\" + LINE_BREAK):
                self._emit("\\" + LINE_BREAK if piece == "\\\n" else LINE_BREAK, 2)
            elif piece == ":" or (at == 0 and piece in _FIRST_ESCAPED):
                self._emit("\\" + piece, 1)
            else:
                self._emit(piece, length)
            at += length
