"""Names of time zones in the cells of times, such as `20240102 09:30:00 US/Eastern`."""

import re
from functools import cache
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Mask
from trades.imports.columns import mask_of

_NAMED = r"^(?P<time>.*[0-9].*?) ?[ \[(](?P<zone>[A-Za-z][A-Za-z0-9_+/-]+)[\])]?$"
# Finds out in a tenth of the time that most columns name no zone.
_MAY_BE_NAMED = r"[ \[(][A-Z][A-Za-z0-9_+-]*[a-z0-9/][A-Za-z0-9_/+-]*[\])]?$"
_SIGN_OF_NAME = re.compile("[a-z/0-9]")
_ABBREVIATION = re.compile(r".*[0-9] ?(?!(?:AM|PM|UTC|GMT|[AP])$)([A-Z]{2,5})")


def has_zone_names(values: pa.Array) -> bool:
    """Return whether some times are texts that end with the name of a time zone."""
    return bool(zone_names(values))


def zone_names(values: pa.Array) -> list[str]:
    """Return the names of time zones with which times end, each once, in order."""
    if (
        not pa.types.is_string(values.type)
        or not pc.any(pc.match_substring_regex(values, _MAY_BE_NAMED)).as_py()
    ):
        return []
    words = pc.struct_field(pc.extract_regex(values, _NAMED), "zone").unique().drop_null().to_pylist()
    return [word for word in words if _is_zone(word)]


def times_of_zones(values: pa.Array) -> list[tuple[str, pa.Array, Mask]]:
    """Return each zone that times name, with all texts without their last word, and a mask of the zone's."""
    names = zone_names(values)
    if not names:
        return []
    parts = pc.extract_regex(values, _NAMED)
    times, words = (pc.struct_field(parts, name) for name in ("time", "zone"))
    return [(name, times, mask_of(pc.equal(words, name))) for name in names]


def without_zone_names(values: pa.Array) -> pa.Array:
    """Return texts of times without the names of zones with which they end."""
    for _, times, mask in times_of_zones(values):
        values = pc.if_else(pa.array(mask), times, values)
    return values


def abbreviated_zone(text: str) -> str | None:
    """Return the abbreviation with which a time ends, such as EST; it may mean several zones, or one half of the year."""
    match = _ABBREVIATION.fullmatch(text.strip())
    return match[1] if match else None


@cache
def _is_zone(word: str) -> bool:
    if not _SIGN_OF_NAME.search(word):  # an abbreviation, or AM
        return False
    try:
        ZoneInfo(word)
    except (KeyError, ValueError, OSError):
        return False
    return True
