"""Frames: how the process that uses an embedded store and the one that writes it talk over a pair of pipes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import orjson

_LENGTH: Final = struct.Struct(">I")


def send(stream: IO[bytes], head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Send a frame: an object, and bytes behind it that are not put into another form.

    :raises OSError: the other side has gone, or the pipe is broken otherwise.
    """
    raw = orjson.dumps({"head": head, "sizes": [len(part) for part in parts]})
    stream.write(_LENGTH.pack(len(raw)))
    stream.write(raw)
    stream.writelines(parts)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Wait for a frame and return its object and what came behind it.

    :raises EOFError: the other side has gone, perhaps in the middle of the frame.
    :raises OSError: the pipe is broken otherwise.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    document = orjson.loads(_exactly(stream, length))
    return document["head"], [_exactly(stream, size) for size in document["sizes"]]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    raw = stream.read(size)
    if len(raw) < size:
        raise EOFError(f"the pipe ended {size - len(raw)} bytes before the end of a frame")
    return raw
