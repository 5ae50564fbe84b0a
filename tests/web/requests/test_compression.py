"""Content encodings: which one a client gets, and that the body comes back."""

import random
import zlib
from collections.abc import Callable, Generator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chance import examples
from tests.encodings import decoded
from web.requests.compression import Encoded, Encoding, accepted_encoding, compressed, compressed_pieces

LARGE = b'{"timestamp":"2025-01-02T14:30:00Z","open":189.98}\n' * 100


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip; Q=0.8, zstd;q=0.8", "zstd"),
        ("gzip;q=0", None),
        ("gzip;q=0, *", "zstd"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *;q=0.1", "gzip"),
        ("*;q=0.5, gzip;q=0.7", "gzip"),
        ("identity", None),
        ("identity;q=0", None),
        ("identity;q=0, gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.2", None),
        ("deflate, br", None),
        ("gzip;q=2", None),
        ("gzip;q=0.1234", None),
        ("gzip;level=9, zstd", "zstd"),
        (",,gzip,", "gzip"),
        ("gzip zstd", None),
    ],
)
def test_the_preferred_encoding_is_chosen(header: str | None, expected: str | None):
    assert accepted_encoding(header) == expected


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_body_comes_back_and_is_always_the_same(encoding):
    found = compressed(LARGE, encoding)
    assert found.encoding == encoding
    assert len(found.body) < len(LARGE) / 10
    assert decoded(found.body, found.encoding) == LARGE
    assert compressed(LARGE, encoding) == found


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("body", [b"", random.Random(4).randbytes(2_000)], ids=["empty", "random"])
def test_a_body_that_gains_nothing_stays_as_it_is(encoding, body):
    assert compressed(body, encoding) == Encoded(body, None)


def test_a_body_is_small_below_a_kib():
    assert compressed(LARGE[:1023], "gzip").encoding is None
    assert compressed(LARGE[:1024], "gzip").encoding == "gzip"


def test_no_encoding_leaves_the_body():
    assert compressed(LARGE, None).body is LARGE


def generated(pieces: list[bytes]) -> Generator[bytes]:
    yield from pieces


def decoder(encoding: Encoding) -> Callable[[bytes | memoryview], bytes]:
    """A function that returns what can be decoded once a further piece has come."""
    if encoding == "gzip":
        return zlib.decompressobj(wbits=31).decompress
    received, known = bytearray(), 0

    def decode(piece: bytes | memoryview) -> bytes:
        nonlocal known
        received.extend(piece)
        found, stream = bytearray(), pa.CompressedInputStream(pa.BufferReader(bytes(received)), "zstd")
        try:
            while part := stream.read(1):
                found += part
        except OSError:  # the frame has no end yet
            pass
        new, known = bytes(found[known:]), len(found)
        return new

    return decode


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@settings(max_examples=examples(50), deadline=None)
@given(pieces=st.lists(st.binary(max_size=300) | st.just(LARGE), max_size=5))
def test_pieces_come_back_whole(encoding: Encoding, pieces: list[bytes]):
    body = b"".join(compressed_pieces(generated(pieces), encoding))
    assert decoded(body, encoding) == b"".join(pieces)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_each_piece_can_be_read_when_it_comes(encoding: Encoding):
    pieces, decode = [LARGE, b"a", LARGE[:2_000]], decoder(encoding)
    packed = compressed_pieces(generated(pieces), encoding)
    assert [decode(next(packed)) for _ in pieces] == pieces
    assert sum(map(len, packed)) < 20


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_pieces_that_break_off_have_no_end(encoding: Encoding):
    def broken() -> Generator[bytes]:
        yield LARGE
        raise OSError("a block is damaged")

    packed = compressed_pieces(broken(), encoding)
    begun = bytes(next(packed))
    with pytest.raises(OSError, match="damaged"):
        next(packed)
    assert next(packed, b"") == b""
    with pytest.raises((EOFError, OSError)):
        decoded(begun, encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", None])
def test_pieces_that_nobody_wants_any_more_are_not_made(encoding: Encoding | None):
    closed = []

    def endless() -> Generator[bytes]:
        try:
            while True:
                yield LARGE
        finally:
            closed.append(True)

    packed = compressed_pieces(endless(), encoding)
    next(packed)
    packed.close()
    assert closed


def test_pieces_without_an_encoding_stay_as_they_are():
    assert list(compressed_pieces(generated([b"a", b""]), None)) == [b"a", b""]
