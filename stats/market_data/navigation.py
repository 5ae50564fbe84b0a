"""Links between the pages of the browsable API, and hints for unknown paths."""

from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from stats.market_data.datasets import MARKET_DATASETS, MARKET_REPORTS
from stats.market_data.query import MARKET_CLASSES, MarketClass
from stats.rendering.query_form import PageLink
from web.requests.nearest_name import nearest_of, nearest_or_all

# The number of rows per symbol in links to a dataset: for one symbol, and for several symbols.
_ROWS = 100
_ROWS_EACH = 5
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


def links_beside(market_class: MarketClass, symbol: str | None) -> list[PageLink]:
    """Return links to the newest rows of a symbol's datasets and to its reports; none if `symbol` is None."""
    if symbol is None:
        return []
    datasets = [
        PageLink(_path(market_class, dataset, symbol) + ("?" + query if query else ""), dataset)
        for dataset in market_class.datasets
        for query in [_newest(dataset, _ROWS)]
    ]
    links = [PageLink(_path(market_class, each, symbol), each) for each in _reports(market_class)]
    return [*datasets, *links]


def _reports(market_class: MarketClass) -> list[str]:
    """Return the names of the reports on a class's symbols whose paths end with them."""
    return [
        name for name, each in MARKET_REPORTS.items() if market_class.path in each.classes and not each.path
    ]


def links_of_several(market_class: MarketClass, symbols: list[str]) -> list[PageLink]:
    """Return links to the datasets and reports of several symbols at once; none without symbols."""
    if not symbols:
        return []
    symbols_query = {"symbols": ",".join(symbols)}
    queries = {
        dataset: "&".join(filter(None, (urlencode(symbols_query), _newest(dataset, _ROWS_EACH))))
        for dataset in market_class.datasets
    }
    queries |= {
        report: urlencode(symbols_query)
        for report in _reports(market_class)
        if MARKET_REPORTS[report].classes_of_symbols
    }
    return [
        PageLink(f"{reverse(f'{market_class.path}-{name}-several')}?{query}", name)
        for name, query in queries.items()
    ]


def surface_links(market_class: MarketClass, underlying: str) -> list[PageLink]:
    """Return links to the datasets that have rows of all options of an underlying."""
    return [
        PageLink(_path(market_class, dataset, underlying), f"{dataset} of all of {underlying}")
        for dataset in market_class.datasets
        if MARKET_DATASETS[dataset].takes_underlyings
    ]


def stream_links(market_class: MarketClass, dataset: str, symbol: str, query: QueryDict) -> list[PageLink]:
    """Return a link to the stream of a page's range; none if the dataset has no stream."""
    declared = MARKET_DATASETS[dataset]
    if not declared.has_stream:
        return []
    names = declared.parameters(streamed=True, several=False)
    parameters = {name: value for name, value in query.items() if name in names and value}
    if declared.stream_resolution is not None:
        # The stream's default resolution differs from the page's, so the link names the page's.
        parameters.setdefault("resolution", declared.resolution.value)
    path = _path(market_class, f"{dataset}-stream", symbol)
    query_string = f"?{urlencode(parameters)}" if parameters else ""
    return [PageLink(path + query_string, f"all {dataset}, as a stream")]


def _newest(dataset: str, count: int) -> str:
    """Return the query string of a dataset's newest rows; "" if its rows are those of one instant."""
    return "" if MARKET_DATASETS[dataset].at_one_instant else f"last={count}"


def _path(market_class: MarketClass, name: str, symbol: str) -> str:
    return reverse(f"{market_class.path}-{name}", kwargs={"symbol": symbol})
