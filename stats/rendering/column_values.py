"""A column's values as JSON and msgpack encoders take them."""

from typing import Any

import numpy as np
import pyarrow as pa

from stats.rendering.document import TimeForm
from stats.rendering.json_cells import words
from stats.rendering.number_text import floats, whole_mask
from stats.rendering.table import OutColumn, Role
from stats.rendering.time_text import dates, time_text, unit_ns
from store.lazy_imports import compute as pc


def column_values(column: OutColumn, values: pa.Array, form: TimeForm) -> Any:
    """A column as a list, or as a numpy array in which what is not finite stands for null."""
    match column.role:
        case Role.NUMBER | Role.VOLUME:
            return _whole(floats(values)) if column.whole else floats(values)
        case Role.TIME:
            return _times(values, form)
        case Role.DATE:
            return dates(values).cast(pa.string()).to_pylist()
        case Role.WORDS:
            return [None if text is None else words(text) for text in values.to_pylist()]
    return values.to_pylist() if values.null_count else _array(values)


def _array(values: pa.Array) -> Any:
    return values.to_pylist() if values.type == pa.string() else values.to_numpy(zero_copy_only=False)


def _whole(volumes: Any) -> Any:
    is_whole = whole_mask(volumes)
    if is_whole.all():
        return volumes.astype(np.int64)
    return [
        int(volume) if whole else volume for volume, whole in zip(volumes.tolist(), is_whole, strict=True)
    ]


def _times(values: pa.Array, form: TimeForm) -> Any:
    instants = values.fill_null(0).to_numpy()
    if form is TimeForm.RFC3339:
        text = time_text(instants)
        return pc.if_else(values.is_valid(), text, None).to_pylist()
    written = instants // unit_ns(form)
    return pc.if_else(values.is_valid(), written, None).to_pylist() if values.null_count else written
