"""Files of events: JSON lines, plain or compressed, written in blocks that each end clean, and read by content."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard

from mozdef_core.errors import InvalidItemError
from mozdef_core.services.transfer import TransferError

LONGEST_LINE: Final = 8 << 20
"""Far more than an event within the limits needs."""
_PIECE: Final = 2 << 10  # of compressed bytes: a block of 4 may unfold to 128 KiB, so a piece to 64 MiB
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
PARQUET: Final = b"PAR1"
"""What a Parquet file begins with."""


def _plain(block: bytes) -> bytes:
    return block


def _gzip(block: bytes) -> bytes:
    return gzip.compress(block, 6, mtime=0)


def _zstd(block: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(block)


PACKERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    ".jsonl": _plain,
    ".ndjson": _plain,
    ".jsonl.gz": _gzip,
    ".ndjson.gz": _gzip,
    ".jsonl.zst": _zstd,
    ".ndjson.zst": _zstd,
    ".parquet": _zstd,  # lines first: they can be gone on with after an interruption, a Parquet file cannot
}
"""How a block of lines is packed, by the ending of the file's name. Blocks stand one behind the other, as the
formats of gzip and Zstandard allow, so that a file can be cut at the end of any."""


def ending_of(path: Path) -> str:
    """Return which of the known endings a name has.

    :raises TransferError: none.
    """
    for ending in sorted(PACKERS, key=len, reverse=True):
        if path.name.lower().endswith(ending):
            return ending
    raise TransferError(f"{path}: expected a name that ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet")


class Line(NamedTuple):
    """One line, or row, of a file: its number from 1, its bytes, and why it cannot be read, if so."""

    number: int
    raw: bytes
    wrong: InvalidItemError | None = None


class _Frames(io.RawIOBase):
    """Unpacks Zstandard frames that stand one behind the other; a file that ends within one is an error."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            packed = self._rest or self._file.read(_PIECE)
            self._rest = b""
            if not packed:
                if self._frame is not None:
                    raise EOFError("it ends in the middle of a frame")
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._ready = memoryview(self._frame.decompress(packed))
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def read_lines(file: BinaryIO, name: str) -> Iterator[Line]:
    """Yield the lines of a file that are not blank; whether it is compressed is told by its first bytes.

    :raises TransferError: it is damaged, or its end is missing.
    """
    peeked = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
    start = peeked.peek(4)[:4]
    lines: BinaryIO = peeked
    if start.startswith(_GZIP):
        lines = io.BufferedReader(gzip.GzipFile(fileobj=peeked))
    elif start == _ZSTD:
        lines = io.BufferedReader(_Frames(peeked), 1 << 20)
    number = 0
    try:
        while line := lines.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                yield Line(number, line, _too_long())
                while line and not line.endswith(b"\n"):
                    line = lines.readline(LONGEST_LINE)
            elif line.strip():
                yield Line(number, line.rstrip(b"\r\n"))
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise TransferError(f"{name}: cannot be read beyond line {number}: {error}") from error


def _too_long() -> InvalidItemError:
    return InvalidItemError("too-large", f"it is longer than {LONGEST_LINE} bytes")
