"""The URLs of the market-data API. A symbol may contain a slash (BTC/USD). A suffix is a format (`ohlcv.csv`)."""

from collections.abc import Iterator

from django.urls import URLPattern, re_path

from stats.market_data.query import MARKET_CLASSES
from stats.market_data.reports import COVERAGE, REPORTS
from stats.market_data.views import branches, page_view, report_view, stream_view

_SYMBOL = r"(?P<symbol>[^/]+(?:/[^/]+)?)"
_SUFFIX = r"\.(?P<format>[A-Za-z0-9]+)"


def _patterns() -> Iterator[URLPattern]:
    for market_class, dataset in branches():
        root = f"market-data/{market_class.path}"
        name = f"{market_class.path}-{dataset}"
        if dataset in market_class.streamed:
            stream = stream_view(market_class, dataset).as_view({"get": "retrieve"})
            yield re_path(rf"^{root}/{_SYMBOL}/{dataset}/stream/?\Z", stream, name=f"{name}-stream")
            yield re_path(rf"^{root}/{_SYMBOL}/{dataset}/stream{_SUFFIX}/?\Z", stream, name=f"{name}-stream")
        several = page_view(market_class, dataset, several=True).as_view({"get": "retrieve"})
        yield re_path(rf"^{root}/{dataset}/?\Z", several, name=f"{name}-several")
        yield re_path(rf"^{root}/{dataset}{_SUFFIX}/?\Z", several, name=f"{name}-several")
        page = page_view(market_class, dataset, several=False).as_view({"get": "retrieve"})
        yield re_path(rf"^{root}/{_SYMBOL}/{dataset}/?\Z", page, name=name)
        yield re_path(rf"^{root}/{_SYMBOL}/{dataset}{_SUFFIX}/?\Z", page, name=name)


def _reports() -> Iterator[URLPattern]:
    for market_class in MARKET_CLASSES.values():
        root = f"market-data/{market_class.path}"
        for report in REPORTS:
            name = f"{market_class.path}-{report}"
            several = report_view(market_class, report, several=True).as_view({"get": "retrieve"})
            yield re_path(rf"^{root}/{report}/?\Z", several, name=f"{name}-several")
            one = report_view(market_class, report, several=False).as_view({"get": "retrieve"})
            yield re_path(rf"^{root}/{_SYMBOL}/{report}/?\Z", one, name=name)
        coverage = report_view(market_class, COVERAGE, several=False).as_view({"get": "retrieve"})
        yield re_path(rf"^{root}/{_SYMBOL}/{COVERAGE}/?\Z", coverage, name=f"{market_class.path}-{COVERAGE}")


market_data_urlpatterns = [*_patterns(), *_reports()]
