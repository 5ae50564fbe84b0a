"""Tells whether a message of Arrow's IPC format is compressed, before its buffers are inflated.

Arrow reports compression only after inflating the buffers, to whatever sizes they declare, so this module reads the
message's header itself. Source: `Message.fbs` of Arrow's columnar format, and the FlatBuffers binary format: a table
begins with the signed distance back to its vtable; a vtable is its own size, the table's size, and an offset
per field.
"""

from __future__ import annotations

import struct

from store import lazy_pyarrow as pa

_MESSAGE_HEADER = 2  # Message: version, header_type, header, …
_BATCH_COMPRESSION = 3  # RecordBatch: length, nodes, buffers, compression
_DICTIONARY_DATA = 1  # DictionaryBatch: id, data, …


def is_compressed(message_type: str, metadata: pa.Buffer) -> bool:
    """Return whether a message is a compressed record batch or dictionary. Arrow must have verified `metadata`."""
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
    """Return the offset of a table's field, or None if the field is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    entry = 4 + 2 * slot
    offset = struct.unpack_from("<H", data, vtable + entry)[0] if entry + 2 <= size else 0
    return table + offset if offset else None


def _follow(data: memoryview, table: int, slot: int) -> int | None:
    """Return the offset of the table that a field refers to, or None if the field is absent."""
    offset = _field(data, table, slot)
    return None if offset is None else offset + int(struct.unpack_from("<I", data, offset)[0])
