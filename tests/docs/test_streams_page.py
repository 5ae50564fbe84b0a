"""The page of streams: its programs read them from a front, and notice those that break."""

import hashlib
import json
import re
from collections.abc import Generator, Iterator
from http.client import IncompleteRead
from typing import Any, cast
from urllib.request import Request, urlopen

import pandas as pd
import pyarrow as pa
import pytest
import requests
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse

from stats.rendering.formats import FORMATS
from tests.api_client import trade
from tests.encodings import decoded
from tests.front.front_server import running
from tests.stats.rendering.tables import TWO_TRADES
from web.requests.compression import accepted_encoding, compressed_pieces

PAGE = (settings.BASE_DIR / "docs" / "streams.md").read_text()
PROGRAMS = dict(
    zip(
        ("lines", "batches", "frames", "trailer"),
        re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL),
        strict=True,
    )
)
MODULES: dict[str, Any] = {
    "hashlib": hashlib, "json": json, "pa": pa, "pd": pd, "requests": requests, "Request": Request, "urlopen": urlopen,
}  # fmt: skip
PRICES = TWO_TRADES.data.column("price").to_pylist()


def pieces(format_name: str, *, with_trailer: bool) -> Generator[bytes]:
    """A stream of two rows, piece by piece."""
    stream = FORMATS[format_name].stream
    assert stream is not None
    encoder = stream(TWO_TRADES.columns, None)
    first, second = (b"".join(encoder.rows(TWO_TRADES.slice(row, row + 1))) for row in range(2))
    before = [encoder.begin() + first, second]
    yield from before
    said = {"end": True, "rows": 2, "sha256": hashlib.sha256(b"".join(before)).hexdigest()}
    yield (encoder.trailer(said) or b"" if with_trailer else b"") + encoder.end()


def whole(environ: dict[str, Any]) -> HttpResponse | StreamingHttpResponse:
    if environ.get("HTTP_X_API_KEY") != "the key":
        return HttpResponse(status=401)
    format_name = environ["PATH_INFO"].partition("/stream")[2].removeprefix(".") or "ndjson"
    made = pieces(format_name, with_trailer="trailer=1" in environ["QUERY_STRING"])
    encoding = accepted_encoding(environ.get("HTTP_ACCEPT_ENCODING"))
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    return StreamingHttpResponse(compressed_pieces(made, encoding), headers=headers)


def broken(environ: dict[str, Any]) -> HttpResponse | StreamingHttpResponse:
    response = whole(environ)
    assert isinstance(response, StreamingHttpResponse)

    def cut() -> Iterator[bytes]:
        yield next(iter(cast("Iterator[bytes]", response.streaming_content)))
        raise OSError("a block is damaged")

    return StreamingHttpResponse(cut(), headers=dict(response.items()))


def read(program: str, respond: Any) -> list[dict[str, Any]]:
    found: dict[str, Any] = {}
    # Lets pyarrow look for pandas again. `store.lazy_imports` hides it in this process, not in a client's.
    pa.array([0]).to_pandas()
    with running(respond) as port:
        given = {"url": f"http://127.0.0.1:{port}/trades", "query": "start=2025-01-02", "key": "the key"}
        exec(PROGRAMS[program], MODULES | given | {"rows": []}, found)
    rows: list[dict[str, Any]] = found["rows"]
    return rows


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_reads_all_rows(program: str):
    assert [row["price"] for row in read(program, whole)] == PRICES


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("lines", requests.exceptions.ChunkedEncodingError),
        ("batches", (IncompleteRead, OSError)),
        ("frames", IncompleteRead),
        ("trailer", requests.exceptions.ChunkedEncodingError),
    ],
)
def test_a_program_notices_a_stream_that_breaks(program: str, error: Any):
    with pytest.raises(error):
        read(program, broken)


@pytest.mark.parametrize("format_name", ["ndjson", "csv", "arrow"])
def test_a_stream_is_kept_by_nobody_and_compressed_for_who_asks(api, format_name: str):
    minutes = [f"2025-01-02T15:{minute:02}:00Z" for minute in range(60)]
    api.ingest(*(trade(timestamp=minute) for minute in minutes))
    path = f"/api/v1/market-data/equities/AAPL/trades/stream.{format_name}"
    line = next(line for line in PAGE.splitlines() if "Never cached" in line)
    told = dict(re.findall(r"`([A-Z][\w-]+): ([\w, -]+)`", line))
    assert told == {"Cache-Control": "no-store", "X-Cache": "bypass", "Vary": "Accept, Accept-Encoding"}
    plain = api.get(path)
    rows = b"".join(plain.streaming_content)
    for accepted, encoding in {"": None, "gzip": "gzip", "gzip, zstd": "zstd"}.items():
        response = api.get(path, accept_encoding=accepted)
        assert {name: response[name] for name in told} == told
        assert "ETag" not in response.headers
        assert response.headers.get("Content-Encoding") == encoding
        assert decoded(b"".join(response.streaming_content), encoding) == rows
