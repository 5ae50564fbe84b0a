"""Content encodings: which one a client gets, and that the body comes back."""

import gzip
import random

import pyarrow as pa
import pytest

from http_requests.compression import Encoded, accepted_encoding, compressed

LARGE = b'{"timestamp":"2025-01-02T14:30:00Z","open":189.98}\n' * 100


def decoded(body: bytes, encoding: str | None) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return pa.input_stream(pa.BufferReader(body), compression="zstd").read()  # type: ignore[no-any-return]
    return body


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
        ("gzip;q=0.5 , zstd ; q=0.501", "zstd"),
        ("gzip; Q=0.8, zstd;q=0.8", "zstd"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, zstd;q=0.0", None),
        ("gzip;q=0, *", "zstd"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *;q=0.1", "gzip"),
        ("*;q=0.5, gzip;q=0.7", "gzip"),
        ("identity", None),
        ("identity;q=0", None),
        ("identity;q=0, gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.2", None),
        ("identity, gzip", "gzip"),
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
@pytest.mark.parametrize(
    "body", [b"", LARGE[:1023], random.Random(4).randbytes(2_000)], ids=["empty", "small", "random"]
)
def test_a_body_that_gains_nothing_stays_as_it_is(encoding, body):
    assert compressed(body, encoding) == Encoded(body, None)


def test_a_body_is_small_below_a_kib():
    assert compressed(LARGE[:1023], "gzip").encoding is None
    assert compressed(LARGE[:1024], "gzip").encoding == "gzip"


def test_no_encoding_leaves_the_body():
    assert compressed(LARGE, None).body is LARGE
