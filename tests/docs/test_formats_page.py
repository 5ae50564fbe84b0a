"""The page of formats: its examples are what the formats write, and its lines of pandas read them over HTTP."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pandas as pd
import pyarrow as pa
import pytest
from django.conf import settings

from stats.rendering.formats import FORMATS
from tests.stats.rendering.tables import OPENING_NS, TWO_BARS, document

PAGE = (settings.BASE_DIR / "docs" / "formats.md").read_text()
EXAMPLES = dict(re.findall(r"^`(\w+)`[^\n]*:\n\n```\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE))
LINES = re.findall(r"^```python\n(.*?)\n```", PAGE, re.DOTALL | re.MULTILINE)


class Bars(BaseHTTPRequestHandler):
    """Two bars in the format of the path's suffix, for who has the key."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        each = FORMATS[path.rpartition(".")[2]]
        body = each.render(document(TWO_BARS)) if self.headers["X-API-Key"] == "the key" else b""
        self.send_response(200 if body else 401)
        self.send_header("Content-Type", each.content_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        """Nothing."""


@contextmanager
def serving() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Bars) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ohlcv"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["json", "columnar", "ndjson", "csv"])
def test_the_examples_are_what_the_formats_write(name: str):
    written = FORMATS[name].render(document(TWO_BARS)).decode()
    assert written.replace("\r\n", "\n").rstrip("\n") == EXAMPLES[name]


def test_the_table_lists_the_formats_there_are():
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| .* \|( yes)? \|$", PAGE, re.MULTILINE)
    assert [(name, media_type, bool(streamed)) for name, media_type, streamed in rows] == [
        (each.format, each.media_type, each.stream is not None) for each in FORMATS.values()
    ]


@pytest.mark.parametrize("line", LINES, ids=["csv", "arrow"])
def test_a_line_of_pandas_reads_bars_over_http(line: str):
    names: dict[str, Any] = {"pd": pd, "pa": pa, "urlopen": urlopen, "Request": Request}
    with serving() as url:
        exec(
            line,
            names | {"url": url, "key": "the key", "query": "start=2025-01-02"},
            found := dict[str, Any](),
        )
    bars = found["bars"]
    times = bars["timestamp"].astype("datetime64[ns, UTC]").astype("int64")
    assert times.tolist() == [OPENING_NS, OPENING_NS + 60 * 10**9]
    assert bars["close"].tolist() == [190.0, 190.1]
    assert bars["volume"].tolist() == [350, 0]
