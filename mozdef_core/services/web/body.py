"""The body of a request: decompressed under a hard limit, never more in memory than allowed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mozdef_core.services.web.policy import RefusalError

_CHUNK_BYTES: Final = 64 * 1024
_DEFLATE_FAMILY: Final = frozenset({"gzip", "x-gzip", "deflate"})
_ZSTD_WINDOW_BYTES: Final = 32 * 1024 * 1024
_ZSTD_STEP_BYTES: Final = 256
"""So little input at a time makes at most 8 MiB of output, 128 KiB from each four bytes."""


def read_body(environ: Mapping[str, Any], limit_bytes: int) -> bytes:
    """Return the whole body of a WSGI request, its ``Content-Encoding`` undone.

    ``gzip`` and ``deflate`` are told apart by the first bytes: the HTTP senders of GELF announce
    ``gzip,deflate`` and send zlib.

    :param limit_bytes: most bytes after decompression, which stops there, so a body that unpacks to a thousand
        times its size costs no more memory than one that is allowed.
    :raises RefusalError: 413 too large, 415 unknown encoding, 400 damaged or cut short, or with what became of it
        on the way; see :class:`mozdef_core.services.web.reading.Bodies`.
    """
    encodings = _encodings(environ.get("HTTP_CONTENT_ENCODING", ""))
    raw: bytes = environ["wsgi.input"].read()
    if len(raw) > limit_bytes:
        raise too_large(limit_bytes)
    if not encodings or not raw:
        return raw
    return _inflate(raw, limit_bytes) if encodings <= _DEFLATE_FAMILY else _unpack_zstd(raw, limit_bytes)


def _encodings(header: str) -> frozenset[str]:
    names = frozenset(name.strip().lower() for name in header.split(",")) - {"", "identity"}
    if names <= _DEFLATE_FAMILY or names == {"zstd"}:
        return names
    raise RefusalError(
        415,
        "unsupported-encoding",
        f"Content-Encoding {header!r} is not supported; use gzip, deflate or zstd",
    )


def too_large(limit_bytes: int) -> RefusalError:
    """Return what is said of a body that is too large."""
    return RefusalError(
        413,
        "too-large",
        f"the body is larger than {limit_bytes} bytes, the limit before and after decompression",
    )


def _damaged(error: Exception) -> RefusalError:
    return RefusalError(400, "invalid-encoding", f"the body cannot be decompressed: {error}")


def _cut_short() -> RefusalError:
    return RefusalError(400, "invalid-encoding", "the compressed body is cut short")


def _window_bits(raw: bytes) -> int:
    """Tell gzip (RFC 1952), zlib (RFC 1950) and raw deflate (RFC 1951) apart by the header."""
    if raw.startswith(b"\x1f\x8b"):
        return 31
    if len(raw) > 1 and raw[0] & 0x0F == 8 and (raw[0] << 8 | raw[1]) % 31 == 0:
        return 15
    return -15


def _inflate(raw: bytes, limit_bytes: int) -> bytes:
    """Undo gzip (several members too), zlib or raw deflate."""
    parts: list[bytes] = []
    size = 0
    rest = raw
    try:
        while rest:
            engine = zlib.decompressobj(_window_bits(raw))
            for part in _inflate_member(engine, rest):
                size += len(part)
                if size > limit_bytes:
                    raise too_large(limit_bytes)
                parts.append(part)
            if not engine.eof:
                raise _cut_short()
            rest = engine.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise _damaged(error) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _inflate_member(engine: Any, data: bytes) -> Iterator[bytes]:
    while data and not engine.eof:
        yield engine.decompress(data, 16 * _CHUNK_BYTES)
        data = engine.unconsumed_tail


def _unpack_zstd(raw: bytes, limit_bytes: int) -> bytes:
    """Undo zstd (RFC 8878), several frames too."""
    import zstandard  # a process whose senders never use it need not load it

    parts: list[bytes] = []
    size = 0
    rest = raw
    try:
        while rest:
            engine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
            position = 0
            while position < len(rest) and not engine.eof:
                part = engine.decompress(rest[position : position + _ZSTD_STEP_BYTES])
                position += _ZSTD_STEP_BYTES
                size += len(part)
                if size > limit_bytes:
                    raise too_large(limit_bytes)
                parts.append(part)
            if not engine.eof:
                raise _cut_short()
            rest = engine.unused_data + rest[position:]
    except zstandard.ZstdError as error:
        raise _damaged(error) from error
    return b"".join(parts)
