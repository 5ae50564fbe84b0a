"""Decodes the content encodings of answers."""

import gzip

import pyarrow as pa


def decoded(body: bytes, encoding: str | None) -> bytes:
    """Return a body as it was before its content encoding. Raises `EOFError` or `OSError` if it has no end."""
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return pa.input_stream(pa.BufferReader(body), compression="zstd").read()  # type: ignore[no-any-return]
    return body
