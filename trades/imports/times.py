"""Converts a file's times to nanoseconds UTC: texts with or without offset, epoch integers, time since midnight."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Mask
from store.timestamps import SECOND_NS
from trades.imports.columns import mask_of
from trades.imports.layout import ReadOptions
from trades.imports.zones import times_of_zones, without_zone_names

Indexes = list[int]

# Epochs of 10, 13, 16, 19 digits: seconds, milliseconds, microseconds, nanoseconds.
_EPOCHS = ((10**9, SECOND_NS), (10**12, 10**6), (10**15, 10**3), (10**18, 1))
_MILLISECONDS_A_DAY = 86_400_000
# With a fraction they have at most nine digits after those of seconds.
_IS_EPOCH = r"^[0-9]{10}([.][0-9]{1,9})?$|^[0-9]{13}([.][0-9]{1,6})?$|^[0-9]{16}([.][0-9]{1,3})?$|^[0-9]{19}$"
_EPOCH_DIGITS = 19
_OFFSET = r"(?i)^(.*[T ;:].*?) *(UTC|GMT|Z|(GMT)?[+-][0-9]{2}(:?[0-9]{2})?)$"
_HAS_OFFSET = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
# Texts that mean one instant, and how ISO 8601 writes them: 2024.01.02 09:31, 20240102093100, 20240102-09:31:00,
# 20240102;093100, 20240102 0931, 20240102 093100123, 2024-01-02 09:31:00 UTC, 2024-01-02 09:31:00 +0000 UTC.
_DIGITS = "[0-9]{2}"
_REWRITTEN = (
    (r" ?GMT([+-][0-9]{4})$", r"\1"),
    (r"^(.*?[0-9]) *([+-]00:?00)? *(UTC|GMT|Z)$", r"\1Z"),
    (r"(:[0-9.]+) +([+-][0-9]{2}:?[0-9]{2})$", r"\1\2"),
    (rf"^([0-9]{{8}})({_DIGITS}{_DIGITS}{_DIGITS})$", r"\1 \2"),
    (rf"^([0-9]{{4}})[./]?({_DIGITS})[./]?({_DIGITS})([T ;-]|$)", r"\1-\2-\3\4"),
    (rf"^([0-9]{{4}}-{_DIGITS}-{_DIGITS})[T ;-]+", r"\1 "),
    (rf"^([0-9-]{{10}} {_DIGITS})({_DIGITS})(Z|[+-].*)?$", r"\1:\2\3"),
    (rf"^([0-9-]{{10}} {_DIGITS})({_DIGITS})({_DIGITS})([.].*|Z|[+-].*)?$", r"\1:\2:\3\4"),
    (rf"^([0-9-]{{10}} {_DIGITS})({_DIGITS})({_DIGITS}) ?([0-9]{{3,9}})$", r"\1:\2:\3.\4"),
    (r"^([0-9-]{10})Z$", r"\1 00:00Z"),
)
# A date of numbers, and what may follow it; of what a code stands for, digits that ISO 8601 pads by zeros.
_FORMAT = re.compile(r"(%[Ymd][-./ ]?%[Ymd][-./ ]?%[Ymd])([T ;,]+%H:%M(:%S([.]%f)?)?)?")
_CODES = {"Y": "([0-9]{4})", "m": "([0-9]{1,2})", "d": "([0-9]{1,2})"}
_PADDED = (
    (r"^([0-9]{4})-([0-9])-", r"\1-0\2-"),
    (r"^([0-9]{4}-[0-9]{2})-([0-9])([T ;,]|$)", r"\1-0\2\3"),
    (r"^([0-9-]{10}[T ;,]+)([0-9]):", r"\10\2:"),
)


class TimeStyle(Enum):
    """How times are written. The value is the Arrow type that they are cast to."""

    OFFSET = pa.timestamp("ns", "UTC")
    LOCAL = pa.timestamp("ns")
    EPOCH = pa.int64()


def is_plain_time(kind: pa.DataType) -> bool:
    """Return whether values of a type are local times, or integers whose digits tell the unit."""
    return bool(pa.types.is_integer(kind) or (pa.types.is_timestamp(kind) and kind.tz is None))


def whole_instants(values: pa.Array, options: ReadOptions, *, is_event: bool) -> pa.Array:
    """Convert a column of one style, that of its first value, to int64 nanoseconds UTC. Raises `pa.ArrowInvalid`."""
    if is_event and options.time_format:
        raise pa.ArrowInvalid("texts of a format are read one by one")
    is_counted = is_event and options.date is not None
    style = TimeStyle.EPOCH if is_counted else _style_of(values)
    return _cast_instants(values.cast(style.value), style, options, is_event=is_event)


def parse_instants(
    values: pa.Array, options: ReadOptions, *, is_event: bool, limit: int | None
) -> tuple[pa.Array, Indexes]:
    """Convert values of mixed styles, wrong ones to null; return also the indexes of the first `limit` wrong ones.

    values: texts, timestamps, or integers. is_event: this is the event time; it counts milliseconds since midnight if
    `options` has a date. A time that ends with the name of a time zone is read in that zone.
    """
    zones = times_of_zones(values)
    if zones:
        return _parse_zones(values, zones, options, is_event=is_event, limit=limit)
    if is_event and options.time_format:
        iso = _iso_of(options.time_format)
        if iso is None:
            return _parse_by_format(values, options, limit=limit)
        values = _rewritten(pc.utf8_trim_whitespace(values), (iso, *_PADDED))
    if is_event and options.date is not None:
        by_style = {TimeStyle.EPOCH: np.ones(len(values), dtype=bool)}
    elif pa.types.is_string(values.type):
        values, by_style = _styled(pc.ascii_upper(pc.utf8_trim_whitespace(values)))
    else:
        by_style = {_style_of(values): np.ones(len(values), dtype=bool)}
    times = np.zeros(len(values), dtype=np.int64)
    valid = np.zeros(len(values), dtype=bool)
    wrong: Indexes = []
    for style, mask in by_style.items():
        indexes = np.flatnonzero(mask & mask_of(values.is_valid()))

        def convert(some: pa.Array, style: TimeStyle = style) -> pa.Array:
            return _cast_instants(some.cast(style.value), style, options, is_event=is_event)

        converted, refused = convert_by_bisection(values.take(pa.array(indexes)), convert, limit=limit)
        times[indexes] = converted.fill_null(0).to_numpy()
        valid[indexes] = mask_of(converted.is_valid())
        wrong += indexes[refused].tolist()
    return pa.array(times, mask=~valid), sorted(wrong)[:limit]


def _parse_zones(
    values: pa.Array,
    zones: Sequence[tuple[str, pa.Array, Mask]],
    options: ReadOptions,
    *,
    is_event: bool,
    limit: int | None,
) -> tuple[pa.Array, Indexes]:
    """Convert times of several zones, and times without one in the options' zone."""
    unnamed = ~np.logical_or.reduce([mask for _, _, mask in zones])
    times = np.zeros(len(values), dtype=np.int64)
    valid = np.zeros(len(values), dtype=bool)
    wrong: Indexes = []
    for zone, texts, mask in (*zones, (options.zone, values, unnamed)):
        indexes = np.flatnonzero(mask)
        own = replace(options, zone=zone)
        converted, refused = parse_instants(
            texts.take(pa.array(indexes)), own, is_event=is_event, limit=limit
        )
        times[indexes] = converted.fill_null(0).to_numpy()
        valid[indexes] = mask_of(converted.is_valid())
        wrong += indexes[refused].tolist()
    return pa.array(times, mask=~valid), sorted(wrong)[:limit]


def wall_times(values: pa.Array, options: ReadOptions) -> pa.Array:
    """Return what the clocks show by which event times are written, as if in UTC, int64 nanoseconds; null for wrong ones.

    A time with an offset or the name of a zone has its own clock, an epoch integer that of the options' time zone.
    """
    if pa.types.is_timestamp(values.type):
        local = values if values.type.tz is None else pc.local_timestamp(values)
        return local.cast(TimeStyle.LOCAL.value).cast(pa.int64())
    plain = pc.utf8_trim_whitespace(without_zone_names(values)) if pa.types.is_string(values.type) else values
    is_epoch = pc.invert(pc.is_null(plain))
    if pa.types.is_string(values.type):
        is_epoch = pc.match_substring_regex(plain, _IS_EPOCH)
        plain = pc.replace_substring_regex(plain, _OFFSET, r"\1")
    times, _ = parse_instants(plain, replace(options, zone="UTC"), is_event=True, limit=None)
    return pc.if_else(is_epoch, local_clock(times, options.zone), times)


def local_clock(instants: pa.Array, zone: str) -> pa.Array:
    """Return what the clocks of a zone show at instants, int64 nanoseconds UTC, as if in UTC."""
    zoned = instants.cast(TimeStyle.OFFSET.value).cast(pa.timestamp("ns", zone))
    return pc.local_timestamp(zoned).cast(pa.int64())


def are_epochs(texts: pa.Array) -> bool:
    """Return whether all texts are epochs."""
    return pa.types.is_string(texts.type) and bool(
        pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(texts), _IS_EPOCH)).as_py()
    )


def _style_of(values: pa.Array) -> TimeStyle:
    """Return the style of the first value of a column of texts, timestamps or integers."""
    if pa.types.is_timestamp(values.type):
        return TimeStyle.LOCAL if values.type.tz is None else TimeStyle.OFFSET
    present = values.drop_null()
    if not pa.types.is_string(values.type) or (len(present) and present[0].as_py().isdigit()):
        return TimeStyle.EPOCH
    return (
        TimeStyle.OFFSET
        if mask_of(pc.match_substring_regex(present[:1], _HAS_OFFSET)).any()
        else TimeStyle.LOCAL
    )


def _cast_instants(values: pa.Array, style: TimeStyle, options: ReadOptions, *, is_event: bool) -> pa.Array:
    """Convert a column in its style's type to int64 nanoseconds UTC. Raises `pa.ArrowInvalid`."""
    if style is TimeStyle.OFFSET:
        return values.cast(pa.int64())
    if style is TimeStyle.LOCAL:
        return _from_local(values, options)
    if is_event and options.date is not None:
        return _from_local(_since_midnight(values, options.date), options)
    return _from_epochs(values)


def _parse_by_format(cells: pa.Array, options: ReadOptions, *, limit: int | None) -> tuple[pa.Array, Indexes]:
    """Convert texts by the options' format, cell by cell: Arrow takes 31 February for 2 March."""
    texts = [(cell or "").strip() for cell in cells.to_pylist()]
    found = [local_time(text, options.time_format) for text in texts]
    wrong = [index for index, text in enumerate(texts) if text and found[index] is None]
    local = pa.array(found, pa.timestamp("us")).cast(TimeStyle.LOCAL.value)
    values, refused = convert_by_bisection(local, lambda some: _from_local(some, options), limit=limit)
    return values, sorted({*wrong, *refused})[:limit]


def local_time(text: str, time_format: str) -> datetime | None:
    """Return the time that a text has in a format of `strptime`, None if it does not fit."""
    try:
        return datetime.strptime(text, time_format)  # noqa: DTZ007 a local time
    except ValueError:
        return None


def _styled(texts: pa.Array) -> tuple[pa.Array, dict[TimeStyle, Mask]]:
    """Return the texts as ISO 8601 writes them, and a mask per style."""
    is_epoch = mask_of(pc.match_substring_regex(texts, _IS_EPOCH))
    digits = pc.utf8_rpad(pc.replace_substring(texts, ".", ""), _EPOCH_DIGITS, "0")
    texts = pc.if_else(is_epoch, digits, _rewritten(texts, _REWRITTEN))
    has_offset = ~is_epoch & mask_of(pc.match_substring_regex(texts, _HAS_OFFSET))
    return texts, {
        TimeStyle.EPOCH: is_epoch,
        TimeStyle.OFFSET: has_offset,
        TimeStyle.LOCAL: ~is_epoch & ~has_offset,
    }


def _rewritten(texts: pa.Array, patterns: Iterable[tuple[str, str]]) -> pa.Array:
    for pattern, replacement in patterns:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return texts


def _iso_of(time_format: str) -> tuple[str, str] | None:
    """Return the pattern of a date of a format, and the ISO 8601 of it; None if it is not of digits and a clock of 24 hours.

    A clock may be shorter than the format's, or have an offset.
    """
    match = _FORMAT.fullmatch(time_format)
    codes = re.findall("%([Ymd])", match[1]) if match else []
    if not match or sorted(codes) != ["Y", "d", "m"]:
        return None
    date = re.sub("%([Ymd])", lambda code: _CODES[code[1]], match[1].replace(".", "[.]"))
    places = {code: place for place, code in enumerate(codes, 1)}
    return f"^{date}([T ;,]|$)", f"\\{places['Y']}-\\{places['m']}-\\{places['d']}\\4"


def has_local_times(values: pa.Array) -> bool:
    """Return whether some values of a column of times are local: they depend on a time zone."""
    if not pa.types.is_string(values.type):
        return not pa.types.is_integer(values.type) and getattr(values.type, "tz", None) is None
    named = [mask for _, _, mask in times_of_zones(values)]
    if named:
        values = values.filter(pa.array(~np.logical_or.reduce(named)))
    _, by_style = _styled(pc.ascii_upper(pc.utf8_trim_whitespace(values.drop_null())))
    return bool(by_style[TimeStyle.LOCAL].any())


def has_local_clock(texts: pa.Array) -> bool:
    """Return whether some texts are local times, other than midnight."""
    texts = pc.utf8_trim_whitespace(without_zone_names(texts.drop_null()))
    texts, by_style = _styled(pc.ascii_upper(texts))
    local = texts.filter(pa.array(by_style[TimeStyle.LOCAL]))
    has_clock = pc.match_substring_regex(local, "[0-9]:[0-9]")
    midnight = pc.match_substring_regex(local, r"[T ;,]0?0:00(:00([.]0*)?)?$")
    return bool(pc.any(pc.and_not(has_clock, midnight)).as_py())


def convert_by_bisection(
    cells: pa.Array, convert: Callable[[pa.Array], pa.Array], *, limit: int | None
) -> tuple[pa.Array, Indexes]:
    """Convert cells. Finds cells for which `convert` raises `pa.ArrowInvalid` by bisection and makes them null.

    Returns also the indexes of the first `limit` wrong cells.
    """
    pieces: list[pa.Array] = []
    wrong: Indexes = []
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
    return (pa.concat_arrays(pieces) if pieces else convert(cells)), wrong


def _from_local(values: pa.Array, options: ReadOptions) -> pa.Array:
    if options.zone == "UTC":
        return values.cast(pa.int64())
    ambiguous = "raise" if options.ambiguous == "infer" else options.ambiguous
    zoned = pc.assume_timezone(values, options.zone, ambiguous=ambiguous, nonexistent="raise")
    return zoned.cast(pa.int64())


def _since_midnight(values: pa.Array, date: np.datetime64) -> pa.Array:
    counts = values.fill_null(0).to_numpy()
    if len(counts) and (counts.min() < 0 or counts.max() >= _MILLISECONDS_A_DAY):
        raise pa.ArrowInvalid("not milliseconds since midnight")
    midnight = date.astype("datetime64[ns]").astype(np.int64)
    return pa.array(midnight + counts * 10**6, mask=mask_of(values.is_null())).view(TimeStyle.LOCAL.value)


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
    return pa.array(counts * units, mask=mask_of(values.is_null()))
