"""Values of MessagePack, looked at before they are made: a few bytes can stand for millions of objects.

Source: the format's specification, https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec

from http_requests.exceptions import MalformedDocument
from trades.batches.value_rule import WORDS_LIMIT

KEYS_LIMIT = 1_000
_LAST_SMALL_MAP = 0x8F
_MODEST_BYTES = 16 * 2**10
_map_of_raw = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


class Shape(Enum):
    """What has a declared length."""

    MAP = "map"
    LIST = "list"


def shape_of(value: bytes | msgspec.Raw) -> tuple[Shape | None, int]:
    """Whether a value is a map or a list, and the length that it declares."""
    data = memoryview(value)
    first = data[0] if data else 0xC0
    if 0x80 <= first <= 0x9F:
        return (Shape.MAP if first < 0x90 else Shape.LIST), first & 0x0F
    if 0xDC <= first <= 0xDF:
        width = 2 if first in {0xDC, 0xDE} else 4
        return (Shape.LIST if first <= 0xDD else Shape.MAP), int.from_bytes(data[1 : 1 + width], "big")
    return None, 0


def length_of(value: bytes | msgspec.Raw, shape: Shape) -> int | None:
    """The declared length of a map or list; None if it is something else."""
    found, length = shape_of(value)
    return length if found is shape else None


def fields_of(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """The fields of a map, not made yet; None if it is something else.

    Raises `MalformedDocument` for keys that are repeated, no texts, or too many.
    """
    declared = length_of(value, Shape.MAP)
    if declared is None:
        return None
    if declared > KEYS_LIMIT:
        raise MalformedDocument("malformed_msgpack", f"a map has more than {KEYS_LIMIT:,} keys")
    try:
        fields = _map_of_raw.decode(value)
    except msgspec.ValidationError as error:
        raise MalformedDocument("malformed_msgpack", "a key of a map is no text") from error
    if len(fields) < declared:
        raise MalformedDocument("duplicate_key", "a key is repeated in one map")
    return fields


def count_keys(maps: Sequence[msgspec.Raw]) -> int:
    """How many keys the maps declare, all together."""
    firsts = [memoryview(value)[0] for value in maps]
    if max(firsts) <= _LAST_SMALL_MAP:
        return sum(firsts) - 0x80 * len(firsts)
    return sum(length_of(value, Shape.MAP) or 0 for value in maps)


def modest_value(value: bytes | msgspec.Raw) -> Any:
    """The value; a large list or map, which nothing here can be, as a small one that is as wrong."""
    shape, length = shape_of(value)
    if shape is None or len(memoryview(value)) <= _MODEST_BYTES:
        return msgspec.msgpack.decode(value)
    return {} if shape is Shape.MAP else [None] * min(length, WORDS_LIMIT + 1)
