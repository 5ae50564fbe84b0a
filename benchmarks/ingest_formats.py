"""Batches of 10,000 trades over HTTP in every format, against the same batches in JSON."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.generated_trades import Stream
from benchmarks.report import Ratio, Row, Sizes
from benchmarks.servers import INGEST_PATH, Connection, Server, check_stored, our_server
from store.timestamps import fixed_width_text

_ROWS = 10_000
_WARM_UP_BATCHES = 3
_STREAM = Stream(a_minute=20)
_COLUMNS = ("timestamp", "price", "volume")


@dataclass(frozen=True, slots=True)
class _Format:
    """How to write the body of a batch."""

    media_type: str
    body: Callable[[pa.RecordBatch, str], bytes]
    wanted: str = "above 1"


def measure_ingest_formats(sizes: Sizes) -> Iterator[Row]:
    """Measure all formats in turn in each round; each has its own symbol."""
    seconds: dict[str, list[float]] = {name: [] for name in _FORMATS}
    with our_server() as server, Connection(server) as connection:
        for turn in range(sizes.rounds + 1):
            count = sizes.batches if turn else _WARM_UP_BATCHES
            for number, name in enumerate(_FORMATS):
                symbol, first = f"FORMAT{number}", turn * sizes.batches
                requests = [_request(server, name, symbol, first + batch) for batch in range(count)]
                measured = [_posted(connection, request) for request in requests]
                seconds[name] += measured if turn else []
    for name, measured in seconds.items():
        if name != _BASE:
            yield Ratio(
                f"ingest of batches of {_ROWS:,} rows, {name} against {_BASE}",
                here=_ROWS / median(measured),
                peer=_ROWS / median(seconds[_BASE]),
                unit="rows/s",
                wanted=_FORMATS[name].wanted,
            )


def _request(server: Server, name: str, symbol: str, number: int) -> bytes:
    batch_format = _FORMATS[name]
    (rows,) = _STREAM.batches(_ROWS, first=number * _ROWS)
    target = INGEST_PATH if name == _BASE else f"{INGEST_PATH}?symbol={symbol}"
    return server.request("POST", target, batch_format.body(rows, symbol), media_type=batch_format.media_type)


def _posted(connection: Connection, request: bytes) -> float:
    started = time.perf_counter()
    answer = connection.exchange(request)
    seconds = time.perf_counter() - started
    check_stored(answer, _ROWS)
    return seconds


def _texts(rows: pa.RecordBatch) -> list[str]:
    texts: list[str] = fixed_width_text(rows.column("timestamp").to_numpy()).to_pylist()
    return texts


def _rows(rows: pa.RecordBatch, **constants: str) -> list[Mapping[str, object]]:
    columns = zip(
        _texts(rows), rows.column("price").to_pylist(), rows.column("volume").to_pylist(), strict=True
    )
    return [
        {"timestamp": time, **constants, "price": price, "volume": volume} for time, price, volume in columns
    ]


def _json(rows: pa.RecordBatch, symbol: str) -> bytes:
    return msgspec.json.encode({"trades": _rows(rows, symbol=symbol)})


def _ndjson(rows: pa.RecordBatch, _symbol: str) -> bytes:
    return msgspec.json.Encoder().encode_lines(_rows(rows))


def _csv(rows: pa.RecordBatch, _symbol: str) -> bytes:
    text = pa.BufferOutputStream()
    plain = rows.select(_COLUMNS).set_column(0, "timestamp", pa.array(_texts(rows)))
    pacsv.write_csv(plain, text, pacsv.WriteOptions(quoting_style="none"))
    return text.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _msgpack_rows(rows: pa.RecordBatch, _symbol: str) -> bytes:
    return msgspec.msgpack.encode({"trades": _rows(rows)})


def _msgpack_columns(rows: pa.RecordBatch, _symbol: str) -> bytes:
    return msgspec.msgpack.encode({name: rows.column(name).to_pylist() for name in _COLUMNS})


def _arrow(rows: pa.RecordBatch, _symbol: str) -> bytes:
    times = rows.column("timestamp").cast(pa.timestamp("ns", "UTC"))
    batch = rows.select(_COLUMNS).set_column(0, "timestamp", times)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


_BASE = "JSON"
_FORMATS = {
    _BASE: _Format("application/json", _json),
    "NDJSON": _Format("application/x-ndjson", _ndjson),
    "CSV": _Format("text/csv", _csv),
    "MessagePack (rows)": _Format("application/msgpack", _msgpack_rows),
    "MessagePack (columns)": _Format("application/msgpack", _msgpack_columns),
    "Arrow": _Format("application/vnd.apache.arrow.stream", _arrow, wanted="at least 5"),
}
