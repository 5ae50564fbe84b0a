"""Streams of other installations, whole and damaged, and requests for their rows."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from jobs.backfills.sources.installation import Installation
from jobs.backfills.sources.protocol import SourceRequest
from stats.market_data.ticks import out_columns
from stats.rendering.arrow_stream import stream_arrow
from stats.rendering.table import Table
from store.datasets import TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import Window
from store.timestamps import SECOND_NS, parse_timestamp
from tests.ops.outbound.hostile_server import Behaviour, Server, says, served

COMMIT = "trades=17-9f3a2c"
START_NS = parse_timestamp("2025-01-02T14:30:00Z")
WINDOW = Window(START_NS, START_NS + 3600 * SECOND_NS)
QUICK = {"connect": 0.5, "read": 0.2, "total": 3, "attempts": 1}


def request_for(window: Window = WINDOW, dataset: Dataset = TRADES, **terms: Any) -> SourceRequest:
    return SourceRequest(dataset, Instrument(terms.pop("symbol", "AAPL"), **terms), window)


def trades(count: int, **columns: Any) -> pa.Table:
    """Trades of AAPL, one a second."""
    given = {
        "timestamp": [START_NS + row * SECOND_NS for row in range(count)],
        "price": [190.0 + row % 7 for row in range(count)],
        "volume": [100.0] * count,
        "conditions": ["regular;odd_lot" if row % 3 else None for row in range(count)],
        **columns,
    }
    arrays = [pa.array(given.get(field.name, [None] * count), field.type) for field in TRADES.schema]
    return pa.Table.from_arrays(arrays, schema=TRADES.schema)


def stream_of(table: pa.Table, *, piece: int = 100, **trailer: Any) -> bytes:
    """The body that an installation sends. trailer: what it says otherwise than it should."""
    columns = out_columns(TRADES, has_integer_volume=True)
    encoder = stream_arrow(columns, None)
    pieces: list[bytes | memoryview] = [encoder.begin()]
    for start in range(0, table.num_rows, piece):
        part = table.slice(start, piece).combine_chunks()
        arrays = {column.name: part.column(column.name).combine_chunks() for column in columns}
        pieces += encoder.rows(Table(columns, pa.table(arrays)))
    body = b"".join(pieces)
    said = {
        "end": True,
        "rows": table.num_rows,
        "sha256": hashlib.sha256(body).hexdigest(),
        "commit": COMMIT,
        **trailer,
    }
    return body + (encoder.trailer(said) or b"") + encoder.end()


def streams(rows: pa.Table) -> Behaviour:
    return says(stream_of(rows), X_Commit=COMMIT)


@contextmanager
def source_served(
    behave: Behaviour,
    gaps: bytes = b'{"gaps":[]}',
    commit: str = f"bars=3-0b77e1, {COMMIT}",
    first: str = "2024-01-02T14:30:00Z",
) -> Iterator[Server]:
    """An installation that streams as `behave` does, and tells its gaps and its first trade as of a commit."""
    stored = b'{"datasets":[{"dataset":"quotes","first":"2020-01-01"},{"dataset":"trades","first":"%s"}]}'
    reports = {
        "gaps": says(gaps, X_Commit=commit),
        "coverage": says(stored % first.encode(), X_Commit=commit),
    }
    with served(lambda call: reports.get(report_in(call.path), behave)(call)) as server:
        yield server


def report_in(target: str) -> str:
    """The last part of a path."""
    return target.partition("?")[0].rpartition("/")[2]


def streamed(server: Server) -> list[str]:
    """The streams that were asked for."""
    return [path for path, _ in server.calls if "/stream?" in path]


def installation(url: str, name: str = "desk", **options: Any) -> Installation:
    return Installation(name, url=url, **{"key": "md_abcdef_secret", "limits": QUICK, **options})
