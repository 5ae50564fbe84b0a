"""Hints for unknown paths of market data."""

from collections.abc import Collection
from typing import NamedTuple

from stats.market_data.datasets import MARKET_REPORTS
from stats.market_data.query import MARKET_CLASSES, MarketClass
from web.requests.nearest_name import nearest_of, nearest_or_all

_ROOT = "/api/v1/market-data/"


class NoSuchName(NamedTuple):
    """A name in a path of market data that is unknown. segments: those below /market-data/.

    position: of the name's segment. name: "" if there is none. known: the names that are valid there.
    """

    segments: list[str]
    position: int
    name: str
    known: Collection[str]


def unknown_name_hint(path: str) -> str:
    """Return a hint for an unknown path: the most similar name, or all names.

    Return "" outside /api/v1/market-data, and if the name is valid.
    """
    unknown = _unknown_name(path)
    return "" if unknown is None else nearest_or_all(unknown.name, unknown.known)


def nearest_path(path: str) -> str | None:
    """Return an unknown path of market data with its unknown name replaced by the most similar; None without one."""
    unknown = _unknown_name(path)
    nearest = nearest_of(unknown.name, unknown.known) if unknown else None
    if unknown is None or nearest is None or len(unknown.segments) == 1:
        return None
    segments, position = unknown.segments, unknown.position
    suffix = segments[position].removeprefix(unknown.name)
    return _ROOT + "/".join([*segments[:position], nearest + suffix, *segments[position + 1 :]])


def _unknown_name(path: str) -> NoSuchName | None:
    if not path.startswith(_ROOT):
        return None
    segments = path.removeprefix(_ROOT).strip("/").split("/")
    market_class = MARKET_CLASSES.get(segments[0])
    if market_class is None:
        return NoSuchName(segments, 0, segments[0], MARKET_CLASSES)
    known = (*market_class.datasets, *_reports(market_class))
    position = next((each for each in range(len(segments) - 1, 0, -1) if segments[each] != "stream"), 0)
    name = segments[position].partition(".")[0] if position else ""
    return None if name in known else NoSuchName(segments, position, name, known)


def _reports(market_class: MarketClass) -> list[str]:
    """Return the names of the reports on a class's symbols whose paths end with them."""
    return [
        name for name, each in MARKET_REPORTS.items() if market_class.path in each.classes and not each.path
    ]
