"""The endpoints of the market-data API. Functions make one viewset per class and dataset or report."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.delivery.responses import content_response, is_browsed, page_query
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.navigation import links_beside, page_name, stream_links
from stats.market_data.openapi import coverage_schema, page_schema, report_schema, stream_schema
from stats.market_data.query import MARKET_CLASSES, MarketClass, Target, check_format, parse_query
from stats.market_data.query_parameters import query_serializer
from stats.market_data.reports import COVERAGE, REPORTS, parse_report_query
from stats.market_data.services import market_data_page, market_data_report, market_data_stream
from stats.rendering.query_form import PageLink, format_links
from stats.rendering.renderers import DOCUMENT_RENDERERS, RENDERERS, STREAM_FORMATS, STREAM_RENDERERS


class MarketDataViewSet(ViewSet):
    """The base of a dataset's endpoints."""

    market_class: MarketClass
    dataset: str
    streamed = False

    def get_view_name(self) -> str:
        """The title of the browsable page."""
        return page_name(self, f"all {self.dataset}" if self.streamed else self.dataset)

    def target(self, symbol: str | None) -> Target:
        """The parsed path."""
        form = MARKET_DATASETS[self.dataset].form
        return Target(self.market_class.path, form, symbol, self.streamed)

    def see_also(self) -> list[PageLink]:
        """The links of the browsable page."""
        symbol: str | None = self.kwargs.get("symbol")
        beside = links_beside(self.market_class, symbol)
        if self.streamed or symbol is None:
            return beside
        return [*beside, *stream_links(self.market_class, self.dataset, symbol, self.request.query_params)]


class PageViewSet(MarketDataViewSet):
    """A page of a dataset's rows."""

    renderer_classes = RENDERERS

    def page(self, request: Request, symbol: str | None) -> HttpResponseBase:
        """The response with the page, in the client's format and encoding."""
        now_ns, query = time.time_ns(), parse_query(self.target(symbol), page_query(request))
        check_format(query, "json" if is_browsed(request) else request.accepted_renderer.format)
        return content_response(request, market_data_page(query=query, now_ns=now_ns), now_ns=now_ns)


class StreamViewSet(MarketDataViewSet):
    """All of a dataset's rows."""

    renderer_classes = STREAM_RENDERERS
    streamed = True

    def stream(self, request: Request, symbol: str | None) -> HttpResponseBase:
        """The streamed response; in the browsable API only its URLs, one per format."""
        browsed = is_browsed(request)
        rows = market_data_stream(
            query=parse_query(self.target(symbol), request.META["QUERY_STRING"]),
            format_name=STREAM_FORMATS[0] if browsed else request.accepted_renderer.format,
            now_ns=time.time_ns(),
        )
        if browsed:
            links = format_links(request, list(STREAM_FORMATS))
            return Response({link.label: request.build_absolute_uri(link.url) for link in links})
        return StreamingHttpResponse(rows, content_type=rows.content_type, headers=rows.headers)


def page_view(market_class: MarketClass, dataset: str, *, several: bool) -> type[PageViewSet]:
    """Make the viewset for pages of a dataset in a class, for one symbol or for several."""

    def retrieve(
        self: PageViewSet, request: Request, symbol: str | None = None, **_: object
    ) -> HttpResponseBase:
        return self.page(request, symbol)

    form = MARKET_DATASETS[dataset].form
    attributes = {
        "__doc__": "A page of the rows of a range, or of the newest rows.",
        "market_class": market_class,
        "dataset": dataset,
        "query_serializer_class": form.serializer(streamed=False, several=several),
        "retrieve": extend_schema(**page_schema(market_class, form, several=several))(retrieve),
    }
    return type(f"{_title(market_class.path)}{_title(dataset)}ViewSet", (PageViewSet,), attributes)


def stream_view(market_class: MarketClass, dataset: str) -> type[StreamViewSet]:
    """Make the viewset for a dataset's stream."""

    def retrieve(self: StreamViewSet, request: Request, symbol: str, **_: object) -> HttpResponseBase:
        return self.stream(request, symbol)

    form = MARKET_DATASETS[dataset].form
    attributes = {
        "__doc__": "All rows of a range, as a stream.",
        "market_class": market_class,
        "dataset": dataset,
        "query_serializer_class": form.serializer(streamed=True, several=False),
        "retrieve": extend_schema(**stream_schema(market_class, form))(retrieve),
    }
    return type(f"{_title(market_class.path)}{_title(dataset)}StreamViewSet", (StreamViewSet,), attributes)


def branches() -> Iterator[tuple[MarketClass, str]]:
    """Yield each class with each of its datasets."""
    for market_class in MARKET_CLASSES.values():
        for dataset in market_class.datasets:
            if dataset in MARKET_DATASETS:
                yield market_class, dataset


def _title(name: str) -> str:
    return name.title().replace("-", "")


class ReportViewSet(ViewSet):
    """A report's endpoint."""

    renderer_classes = DOCUMENT_RENDERERS
    market_class: MarketClass
    report: str

    def get_view_name(self) -> str:
        """The title of the browsable page."""
        return page_name(self, self.report)

    def see_also(self) -> list[PageLink]:
        """The links of the browsable page."""
        return links_beside(self.market_class, self.kwargs.get("symbol"))

    def answer(self, request: Request, symbol: str | None) -> HttpResponseBase:
        """The response with the report on the symbol in the path or the symbols in the query string."""
        path, query_string = self.market_class.path, request.META["QUERY_STRING"]
        now_ns, query = time.time_ns(), parse_report_query(self.report, path, symbol, query_string)
        return content_response(request, market_data_report(query=query, now_ns=now_ns), now_ns=now_ns)


def report_view(market_class: MarketClass, report: str, *, several: bool) -> type[ReportViewSet]:
    """Make the viewset for a report on symbols of a class."""

    def retrieve(
        self: ReportViewSet, request: Request, symbol: str | None = None, **_: object
    ) -> HttpResponseBase:
        return self.answer(request, symbol)

    names = ("symbols", "as_of") if several else ("as_of",)
    title = f"{'Several' if several else ''}{report.title()}"
    attributes: dict[str, Any] = {
        "__doc__": f"The {report} of {market_class.path}.",
        "market_class": market_class,
        "report": report,
        "query_serializer_class": query_serializer(title, names),
        "retrieve": _described(market_class, report, several=several)(retrieve),
    }
    return type(f"{market_class.path.title()}{title}ViewSet", (ReportViewSet,), attributes)


def _described(market_class: MarketClass, report: str, *, several: bool) -> Callable[..., Any]:
    if report == COVERAGE:
        return extend_schema(**coverage_schema(market_class))
    members = [(part.name, MARKET_DATASETS[part.dataset].form) for part in REPORTS[report]]
    return extend_schema(**report_schema(market_class, report, members, several=several))
