r"""The terms of the index: how a value under a path is written so that it can be found, compared and counted exactly.

A term is the path, one character for what follows, and the value: ``details.username=ines``. The characters that may
follow a path are escaped in it, so no path's terms begin like those of another, and all terms of one path and kind
stand together in the order of the index (UTF-8 bytes), which is the order of their values:

======  ==========================================================================================
``=``   a string
``~``   a string without case, where that is not the string itself
``#``   a number, :func:`number_term`
``$``   the number that a string spells
``:``   a boolean, ``true`` or ``false``
``@``   an address, as 32 hexadecimal digits (query/addresses.py)
``^``   the time that a string is, in microseconds
``{``   an object with members (only among the paths)
======  ==========================================================================================
"""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from hashlib import blake2b
from typing import Final

STRING: Final = "="
FOLDED: Final = "~"
NUMBER: Final = "#"
SPELT: Final = "$"
BOOLEAN: Final = ":"
ADDRESS: Final = "@"
TIME: Final = "^"
OBJECT: Final = "{"

MARK: Final = "\x02"
LONGEST: Final = 2_000
"""A string above so many characters is cut and gets a hash: an engine refuses terms above 32,766 bytes."""

LONGEST_WORD: Final = 120
"""Likewise a word of a text: the engines' whitespace analyser cuts words above 255 UTF-16 units in pieces."""

COLUMNS: Final = 64
"""How many columns the paths share. indices/store.py says what was measured."""

_LONGEST_PATH: Final = 200
_CUT: Final = 100
_SPECIAL: Final = re.compile(r"[=~#$:@^{\\]")
_MOST: Final = 2**64
_MOST_RESIDUAL: Final = 2**16 - 1


@lru_cache(maxsize=65_536)
def path_term(path: str) -> str:
    """Return how a path is written in terms; no two paths share one, and none begins like another."""
    if len(path) > _LONGEST_PATH:
        path = path[:_CUT] + MARK + _digest(path)
    return _SPECIAL.sub(r"\\\g<0>", path)


@lru_cache(maxsize=65_536)
def column(path: str) -> str:
    """Return the column that holds the terms of a path."""
    digest = blake2b(path.encode(), digest_size=4).digest()
    return f"c{int.from_bytes(digest, 'big') % COLUMNS:03d}"


COLUMN_NAMES: Final = tuple(f"c{number:03d}" for number in range(COLUMNS))


def text_term(text: str) -> str:
    """Return how a string is written; no two share one."""
    return text if len(text) <= LONGEST else text[:_CUT] + MARK + _digest(text)


def word_term(word: str) -> str:
    """Return how a word of a text is written; no two share one."""
    return word if len(word) <= LONGEST_WORD else word[:_CUT] + MARK + _digest(word)


def number_term(number: int | float) -> str:
    """Return a number as text in the order of numbers: the nearest double below, then what is missing.

    Every double and every integer in 64 bits, signed or not, has its own; equal numbers share one. A number beyond
    that gets the nearest text that orders it rightly among those, for the bounds of ranges.
    """
    try:
        double = float(number)
    except OverflowError:
        double = math.inf if number > 0 else -math.inf
    residual = 0
    if isinstance(number, int) and math.isfinite(double):
        if int(double) > number:
            double = math.nextafter(double, -math.inf)
        residual = min(number - int(double), _MOST_RESIDUAL) if math.isfinite(double) else 0
    (bits,) = struct.unpack(">Q", struct.pack(">d", double + 0.0))
    bits = bits ^ 0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else bits | 1 << 63
    return f"{bits:016x}{residual:04x}" if residual else f"{bits:016x}".rstrip("0")


def read_number_term(text: str) -> int | float:
    """Return the number that :func:`number_term` wrote, whole ones in 64 bits as integer."""
    bits, residual = int(text[:16].ljust(16, "0"), 16), int(text[16:] or "0", 16)
    bits = bits ^ 1 << 63 if bits >> 63 else bits ^ 0xFFFF_FFFF_FFFF_FFFF
    (double,) = struct.unpack(">d", struct.pack(">Q", bits))
    if residual or (-(2**63) <= double < 2**63 and double.is_integer()):
        return int(double) + residual
    return float(double)


def has_number_term(number: int | float) -> bool:
    """Return whether :func:`number_term` tells the number from every other."""
    return isinstance(number, float) or -_MOST < number < _MOST


def address_term(number: int) -> str:
    """Return an address as text in the order of addresses."""
    return f"{number:032x}"


def time_term(us: int) -> str:
    """Return a time as text in the order of times."""
    return f"{us + 2**63:016x}"


def behind(kind: str) -> str:
    """Return the character after a kind's: no term of the kind reaches it, and all are before it."""
    return chr(ord(kind) + 1)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
