"""The formats `columnar` and `msgpack`: one list per column, as JSON and as MessagePack."""

from collections.abc import MutableMapping
from typing import Any

import msgspec
import numpy as np
import orjson
import pyarrow as pa

from stats.rendering.format import FormatRenderer, RowsDocument, TimeForm
from stats.rendering.table import ColumnRole, OutColumn
from stats.rendering.value_text import dates, floats, integer_mask, time_text, unit_ns, words
from store.arrays import Floats
from store.lazy_imports import compute as pc


def column_values(column: OutColumn, values: pa.Array, form: TimeForm) -> Any:
    """Return a column as a list, or as a numpy array in which NaN and infinity mean null."""
    match column.role:
        case ColumnRole.NUMBER | ColumnRole.VOLUME:
            return _with_integers(floats(values)) if column.is_integer else floats(values)
        case ColumnRole.TIME:
            return _times(values, form)
        case ColumnRole.DATE:
            return dates(values).cast(pa.string()).to_pylist()
        case ColumnRole.WORDS:
            return [None if text is None else words(text) for text in values.to_pylist()]
    if values.null_count or values.type == pa.string():
        return values.to_pylist()
    return values.to_numpy(zero_copy_only=False)


def _with_integers(volumes: Floats) -> Any:
    mask = integer_mask(volumes)
    if mask.all():
        return volumes.astype(np.int64)
    return [
        int(volume) if is_integer else volume
        for volume, is_integer in zip(volumes.tolist(), mask, strict=True)
    ]


def _times(values: pa.Array, form: TimeForm) -> Any:
    instants = values.fill_null(0).to_numpy()
    if form is TimeForm.RFC3339:
        return pc.if_else(values.is_valid(), time_text(instants), None).to_pylist()
    units = instants // unit_ns(form)
    return pc.if_else(values.is_valid(), units, None).to_pylist() if values.null_count else units


_LIST_NAMES = {"timestamp": "timestamps"}
_pack = msgspec.msgpack.Encoder().encode


class ColumnarRenderer(FormatRenderer):
    """One object: the head's fields, a list per column, the tail's fields."""

    format, media_type = "columnar", "application/vnd.marketdata.columnar+json"

    def write(self, document: RowsDocument, headers: MutableMapping[str, str]) -> bytes:
        return _json(document, _lists(document))


class MsgPackRenderer(FormatRenderer):
    """The columnar document as MessagePack. `X-Original-Size` is the size of its JSON in bytes."""

    format, media_type = "msgpack", "application/msgpack"

    def write(self, document: RowsDocument, headers: MutableMapping[str, str]) -> bytes:
        lists = _lists(document)
        head, tail = (orjson.loads(orjson.dumps(part)) for part in (document.head, document.tail))
        headers["X-Original-Size"] = str(len(_json(document, lists)))
        return _pack({**head, **{name: _plain(values) for name, values in lists.items()}, **tail})


def _json(document: RowsDocument, lists: dict[str, Any]) -> bytes:
    return orjson.dumps({**document.head, **lists, **document.tail}, option=orjson.OPT_SERIALIZE_NUMPY)


def _lists(document: RowsDocument) -> dict[str, Any]:
    form, table = document.time_form or document.columnar_times, document.table
    return {
        _LIST_NAMES.get(column.name, column.name): column_values(column, values, form)
        for column, values in zip(table.columns, table.arrays(), strict=True)
    }


def _plain(values: Any) -> list[Any]:
    """Return the values as a list, with None for NaN and infinity."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind != "f" or np.isfinite(values).all():
            return values.tolist()  # type: ignore[no-any-return]
        values = values.tolist()
    return [_finite(value) for value in values]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and value - value != 0 else value
