"""Requests that cost a careless server far more than they cost their sender."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import orjson
import pyarrow as pa

from tests.hostile.mutants import ARROW, CSV, MSGPACK, NDJSON
from tests.hostile.operations import JSON

MIB = 2**20
ROW = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "AAPL", "price": 1, "volume": 1}
HEADER = b"timestamp,symbol,price,volume\n"
LINE = b"2025-01-02T14:30:00Z,AAPL,1,1\n"
DEPTHS = (10, 100, 500, 980, 1_000, 10_000, 100_000)

Body = tuple[str, Callable[[], bytes]]


def with_value(name: str, value: bytes) -> bytes:
    """A batch of one trade in which a field has this JSON text for its value."""
    return orjson.dumps({"trades": [{**ROW, name: "@"}]}).replace(b'"@"', value)


def keys(count: int) -> bytes:
    return b",".join(b'"k%d":0' % number for number in range(count))


def nested(depth: int) -> dict[str, Body]:
    """Brackets within brackets, closed and left open, in every format that can nest."""
    return {
        "lists": (JSON, lambda: b"[" * depth + b"]" * depth),
        "open lists": (JSON, lambda: b"[" * depth),
        "objects": (JSON, lambda: b'{"a":' * depth + b"0" + b"}" * depth),
        "open objects": (JSON, lambda: b'{"a":' * depth),
        "lists in a field": (JSON, lambda: with_value("price", b"[" * depth + b"]" * depth)),
        "lists in an unknown field": (JSON, lambda: with_value("x", b"[" * depth + b"]" * depth)),
        "a list of closing brackets": (JSON, lambda: b"]" * depth),
        "lists in a line": (NDJSON, lambda: b"[" * depth + b"]" * depth),
        "lists of MessagePack": (MSGPACK, lambda: b"\x91" * depth + b"\x00"),
        "maps of MessagePack": (MSGPACK, lambda: b"\x81\xa1a" * depth + b"\x00"),
        "lists in a field of MessagePack": (MSGPACK, lambda: b"\x81\xa6trades" + b"\x91" * depth + b"\x00"),
    }


def arrow(columns: dict[str, list[object]], **options: object) -> bytes:
    table, sink = pa.table(columns), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def compressed_arrow() -> bytes:
    """100 MB of zeros in a few KB."""
    sink = io.BytesIO()
    zeros = pa.array([0], pa.int64()).take(pa.array([0] * 100_000, pa.int32()))
    table = pa.table({"timestamp": pa.chunked_array([zeros] * 125)}).combine_chunks()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue()


LARGE: dict[str, Body] = {
    "240,000 keys": (JSON, lambda: b"{" + keys(240_000) + b"}"),
    "240,000 keys in a row": (JSON, lambda: b'{"trades":[{' + keys(240_000) + b"}]}"),
    "240,000 keys in a field": (JSON, lambda: with_value("x", b"{" + keys(240_000) + b"}")),
    "240,000 times one key": (JSON, lambda: b'{"trades":[{' + b'"price":1,' * 240_000 + b'"price":1}]}'),
    "240,000 keys in a line": (NDJSON, lambda: b"{" + keys(240_000) + b"}"),
    "240,000 columns of CSV": (CSV, lambda: b",".join(b"c%d" % n for n in range(240_000)) + b"\n" + LINE),
    "240,000 keys of MessagePack": (
        MSGPACK,
        lambda: b"\xdf" + struct.pack(">I", 240_000) + b"".join(b"\xa6%06d\x00" % n for n in range(240_000)),
    ),
    "240,000 columns of Arrow": (ARROW, lambda: arrow({f"c{n}": [] for n in range(2_000)})),
    "100,001 empty rows": (JSON, lambda: b'{"trades":[' + b"{}," * 100_000 + b"{}]}"),
    "a million numbers for rows": (JSON, lambda: b'{"trades":[' + b"1," * 1_000_000 + b"1]}"),
    "a number of 10 MB": (JSON, lambda: with_value("price", b"9" * 10_000_000)),
    "a fraction of 10 MB": (JSON, lambda: with_value("price", b"0." + b"0" * 10_000_000 + b"1")),
    "an exponent of 1 MB": (JSON, lambda: with_value("price", b"1e" + b"9" * 1_000_000)),
    "a symbol of 10 MB": (JSON, lambda: with_value("symbol", b'"' + b"A" * 10_000_000 + b'"')),
    "a key of 10 MB": (JSON, lambda: b'{"trades":[{"' + b"k" * 10_000_000 + b'":1}]}'),
    "a time of 10 MB": (JSON, lambda: with_value("timestamp", b'"' + b"2" * 10_000_000 + b'"')),
    "a million escapes": (JSON, lambda: with_value("exchange", b'"' + b"\\u0041" * 1_000_000 + b'"')),
    "a million conditions": (JSON, lambda: with_value("conditions", b"[" + b'"w",' * 1_000_000 + b'"w"]')),
    "10 MB of backslashes": (JSON, lambda: b'"' + b"\\" * 10_000_001),
    "10 MB of white space": (JSON, lambda: b" " * 10_000_000),
    "a CSV line of 10 MB": (CSV, lambda: HEADER + b"2025-01-02T14:30:00Z,AAPL," + b"1" * 10_000_000 + b",1\n"),
    "a CSV line of 10 MB of commas": (CSV, lambda: HEADER + b"," * 10_000_000),
    "a CSV header of 10 MB": (CSV, lambda: b"timestamp," + b"x" * 10_000_000 + b"\n" + LINE),
    "a CSV header of 10 MB of commas": (CSV, lambda: b"," * 10_000_000 + b"\n" + LINE),
    "a quote that never ends": (CSV, lambda: HEADER + b'"' + b"x" * 10_000_000),
    "10 MB of quotes": (CSV, lambda: HEADER + b'"' * 10_000_000),
    "10 MB of empty CSV lines": (CSV, lambda: HEADER + b"\n" * 10_000_000),
    "a line of 10 MB": (NDJSON, lambda: b'{"price":"' + b"x" * 10_000_000 + b'"}'),
    "a million lines": (NDJSON, lambda: b"{}\n" * 1_000_000),
    "10 MB of empty lines": (NDJSON, lambda: b"\n" * 10_000_000),
    "a MessagePack list that says it is long": (MSGPACK, lambda: b"\x81\xa6trades\xdd\xff\xff\xff\xff"),
    "a MessagePack map that says it is long": (MSGPACK, lambda: b"\xdf\xff\xff\xff\xff"),
    "a MessagePack text that says it is long": (MSGPACK, lambda: b"\x81\xa6trades\xdb\xff\xff\xff\xff"),
    "MessagePack bytes that say they are long": (MSGPACK, lambda: b"\x81\xa6trades\xc6\xff\xff\xff\xffa"),
    "MessagePack lists that say they are long": (MSGPACK, lambda: b"\xdd\x00\xff\xff\xff" * 100_000),
    "a million MessagePack numbers": (MSGPACK, lambda: b"\x81\xa6trades\xdd" + struct.pack(">I", 10**6) + b"\x01" * 10**6),
    "an Arrow stream that says it is long": (ARROW, lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\x00" * 64),
    "an Arrow stream of zeros": (ARROW, lambda: b"\x00" * 10_000_000),
    "an Arrow table of compressed zeros": (ARROW, compressed_arrow),
}  # fmt: skip


@cache
def gzip_bomb(mib: int = 1024) -> bytes:
    """So many MiB of white space as gzip, a thousandth of it: one block, repeated."""
    maker = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = maker.compress(b" " * MIB) + maker.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush(zlib.Z_FINISH)
    checksum = 0
    for _ in range(mib):
        checksum = zlib.crc32(b" " * MIB, checksum)
    head = gzip.compress(b"", mtime=0)[:10]
    return head + block * mib + last + struct.pack("<II", checksum, mib * MIB % 2**32)


LONG_TARGETS: dict[str, str] = {
    "a path of 50,000 characters": "/api/v1/" + "a" * 50_000,
    "a path of 20,000 parts": "/api/v1/stats" + "/a" * 20_000,
    "a path of 20,000 dots": "/api/v1/" + "../" * 10_000,
    "a path of slashes": "/" * 50_000,
    "a path of escapes": "/api/v1/" + "%25" * 15_000,
    "a parameter of 50,000 characters": "/api/v1/stats/ohlc?symbol=" + "A" * 50_000,
    "a name of 50,000 characters": "/api/v1/stats/ohlc?" + "a" * 50_000 + "=1",
    "10,000 parameters": "/api/v1/stats/ohlc?" + "&".join(f"a{n}=1" for n in range(9_000)),
    "900 parameters": "/api/v1/stats/ohlc?" + "&".join(f"intervl{n}=1" for n in range(900)),
    "20,000 times one parameter": "/api/v1/stats/ohlc?" + "symbol=A&" * 6_000,
    "50,000 separators": "/api/v1/stats/ohlc?symbol=AAPL" + "&" * 50_000,
    "a time of 50,000 characters": "/api/v1/stats/ohlc?symbol=AAPL&start=" + "2" * 50_000,
    "a time of 50,000 fraction digits": "/api/v1/stats/ohlc?symbol=AAPL&start=2025-01-02T00:00:00." + "1" * 50_000,
    "a limit of 50,000 digits": "/api/v1/stats/ohlc?symbol=AAPL&limit=" + "1" * 50_000,
    "a cursor of 50,000 characters": "/api/v1/stats/ohlc?symbol=AAPL&cursor=" + "A" * 50_000,
    "20,000 symbols": "/api/v1/market-data/equities/ohlcv?start=2025-01-02&symbols=" + "A," * 20_000,
    "5,000 different symbols": "/api/v1/market-data/equities/ohlcv?start=2025-01-02&symbols=" + ",".join(f"S{n}" for n in range(5_000)),
    "20,000 fields": "/api/v1/market-data/equities/AAPL/ohlcv?start=2025-01-02&fields=" + "close," * 8_000,
}  # fmt: skip
LONG_HEADERS: dict[str, dict[str, str]] = {
    "Accept of 10,000 types": {"Accept": ",".join(f"a/b{n}" for n in range(6_000))},
    "Accept of 10,000 parameters": {"Accept": "text/html" + ";a=b" * 12_000},
    "Accept of 10,000 weights": {"Accept": ",".join(f"application/json;q=0.{n:03}" for n in range(2_000))},
    "Accept of commas": {"Accept": "," * 50_000},
    "Accept-Encoding of 10,000 names": {"Accept-Encoding": "a;q=0.1," * 6_000},
    "If-None-Match of 10,000 tags": {"If-None-Match": '"a",' * 12_000},
    "If-None-Match of quotes": {"If-None-Match": '"' * 50_000},
    "Cookie of 10,000 pairs": {"Cookie": "; ".join(f"a{n}=b" for n in range(6_000))},
    "Cookie of quotes": {"Cookie": 'sessionid="' + '\\"' * 25_000},
    "Content-Type of parameters": {"Content-Type": "application/json" + "; a=b" * 10_000},
    "Content-Type of quotes": {"Content-Type": 'application/json; charset="' + '\\"' * 25_000},
    "Authorization of 50,000 characters": {"Authorization": "Api-Key " + "a" * 50_000},
    "X-Forwarded-For of 10,000 addresses": {"X-Forwarded-For": "1.2.3.4, " * 5_000},
    "X-Correlation-ID of 50,000 characters": {"X-Correlation-ID": "a" * 50_000},
    "Idempotency-Key of 50,000 characters": {"Idempotency-Key": "a" * 50_000},
    "Range of 10,000 ranges": {"Range": "bytes=" + "0-,5-0," * 7_000},
    "5,000 headers": {f"X-{n}": "a" for n in range(5_000)},
    "Host of 50,000 characters": {"Host": "a" * 50_000},
    "Host of dots": {"Host": "a." * 25_000},
}
