"""Measures what decoding takes, as a program of its own: writes, as JSON, the bytes of each body and of its peak.

Each body is as large as one that a web process decodes itself may be, and takes much memory for its size.
"""

import ctypes
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

import django
import msgspec
import numpy as np
import pyarrow as pa

django.setup()

from tests.trades.formats.bodies import ARROW, CSV, MSGPACK, NDJSON  # noqa: E402 as above
from trades.batches.row_batch import ROWS_LIMIT, BatchOptions  # noqa: E402 as above
from trades.decoder import LARGE_BYTES  # noqa: E402 as above
from trades.formats import JSON, READERS  # noqa: E402 as above
from web.requests.exceptions import RequestError  # noqa: E402 needs the settings

ROW = '{"symbol":"A","timestamp":"2025-01-02T15:04:05Z","price":1,"volume":1}'
IGNORED = ROW[:-1] + ',"x":'


def filled(start: str, piece: str, end: str, size: int = LARGE_BYTES) -> bytes:
    room = size - len((start + end).encode())
    return (start + piece * (room // len(piece.encode())) + end).encode()


def keys() -> bytes:
    return b'{"trades":[{' + b",".join(b'"%d":1' % number for number in range(LARGE_BYTES // 10)) + b"}]}"


def empty_maps() -> bytes:
    return b"\x81\xa6trades\xdd" + ROWS_LIMIT.to_bytes(4, "big") + b"\x80" * ROWS_LIMIT


def packed_columns() -> bytes:
    rows = LARGE_BYTES // 34
    columns = {"timestamp": "2025-01-02T15:04:05Z", "symbol": "A", "price": 1.0, "volume": 1.0}
    return msgspec.msgpack.encode({name: [value] * rows for name, value in columns.items()})


def shared_texts() -> bytes:
    """As many rows as fit, with as long texts as are accepted of them."""
    rows = LARGE_BYTES // 30

    def shared(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([text]))

    times = np.full(rows, 1_735_830_000 * 10**9)
    columns = {"timestamp": times, "symbol": shared("A"), "price": np.ones(rows), "volume": np.ones(rows)}
    table = pa.table({**columns, "conditions": shared(";".join(["w" * 60] * 4))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


_HEADER = "timestamp,symbol,price,volume\n"
BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "rows of JSON": (JSON, lambda: filled('{"trades":[', ROW + ",", ROW + "]}")),
    "wrong rows of JSON": (JSON, lambda: filled('{"trades":[', ROW.replace("1}", '"x"}') + ",", ROW + "]}")),
    "more rows of JSON": (JSON, lambda: filled('{"trades":[', ROW + ",", ROW + "]}", 2 * LARGE_BYTES)),
    "lists": (JSON, lambda: filled('{"trades":[', "[],", "[]]}")),
    "numbers": (JSON, lambda: filled('{"trades":[', "1.5,", "1]}")),
    "texts": (JSON, lambda: filled('{"trades":[', '"ab",', '"ab"]}')),
    "keys": (JSON, keys),
    "escapes": (JSON, lambda: filled('{"trades":[{"symbol":"', r"\u0041", '"}]}')),
    "emoji": (JSON, lambda: filled('{"trades":[{"symbol":"', "a\U0001f600", '"}]}')),
    "ignored numbers": (JSON, lambda: filled('{"trades":[' + IGNORED + "[", "1.5,", "1]}]}")),
    "rows of NDJSON": (NDJSON, lambda: filled("", ROW + "\n", "")),
    "ignored fields of NDJSON": (NDJSON, lambda: filled("", IGNORED + "1}\n", "")),
    "braces": (NDJSON, lambda: filled("", "{}\n", "")),
    "rows of CSV": (CSV, lambda: filled(_HEADER, "2025-01-02T15:04:05Z,A,1,1\n", "")),
    "wrong rows of CSV": (CSV, lambda: filled(_HEADER, "2025-01-02T15:04:05Z,A,x,1\n", "")),
    "empty cells": (CSV, lambda: filled(_HEADER, ",,,\n", "")),
    "quotes": (CSV, lambda: filled(_HEADER, '"",', "\n")),
    "empty maps": (MSGPACK, empty_maps),
    "columns of MessagePack": (MSGPACK, packed_columns),
    "shared texts": (ARROW, shared_texts),
}


def status(name: str) -> int:
    """Bytes that the kernel tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def peak(media_type: str, body: bytes) -> int:
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    read(media_type, body)
    return status("VmHWM") - before + len(body)


def read(media_type: str, body: bytes) -> None:
    try:
        READERS[media_type](body, BatchOptions(ignore_unknown=True))
    except RequestError:
        return


def main() -> None:
    found = {}
    for name, (media_type, make) in BODIES.items():
        body = make()
        read(media_type, body)  # loads what it needs
        found[name] = len(body), peak(media_type, body)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
