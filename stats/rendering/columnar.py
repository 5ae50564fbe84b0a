"""Rows as lists by column: as JSON, and packed."""

from typing import Any

import msgspec
import numpy as np
import orjson

from stats.rendering.column_values import column_values
from stats.rendering.document import Document, TimeForm
from stats.rendering.format import Rendered

_LIST_NAMES = {"timestamp": "timestamps"}
_pack = msgspec.msgpack.Encoder().encode


def render_columnar(document: Document, form: TimeForm | None) -> Rendered:
    """`head`, a list per column, `tail`, in one object."""
    return Rendered(_json(document, _lists(document, form)))


def render_msgpack(document: Document, form: TimeForm | None) -> Rendered:
    """The columnar document packed; `X-Original-Size` is the size of its JSON in bytes."""
    lists = _lists(document, form)
    head, tail = (orjson.loads(orjson.dumps(part)) for part in (document.head, document.tail))
    body = _pack({**head, **{name: _plain(values) for name, values in lists.items()}, **tail})
    return Rendered(body, (("X-Original-Size", str(len(_json(document, lists)))),))


def _json(document: Document, lists: dict[str, Any]) -> bytes:
    return orjson.dumps({**document.head, **lists, **document.tail}, option=orjson.OPT_SERIALIZE_NUMPY)


def _lists(document: Document, form: TimeForm | None) -> dict[str, Any]:
    form, table = form or document.columnar_times, document.table
    return {
        _LIST_NAMES.get(column.name, column.name): column_values(column, values, form)
        for column, values in zip(table.columns, table.arrays(), strict=True)
    }


def _plain(values: Any) -> list[Any]:
    """What msgpack takes: a list, with None for what is not finite."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind != "f" or np.isfinite(values).all():
            return values.tolist()  # type: ignore[no-any-return]
        values = values.tolist()
    return [_finite(value) for value in values]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and value - value != 0 else value
