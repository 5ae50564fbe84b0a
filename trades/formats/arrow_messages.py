"""Whether an Arrow IPC message has compressed buffers. Arrow itself tells only once it has inflated them.

Source: `Message.fbs` and `RecordBatch` of Arrow's columnar format, and the FlatBuffers binary format: a table
begins with the signed distance back to its vtable; a vtable is its own size, the table's size, and an offset
per field.
"""

import struct

import pyarrow as pa

_MESSAGE_HEADER = 2  # Message: version, header_type, header, …
_BATCH_COMPRESSION = 3  # RecordBatch: length, nodes, buffers, compression
_DICTIONARY_DATA = 1  # DictionaryBatch: id, data, …


def is_compressed(message_type: str, metadata: pa.Buffer) -> bool:
    """Whether the record batch or dictionary that a message's (verified) metadata describes is compressed."""
    if message_type not in {"record batch", "dictionary"}:
        return False
    data = memoryview(metadata)
    table = _follow(data, _root(data), _MESSAGE_HEADER)
    if table is not None and message_type == "dictionary":
        table = _follow(data, table, _DICTIONARY_DATA)
    return table is not None and _field(data, table, _BATCH_COMPRESSION) is not None


def _root(data: memoryview) -> int:
    return int(struct.unpack_from("<I", data, 0)[0])


def _field(data: memoryview, table: int, slot: int) -> int | None:
    """Where a table's field is; None if it has none."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    at = 4 + 2 * slot
    offset = struct.unpack_from("<H", data, vtable + at)[0] if at + 2 <= size else 0
    return table + offset if offset else None


def _follow(data: memoryview, table: int, slot: int) -> int | None:
    """The table that a field refers to."""
    at = _field(data, table, slot)
    return None if at is None else at + int(struct.unpack_from("<I", data, at)[0])
