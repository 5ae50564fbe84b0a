"""Links between the pages of the browsable API, and hints for unknown paths."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from http_requests.nearest_name import nearest_or_all
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import MARKET_CLASSES, MarketClass
from stats.market_data.reports import COVERAGE, REPORTS
from stats.rendering.query_form import PageLink

# The `last` of links to a dataset: for one symbol, and for several symbols (rows of each).
_ROWS = 100
_ROWS_EACH = 5


def page_name(view: Any, subject: str) -> str:
    """A page's title: the symbol in its path, or its class if the path has no symbol, and the subject."""
    symbol = getattr(view, "kwargs", {}).get("symbol")
    return f"{symbol or view.market_class.path}: {subject}"


def nearest_path(path: str) -> str:
    """A hint for an unknown path: the most similar name, or all names; "" outside /api/v1/market-data."""
    root, _, rest = path.partition("/market-data/")
    if root != "/api/v1":
        return ""
    asked, *inner = rest.strip("/").split("/")
    market_class = MARKET_CLASSES.get(asked)
    if market_class is None:
        return nearest_or_all(asked, MARKET_CLASSES)
    known = (*market_class.datasets, *REPORTS, COVERAGE)
    name = next((each.partition(".")[0] for each in reversed(inner) if each != "stream"), "")
    return "" if name in known else nearest_or_all(name, known)


def links_beside(market_class: MarketClass, symbol: str | None) -> list[PageLink]:
    """Links to the newest rows of a symbol's datasets and to its reports; none if `symbol` is None."""
    return [] if symbol is None else list(_links(market_class, symbol))


def _links(market_class: MarketClass, symbol: str) -> Iterator[PageLink]:
    for dataset in market_class.datasets:
        if dataset in MARKET_DATASETS:
            path = _path(market_class, dataset, symbol)
            yield PageLink(f"{path}?{urlencode({'last': _ROWS})}", dataset)
    for report in (*REPORTS, COVERAGE):
        yield PageLink(_path(market_class, report, symbol), report)


def links_of_several(market_class: MarketClass, symbols: list[str]) -> list[PageLink]:
    """Links to datasets and reports, each of several symbols at once; none without symbols."""
    if not symbols:
        return []
    named = {"symbols": ",".join(symbols)}
    datasets = [each for each in market_class.datasets if each in MARKET_DATASETS]
    queries = {dataset: urlencode({**named, "last": _ROWS_EACH}) for dataset in datasets}
    queries |= {report: urlencode(named) for report in REPORTS}
    return [
        PageLink(f"{reverse(f'{market_class.path}-{name}-several')}?{query}", name)
        for name, query in queries.items()
    ]


def surface_links(market_class: MarketClass, underlying: str) -> list[PageLink]:
    """Links to the datasets of all options of an underlying."""
    return [
        PageLink(_path(market_class, dataset, underlying), f"{dataset} of all of {underlying}")
        for dataset in market_class.datasets
        if dataset in MARKET_DATASETS and MARKET_DATASETS[dataset].form.takes_underlyings
    ]


def stream_links(market_class: MarketClass, dataset: str, symbol: str, query: QueryDict) -> list[PageLink]:
    """A link to the stream of a page's range; none if the dataset has no stream."""
    if dataset not in market_class.streamed:
        return []
    form = MARKET_DATASETS[dataset].form
    taken = form.parameters(streamed=True, several=False)
    given = {name: value for name, value in query.items() if name in taken and value}
    if form.stream_resolution is not None:
        # Streams have another default resolution than pages.
        given.setdefault("resolution", form.resolution.value)
    kept = urlencode(given)
    path = _path(market_class, f"{dataset}-stream", symbol)
    return [PageLink(f"{path}?{kept}" if kept else path, f"all {dataset}, as a stream")]


def _path(market_class: MarketClass, name: str, symbol: str) -> str:
    return reverse(f"{market_class.path}-{name}", kwargs={"symbol": symbol})
