"""Times in a file as nanoseconds UTC: texts with or without offset, epoch integers, time since midnight."""

from collections.abc import Callable
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Mask
from store.timestamps import SECOND_NS
from trades.imports.reading import Reading

Places = list[int]

# Epoch integers of 10, 13, 16, 19 digits: seconds, milliseconds, microseconds, nanoseconds.
_EPOCHS = ((10**9, SECOND_NS), (10**12, 10**6), (10**15, 10**3), (10**18, 1))
_MILLISECONDS_A_DAY = 86_400_000
_IS_EPOCH = r"^[0-9]{10}$|^[0-9]{13}$|^[0-9]{16}$|^[0-9]{19}$"
_HAS_OFFSET = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_COMPACT_DATE = r"^([0-9]{4})([0-9]{2})([0-9]{2})([T ]|$)"


class Style(Enum):
    """How a column's times are written, and the type in which a block of them is read at once."""

    OFFSET = pa.timestamp("ns", "UTC")
    LOCAL = pa.timestamp("ns")
    EPOCH = pa.int64()
    TEXT = pa.string()


def style_of(cell: str) -> Style:
    """The style of one cell; TEXT where only a closer look can tell."""
    column = pa.array([cell])
    if pc.match_substring_regex(column, _IS_EPOCH)[0].as_py() or cell.isdigit():
        return Style.EPOCH
    for style in (Style.OFFSET, Style.LOCAL):
        try:
            column.cast(style.value)
        except pa.ArrowInvalid:
            continue
        return style
    return Style.TEXT


def instants(values: pa.Array, style: Style, reading: Reading, *, is_event: bool) -> pa.Array:
    """A column that was read in its style's type, as int64 nanoseconds UTC. Raises `pa.ArrowInvalid`.

    is_event: the event time, which counts milliseconds since midnight where `reading` has a date.
    """
    if style is Style.OFFSET:
        return values.cast(pa.int64())
    if style is Style.LOCAL:
        return _from_local(values, reading)
    if is_event and reading.date is not None:
        return _from_local(_since_midnight(values, reading.date), reading)
    return _from_epochs(values)


def careful_instants(
    cells: pa.Array, reading: Reading, *, is_event: bool, limit: int | None
) -> tuple[pa.Array, Places]:
    """Texts of any styles as instants, null where a cell is wrong, and the first `limit` wrong places."""
    texts = pc.ascii_upper(pc.utf8_trim_whitespace(cells))
    if is_event and reading.date is not None:
        by_style = {Style.EPOCH: np.ones(len(cells), dtype=bool)}
    else:
        texts, by_style = _styled(texts)
    times = np.zeros(len(cells), dtype=np.int64)
    valid = np.zeros(len(cells), dtype=bool)
    wrong: Places = []
    for style, mask in by_style.items():
        places = np.flatnonzero(mask & _mask(cells.is_valid()))

        def convert(some: pa.Array, style: Style = style) -> pa.Array:
            return instants(some.cast(style.value), style, reading, is_event=is_event)

        converted, refused = converted_or_refused(texts.take(pa.array(places)), convert, limit=limit)
        times[places] = converted.fill_null(0).to_numpy()
        valid[places] = _mask(converted.is_valid())
        wrong += places[refused].tolist()
    return pa.array(times, mask=~valid), sorted(wrong)[:limit]


def _styled(texts: pa.Array) -> tuple[pa.Array, dict[Style, Mask]]:
    """Texts in capitals with hyphens in their dates, and which of them are of which style."""
    is_epoch = _mask(pc.match_substring_regex(texts, _IS_EPOCH))
    texts = pc.replace_substring_regex(texts, _COMPACT_DATE, r"\1-\2-\3\4")
    has_offset = ~is_epoch & _mask(pc.match_substring_regex(texts, _HAS_OFFSET))
    return texts, {
        Style.EPOCH: is_epoch,
        Style.OFFSET: has_offset,
        Style.LOCAL: ~is_epoch & ~has_offset,
    }


def converted_or_refused(
    cells: pa.Array, convert: Callable[[pa.Array], pa.Array], *, limit: int | None
) -> tuple[pa.Array, Places]:
    """Cells converted, null where `convert` raises `pa.ArrowInvalid`, and the first `limit` such places."""
    pieces: list[pa.Array] = []
    wrong: Places = []
    pending = [(0, len(cells))]
    while pending:
        start, end = pending.pop()
        try:
            pieces.append(convert(cells.slice(start, end - start)))
        except pa.ArrowInvalid:
            if end - start == 1:
                wrong.append(start)
            if end - start == 1 or (limit is not None and len(wrong) >= limit):
                pieces.append(pa.nulls(end - start, convert(cells.slice(0, 0)).type))
            else:
                middle = (start + end) // 2
                pending += [(middle, end), (start, middle)]
    whole = pa.concat_arrays(pieces) if pieces else convert(cells)
    return whole, wrong


def _from_local(values: pa.Array, reading: Reading) -> pa.Array:
    if reading.zone == "UTC":
        return values.cast(pa.int64())
    zoned = pc.assume_timezone(values, reading.zone, ambiguous=reading.ambiguous, nonexistent="raise")
    return zoned.cast(pa.int64())


def _since_midnight(values: pa.Array, date: np.datetime64) -> pa.Array:
    counts = values.fill_null(0).to_numpy()
    if len(counts) and (counts.min() < 0 or counts.max() >= _MILLISECONDS_A_DAY):
        raise pa.ArrowInvalid("not milliseconds since midnight")
    midnight = date.astype("datetime64[ns]").astype(np.int64)
    return pa.array(midnight + counts * 10**6, mask=_mask(values.is_null())).view(Style.LOCAL.value)


def _from_epochs(values: pa.Array) -> pa.Array:
    counts = values.fill_null(_EPOCHS[0][0]).to_numpy()
    units = np.zeros(len(counts), dtype=np.int64)
    for first, unit in _EPOCHS:
        units[(counts >= first) & (counts // 10 < first)] = unit
    if not units.all():
        raise pa.ArrowInvalid("not an epoch integer of 10, 13, 16 or 19 digits")
    seconds = counts // (SECOND_NS // units)
    if len(seconds) and seconds.max() > 9 * 10**9:
        raise pa.ArrowInvalid("later than can be stored")
    return pa.array(counts * units, mask=_mask(values.is_null()))


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
