"""Parquet whose footer is forged: it says that a page of gigabytes has 500 bytes."""

import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq

_FORGED_SIZE = 500
_LENGTH_AND_MAGIC = 8


def forged_parquet(text: str, compression: str = "zstd") -> bytes:
    """Return a file of one trade whose conditions are a text; the footer's sizes of it are forged."""
    columns = {"timestamp": ["2025-01-02T14:30:00Z"], "symbol": ["A"], "price": [1.0], "volume": [1.0]}
    target = io.BytesIO()
    pq.write_table(
        pa.table({**columns, "conditions": [text]}),
        target,
        compression=compression,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )
    content = target.getvalue()
    [length] = struct.unpack("<I", content[-_LENGTH_AND_MAGIC:-4])
    start = len(content) - _LENGTH_AND_MAGIC - length
    footer = content[start:-_LENGTH_AND_MAGIC]
    group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    for size in (group.column(4).total_uncompressed_size, group.total_byte_size):
        assert _number(size) in footer
        footer = footer.replace(_number(size), _number(_FORGED_SIZE, len(_number(size))))
    return content[:start] + footer + content[-_LENGTH_AND_MAGIC:]


def _number(value: int, length: int = 0) -> bytes:
    """Return a positive number as Thrift's compact protocol writes it, padded to a length."""
    digits: list[int] = []
    rest = 2 * value
    while rest or len(digits) < length:
        digits.append(rest & 0x7F | 0x80)
        rest >>= 7
    digits[-1] &= 0x7F
    return bytes(digits)
