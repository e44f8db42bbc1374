"""Lists as CSV (RFC 4180): read with the number of each wrong line, taken in piece by piece, and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from mozdef_core.event import isoformat, microseconds, now_us
from mozdef_core.options import span

if TYPE_CHECKING:
    from mozdef_core.casework.audit import Actor
    from mozdef_core.casework.database import Database
    from mozdef_core.casework.lists import Entry

COLUMNS: Final = ("value", "source", "comment", "added", "expires")
PIECE: Final = 10_000
"""So many entries are written in one transaction: others may write in between."""

MOST_PROBLEMS: Final = 20
_FORMULA: Final = ("=", "+", "-", "@", "'")
_KNOWN: Final = frozenset(COLUMNS)


class InvalidLinesError(ValueError):
    """Some lines cannot be taken; nothing was."""

    def __init__(self, problems: Sequence[str], more: int) -> None:
        self.problems = [*problems, *([f"and {more:,} more"] if more else [])]
        super().__init__("; ".join(self.problems))


class Imported(NamedTuple):
    """What came of an import: lines with a value, those of them that were new, entries that went."""

    entries: int
    added: int
    removed: int


def read_expiry(text: str, now: int | None = None) -> int | None:
    """Return when something expires: after a span such as ``30d``, at an ISO time, or never for an empty text.

    :raises ValueError: with what would be right.
    """
    wanted = text.strip()
    if wanted in ("", "never"):
        return None
    try:
        return (now or now_us()) + int(span(wanted).total_seconds() * 1_000_000)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(wanted)
        return microseconds(moment.astimezone() if moment.tzinfo is None else moment)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a span such as 30d, an ISO time or nothing, got {text!r}") from None


def read_entries(lines: Iterable[str], kind: str, expires_us: int | None = None) -> Iterator[Entry]:
    """Yield the entries of a CSV file, values in canonical form.

    A first line with a column ``value`` names the columns; without one the first column is the value, the second the
    comment. Empty lines and those that begin with ``#`` are passed over.

    :param expires_us: of entries that do not say.
    :raises InvalidLinesError: at the end, when lines are wrong; with the numbers of the first.
    """
    from mozdef_core.casework import lists

    problems: list[str] = []
    wrong, now = 0, now_us()
    columns: tuple[str, ...] = ("value", "comment")
    reader = csv.reader(lines, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            problems.append(f"line {reader.line_num}: {error}")
            wrong += 1
            break  # the rest cannot be told apart
        named = [cell.strip().lower().lstrip("\ufeff") for cell in cells]
        if reader.line_num == 1 and "value" in named:
            unknown = [name for name in named if name not in _KNOWN]
            if unknown:
                raise InvalidLinesError(
                    [f"line 1: expected columns among {', '.join(COLUMNS)}, got {unknown[0]!r}"], 0
                )
            columns = tuple(named)
            continue
        if not "".join(cells).strip() or cells[0].lstrip("\ufeff").startswith("#"):
            continue
        try:
            (entry,) = lists.checked(kind, [_entry(columns, cells, expires_us, now)], now)
        except ValueError as error:
            wrong += 1
            if len(problems) < MOST_PROBLEMS:
                problems.append(f"line {reader.line_num}: {error}")
            continue
        yield entry
    if wrong:
        raise InvalidLinesError(problems, wrong - len(problems))


def _entry(columns: Sequence[str], cells: Sequence[str], expires_us: int | None, now: int) -> Entry:
    from mozdef_core.casework.lists import Entry

    row = dict(zip(columns, map(_unescape, cells), strict=False))
    until_us = read_expiry(row["expires"], now) if row.get("expires", "").strip() else expires_us
    added = row.get("added", "").strip()
    added_us = 0 if not added else read_expiry(added, now) or 0
    return Entry(
        row.get("value", "").lstrip("\ufeff"),
        row.get("source", ""),
        row.get("comment", ""),
        added_us,
        until_us,
    )


def take_in(
    database: Database,
    name: str,
    entries: Iterable[Entry],
    actor: Actor,
    *,
    replace: bool = False,
    taken: Callable[[int], None] = lambda _number: None,
) -> Imported:
    """Put entries into a list, some thousand in a transaction.

    :param replace: in the end only they are in it.
    :param taken: told how many were written.
    :raises BookUnavailableError: what was written until then is in the list; the same import may be done again.
    """
    from mozdef_core.casework import lists

    begun_us, added, count, removed = now_us(), 0, 0, 0
    piece: list[Entry] = []

    def write() -> None:
        nonlocal added, count
        with database.write() as session:
            added += lists.add(session, name, piece, actor)
        count += len(piece)
        taken(len(piece))
        piece.clear()

    for entry in entries:
        piece.append(entry)
        if len(piece) == PIECE:
            write()
    if piece:
        write()
    if replace:
        with database.write() as session:
            removed = lists.remove_untouched(session, name, begun_us, actor)
    return Imported(count, added, removed)


def all_entries(database: Database, name: str) -> Iterator[Entry]:
    """Yield all entries of a list by value.

    :raises NotFoundError: there is no such list.
    """
    from mozdef_core.casework import lists

    after: str | None = None
    while True:
        with database.read() as session:
            page = lists.entries(session, name, after=after, size=PIECE)
        yield from page.entries
        after = page.after
        if after is None:
            return


def write_entries(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of a CSV file, the columns first; a cell that a spreadsheet would compute begins with ``'``."""
    yield ",".join(COLUMNS) + "\r\n"
    for entry in entries:
        line = io.StringIO()
        expires = "" if entry.expires_us is None else isoformat(entry.expires_us)
        cells = (entry.value, entry.source, entry.comment, isoformat(entry.added_us), expires)
        csv.writer(line).writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
        yield line.getvalue()


def _unescape(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
