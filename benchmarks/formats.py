"""Answers in every format: size and time of 1,000 bars, and rows per second of a stream.

The bars are one-second bars of the real trades in the folder REAL_DATA, or of generated trades if there are none.
"""

import math
import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
from django.conf import settings

from benchmarks.generated_trades import Stream
from benchmarks.report import Goal, Note, Ratio, Row, Sizes
from stats.rendering.format import RowsDocument
from stats.rendering.formats import FORMATS
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import ALL_TIME, Append, Dedupe
from store.timestamps import SECOND_NS, parse_timestamp
from web.requests.compression import Encoding, compressed, compressed_pieces

_BARS = 1_000
_CHUNK_ROWS = 10_000
_ROUNDS = 25
_TICKS = "equity/ibm_20131007_tick_trade.csv"
_MIDNIGHT = "2013-10-07T00:00:00-04:00"
_GENERATED_ROWS = 24_000
_GOALS = {"columnar": Goal(most=0.70), "msgpack": Goal(most=0.45)}
_ENCODINGS: tuple[Encoding, ...] = ("gzip", "zstd")
_ROWS = "json"
_PEER = "DRF's JSON"

_BAR_COLUMNS = (
    OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
    *(OutColumn(name, ColumnRole.NUMBER) for name in ("open", "high", "low", "close")),
    OutColumn("volume", ColumnRole.VOLUME, is_integer=True),
    OutColumn("vwap", ColumnRole.NUMBER),
    OutColumn("trade_count", ColumnRole.INTEGER),
    OutColumn("final", ColumnRole.FLAG),
)
_TRADE_COLUMNS = (
    OutColumn("timestamp", ColumnRole.TIME),
    OutColumn("price", ColumnRole.NUMBER),
    OutColumn("volume", ColumnRole.VOLUME, is_integer=True),
    OutColumn("trade_id", ColumnRole.TEXT),
    OutColumn("sequence", ColumnRole.INTEGER),
    OutColumn("exchange", ColumnRole.TEXT),
    OutColumn("conditions", ColumnRole.WORDS),
    OutColumn("received_at", ColumnRole.TIME),
)


def measure_formats(_sizes: Sizes) -> Iterator[Row]:
    """Yield sizes against JSON, a table of all formats, and streams against Django REST Framework's encoder."""
    bars = _bars()
    if not _ticks().exists():
        yield Note("The bars of the formats were generated: REAL_DATA names no folder of real trades.")
    yield from _measure_sizes(bars.slice(0, _BARS))
    (trades,) = Stream(a_minute=600, with_ids=True).batches(_CHUNK_ROWS)
    yield from _measure_streams("bars", _repeated(bars))
    yield from _measure_streams("trades", Table(_TRADE_COLUMNS, _selected(trades)))


def _ticks() -> Path:
    folder = os.environ.get("REAL_DATA") or str(Path(__file__).resolve().parents[2] / "shared" / "data")
    return Path(folder) / _TICKS


def _bars() -> Table:
    ticks = _ticks()
    if ticks.exists():
        rows = _real_rows(ticks)
    else:
        (rows,) = Stream(a_minute=60).batches(_GENERATED_ROWS)
    with TemporaryDirectory() as folder:
        store = CsvStore(folder)
        store.append(Append(TRADES, "BARS", rows, "bench", Dedupe.NONE))
        bars = store.log(TRADES, "BARS").at().bars(ALL_TIME, SECOND_NS)
    names = ("open", "high", "low", "close", "volume", "trade_count")
    return Table.of(
        _BAR_COLUMNS,
        {
            **{name: getattr(bars, name) for name in names},
            "timestamp": bars.time_ns,
            "vwap": bars.notional / bars.volume,
            "final": np.ones(len(bars), dtype=bool),
        },
    )


def _real_rows(ticks: Path) -> pa.RecordBatch:
    milliseconds, price, size, *_ = pacsv.read_csv(ticks).columns
    values = {
        "timestamp": parse_timestamp(_MIDNIGHT) + milliseconds.to_numpy() * 1_000_000,
        "price": price.to_numpy() / 10_000,
        "volume": size.to_numpy().astype(float),
    }
    empty = pa.nulls(len(price))
    return pa.record_batch(
        [pa.array(values.get(field.name, empty), field.type) for field in TRADES.schema], schema=TRADES.schema
    )


def _selected(rows: pa.RecordBatch) -> pa.Table:
    """Return the columns of `_TRADE_COLUMNS`, with texts as the store's files have them."""
    columns = {column.name: rows.column(column.name) for column in _TRADE_COLUMNS}
    columns |= {name: columns[name].dictionary_encode() for name in ("exchange", "conditions")}
    return pa.table(columns)


def _repeated(bars: Table) -> Table:
    """Repeat the bars until they fill a stream's chunk; return that chunk."""
    times = -(-_CHUNK_ROWS // len(bars))
    return Table(bars.columns, pa.concat_tables([bars.data] * times).combine_chunks()).slice(0, _CHUNK_ROWS)


def _measure_sizes(bars: Table) -> Iterator[Row]:
    tail = {"next_cursor": None, "prev_cursor": None, "total_estimate": len(bars)}
    document = RowsDocument({"symbol": "IBM", "resolution": "1s"}, "bars", bars, tail)
    bodies = {name: each.render(document).body for name, each in FORMATS.items()}
    seconds = _seconds(
        {name: lambda each=each: each.render(document) for name, each in FORMATS.items()}
        | {
            (name, encoding): lambda body=body, encoding=encoding: compressed(body, encoding)
            for name, body in bodies.items()
            for encoding in _ENCODINGS
        }
    )
    lines = [f"{'format':10}{'bytes':>9}{'of rows':>9}{'us':>8}{'of rows':>9}"]
    for name, body in bodies.items():
        lines.append(_line(name, len(body), seconds[name], rows=(len(bodies[_ROWS]), seconds[_ROWS])))
        for encoding in _ENCODINGS:
            size, total = len(compressed(body, encoding).body), seconds[name] + seconds[name, encoding]
            lines.append(_line(f"  {encoding}", size, total, rows=(len(bodies[_ROWS]), seconds[_ROWS])))
    yield Note("\n".join(lines))
    for name, goal in _GOALS.items():
        what = f"size of {len(bars):,} bars, {name} against rows"
        yield Ratio(what, here=len(bodies[name]), beside=len(bodies[_ROWS]), unit="bytes", goal=goal)


def _line(label: str, size: int, seconds: float, *, rows: tuple[int, float]) -> str:
    return f"{label:10}{size:9,}{size / rows[0]:9.3f}{seconds * 1e6:8.0f}{seconds / rows[1]:9.2f}"


def _measure_streams(what: str, table: Table) -> Iterator[Row]:
    """Yield the rows per second of encoding a chunk, against DRF's encoder, which gets finished dictionaries."""
    lines = FORMATS["ndjson"].render(RowsDocument({}, "rows", table, {})).body.splitlines()
    rows, render = [orjson.loads(line) for line in lines], _frameworks_renderer()
    encoders = {name: each.stream(table.columns, None) for name, each in FORMATS.items() if each.stream}
    acts = {name: lambda encoder=encoder: encoder.rows(table) for name, encoder in encoders.items()}
    seconds = _seconds(acts | {_PEER: lambda: render(rows)})
    for name in encoders:
        yield Ratio(
            f"encoding {what} for a stream of {name}, against {_PEER}",
            here=len(table) / seconds[name],
            beside=len(table) / seconds[_PEER],
            unit="rows/s",
            goal=Goal(least=5),
            rival=True,
        )
    yield from _measure_compression(what, {name: b"".join(act()) for name, act in acts.items()}, seconds)


def _measure_compression(what: str, pieces: dict[str, bytes], seconds: dict[Any, float]) -> Iterator[Row]:
    """Yield a table of a stream's piece in each encoding. seconds: of making the pieces, by format."""

    def piece_of(body: bytes) -> Generator[bytes]:
        yield body

    acts = {
        (name, encoding): lambda body=body, encoding=encoding: b"".join(
            compressed_pieces(piece_of(body), encoding)
        )
        for name, body in pieces.items()
        for encoding in _ENCODINGS
    }
    packing = _seconds(acts)
    lines = [f"{what + ', streamed':18}{'bytes':>9}{'of plain':>9}{'us':>8}{'of plain':>9}"]
    for name, body in pieces.items():
        plain = (len(body), seconds[name])
        lines.append(_line(f"{name:18}", *plain, rows=plain))
        for encoding in _ENCODINGS:
            size, total = len(acts[name, encoding]()), seconds[name] + packing[name, encoding]
            lines.append(_line(f"  {encoding:16}", size, total, rows=plain))
    yield Note("\n".join(lines))


def _frameworks_renderer() -> Callable[[object], bytes]:
    """Return Django REST Framework's JSON renderer with its default settings."""
    if not settings.configured:
        settings.configure()
    from rest_framework.renderers import JSONRenderer  # noqa: PLC0415 only after the set-up

    render: Callable[[object], bytes] = JSONRenderer().render
    return render


def _seconds(acts: dict[Any, Callable[[], object]]) -> dict[Any, float]:
    """Return the shortest time of each act, in seconds. Other load on the machine can only make an act slower."""
    least = dict.fromkeys(acts, math.inf)
    for _ in range(_ROUNDS):
        for name, act in acts.items():
            started = time.perf_counter()
            act()
            least[name] = min(least[name], time.perf_counter() - started)
    return least
