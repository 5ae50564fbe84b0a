"""What the cells of a column look like: dates, times of day, contracts."""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from store.timestamps import DAY_NS
from trades.formats.arrow_values import one_array

_DATE = (
    r"^(?:(?:19|20)[0-9]{2}[-./]?(?:0[1-9]|1[0-2])[-./]?(?:0[1-9]|[12][0-9]|3[01])|[0-9]{1,2}[-./ ][0-9]{1,2}[-./ ](?:[0-9]{4}|[0-9]{2})"
    r"|[0-9]{1,2}[-. ]?[A-Za-z]{3,9}[-., ]*(?:[0-9]{4}|[0-9]{2})|[A-Za-z]{3,9} [0-9]{1,2},? [0-9]{4})$"
)
# An epoch of seconds to nanoseconds, or a date and a time of day.
_INSTANT = (
    r"^(?:1[0-9]{9}([.][0-9]+)?|1[0-9]{12}([.][0-9]+)?|1[0-9]{15}([.][0-9]+)?|1[0-9]{18}"
    r"|(?:19|20)[0-9]{2}[-./]?[0-9]{2}[-./]?[0-9]{2}[T ;_-]+[0-9]{1,2}:?[0-9]{2}.*|(?:19|20)[0-9]{12}([.][0-9]+)?"
    r"|[0-9]{1,2}[-./ ][0-9]{1,2}[-./ ](?:[0-9]{4}|[0-9]{2})[T ;,]+[0-9]{1,2}:[0-9]{2}.*)$"
)
_CLOCK = r"^[0-9]{1,2}:[0-5][0-9](:[0-5][0-9]([.,:][0-9]+)?)?( ?(?i:[AP][.]?M[.]?))?$"
# Hours, minutes, and perhaps seconds and a fraction as digits. Programs leave the first zero out.
_CLOCK_DIGITS = r"^([01]?[0-9]|2[0-3])[0-5][0-9]([0-5][0-9]([0-9]{3}|[0-9]{6}|[0-9]{9})?)?$"
_PADDED_DIGITS = r"^0[0-9]{3}([0-9]{2}([0-9]{3}|[0-9]{6}|[0-9]{9})?)?$"
_OF_TIME = re.compile(r"time|clock|hour|uhr|zeit|hora|heure|hhmm|hms|midnight|timm|klock", re.IGNORECASE)
# Counts since midnight, by the unit in the column's name.
_UNITS = (
    (re.compile(r"(?i)(?:_|time|day|midnight|^)(?:ns|nanos?|nanoseconds?)(?:_|$|of|since|after)"), 1),
    (re.compile(r"(?i)(?:_|time|day|midnight|^)(?:us|micros?|microseconds?)(?:_|$|of|since|after)"), 10**3),
    (
        re.compile(r"(?i)(?:_|time|day|midnight|^)(?:ms|millis?|milliseconds?|msec)(?:_|$|of|since|after)"),
        10**6,
    ),
    (re.compile(r"(?i)(?:_|time|day|midnight|^)(?:s|secs?|seconds?)(?:_|$|of|since|after)"), 10**9),
)
# Names of columns with the digits after the seconds, and how many these are.
_NO_FRACTION = re.compile("latency|delay|duration|elapsed|lag|ping|since|day|midnight")
_FRACTIONS = (
    (re.compile("nano"), 9),
    (re.compile("micro|usec"), 6),
    (re.compile("milli|msec|(?:^|[_ ])ms$"), 3),
)
# 09.30.00 may be a date, too, unless another column has the dates.
_POINTED_CLOCK = r"^([01]?[0-9]|2[0-3])[.][0-5][0-9][.][0-5][0-9]([.,][0-9]+)?$"
_CONTRACT = re.compile(
    r"(?:19|20)[0-9]{2}[-/]?(?:0[1-9]|1[0-2])(?:[-/]?[0-3][0-9])?|[FGHJKMNQUVXZ][0-9]{1,2}"
    r"|(?i:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|MRZ|MAI|OKT|DEZ)[-' ]?(?:[0-9]{2}|[0-9]{4})"
)
_MINUTE_NS = 60 * 10**9


def are_dates(values: pa.Array) -> bool:
    """Return whether all values are dates without a time of day."""
    if pa.types.is_date(values.type):
        return True
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    return _all_match(values, _DATE)


def are_instants(values: pa.Array) -> bool:
    """Return whether all values are epochs, or dates with times of day."""
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    return bool(pa.types.is_timestamp(values.type)) or _all_match(values, _INSTANT)


def are_clocks(name: str, values: pa.Array, *, is_named: bool = True) -> bool:
    """Return whether all values are times of day. is_named: digits count only if the column's name is one of times."""
    if pa.types.is_time(values.type):
        return True
    if pa.types.is_integer(values.type):
        values = values.cast(pa.string())
    if _all_match(values, _CLOCK):
        return True
    if (unit := count_unit(name, values)) is not None:
        # Counts within the first minute of all dates are seconds of a minute, or a second's fractions.
        return bool(pc.max(values.cast(pa.float64())).as_py() * unit >= _MINUTE_NS)
    if not _all_match(values, _CLOCK_DIGITS) or are_dates(values):
        return False
    is_padded = bool(pc.any(pc.match_substring_regex(values.drop_null(), _PADDED_DIGITS)).as_py())
    return _OF_TIME.search(name) is not None or (is_padded and not is_named)


def count_unit(name: str, values: pa.Array) -> int | None:
    """Return the unit in nanoseconds of counts since midnight, which the column's name tells; None for other columns."""
    unit = next((unit for pattern, unit in _UNITS if pattern.search(name)), None)
    if unit is None or not _all_match(values.cast(pa.string()), "^[0-9]{1,14}([.][0-9]+)?$"):
        return None
    return unit if pc.max(values.cast(pa.float64())).as_py() < DAY_NS / unit else None


def are_pointed_clocks(values: pa.Array) -> bool:
    """Return whether all values may be times of day such as 09.30.00, which may be dates, too."""
    return _all_match(values, _POINTED_CLOCK)


def fraction_digits(name: str, values: pa.Array) -> int | None:
    """Return how many digits after the seconds a column has, by its name: 3 of milliseconds; None for other columns."""
    digits = next((digits for pattern, digits in _FRACTIONS if pattern.search(name.lower())), None)
    if digits is None or _NO_FRACTION.search(name.lower()):
        return None
    if not (pa.types.is_string(values.type) or pa.types.is_integer(values.type)):
        return None
    return digits if _all_match(values.cast(pa.string()), f"^[0-9]{{1,{digits}}}$") else None


def clock_texts(name: str, values: pa.Array) -> pa.Array:
    """Return times of day as they are written after a date: with two digits of hours, counts since midnight as clocks."""
    if pa.types.is_time(values.type):
        return values.cast(pa.string())
    texts = pc.utf8_trim_whitespace(values.cast(pa.string()))
    unit = count_unit(name, texts)
    if unit is not None:
        counts = pc.round(pc.multiply(texts.cast(pa.float64()), float(unit))).cast(pa.int64())
        return counts.cast(pa.time64("ns")).cast(pa.string())
    texts = pc.replace_substring_regex(texts, "^([0-9]{1,2})[.]([0-9]{2})[.]([0-9]{2})", r"\1:\2:\3")
    texts = pc.replace_substring_regex(texts, "^([0-9]):", r"0\1:")
    return pc.replace_substring_regex(texts, "^([0-9]{3}|[0-9]{5}|[0-9]{8}|[0-9]{11}|[0-9]{14})$", r"0\1")


def are_contracts(texts: Sequence[str]) -> bool:
    """Return whether all texts are months or dates of expiry."""
    return all(_CONTRACT.fullmatch(text) for text in texts)


def plain_texts(values: pa.ChunkedArray) -> pa.Array:
    """Return a column's cells as texts without spaces around them, empty ones for nulls."""
    return pc.utf8_trim_whitespace(one_array(values).cast(pa.string())).fill_null("")


def distinct_texts(values: pa.ChunkedArray) -> list[str]:
    """Return the distinct texts of a column in order of appearance, an empty one for nulls; none of other types."""
    kind = values.type
    if not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind)):
        return []
    return list(plain_texts(values).unique().to_pylist())


def _all_match(values: pa.Array, pattern: str) -> bool:
    if not pa.types.is_string(values.type):
        return False
    present = pc.utf8_trim_whitespace(values.drop_null())
    present = present.filter(pc.not_equal(present, ""))
    return bool(len(present)) and bool(pc.all(pc.match_substring_regex(present, pattern)).as_py())
