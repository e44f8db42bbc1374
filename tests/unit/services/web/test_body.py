from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.services.web.body import read_body
from mozdef_core.services.web.policy import RefusalError

LIMIT = 100_000


def deflated(plain):
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(plain) + engine.flush()


PACKERS = {
    "gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress,
    "gzip,deflate": zlib.compress, "gzip, deflate": gzip.compress, "identity": bytes, "": bytes, "GZIP": gzip.compress,
    "deflate, ": deflated,
}  # fmt: skip


def read(body, encoding="", *, limit=LIMIT):
    return read_body({"wsgi.input": io.BytesIO(body), "HTTP_CONTENT_ENCODING": encoding}, limit)


def refusal(*arguments, **options):
    with pytest.raises(RefusalError) as caught:
        read(*arguments, **options)
    return caught.value.status, caught.value.code


@given(st.binary(max_size=3_000), st.sampled_from(sorted(PACKERS)))
def test_what_was_packed_is_unpacked(plain, encoding):
    assert read(PACKERS[encoding](plain), encoding) == plain


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_several_members_are_one_body(encoding):
    assert read(PACKERS[encoding](b"one ") + PACKERS[encoding](b"two"), encoding) == b"one two"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "deflate, "])
def test_a_bomb_is_stopped_before_it_takes_memory(encoding):
    bomb = PACKERS[encoding](b"0" * 50_000_000)
    tracemalloc.start()
    assert refusal(bomb, encoding) == (413, "too-large")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_the_limit_itself_is_allowed(encoding):
    assert len(read(PACKERS[encoding](b"0" * LIMIT), encoding)) == LIMIT
    assert refusal(PACKERS[encoding](b"0" * (LIMIT + 1)), encoding) == (413, "too-large")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_body_that_is_cut_short_is_not_taken_for_a_whole_one(encoding):
    packed = PACKERS[encoding](b'{"a":1}\n' * 1_000)
    for end in (3, len(packed) // 2, len(packed) - 2):
        assert refusal(packed[:end], encoding) == (400, "invalid-encoding")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_what_was_not_packed_at_all_is_refused(encoding):
    assert refusal(b'{"a": "plain"}', encoding) == (400, "invalid-encoding")


@pytest.mark.parametrize("encoding", ["br", "gzip, br", "zstd, gzip", "nonsense"])
def test_another_encoding_is_refused_with_those_that_are_supported(encoding):
    with pytest.raises(RefusalError, match="gzip, deflate or zstd") as caught:
        read(b"x", encoding)
    assert (caught.value.status, caught.value.code) == (415, "unsupported-encoding")


def test_a_plain_body_over_the_limit_is_refused():
    assert refusal(b" " * (LIMIT + 1)) == (413, "too-large")
    assert len(read(b" " * LIMIT)) == LIMIT
