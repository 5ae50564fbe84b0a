"""The endpoints of the market-data API. A viewset has one route for each dataset or report of a class."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from stats.delivery.answers import ParsedCall
from stats.delivery.responses import AnswerViewSet, is_browsed, paged_query_string
from stats.market_data.answers.page import page_snapshot
from stats.market_data.answers.stream import RowStream
from stats.market_data.datasets import MARKET_DATASETS, MARKET_REPORTS
from stats.market_data.gaps import GAPS
from stats.market_data.openapi import page_schema, report_schema, stream_schema
from stats.market_data.query import (
    MARKET_CLASSES,
    MarketClass,
    check_format,
    parse_query,
)
from stats.rendering.page_links import PageLink, format_links
from stats.rendering.renderers import DOCUMENT_RENDERERS, RENDERERS, STREAM_FORMATS, STREAM_RENDERERS
from store.exceptions import StorageError
from trades.instruments.catalogue import catalogue_nearest
from web.endpoints import Access
from web.requests.compression import accepted_encoding
from web.routed_views import RoutedViewSet


class MarketDataViewSet(RoutedViewSet):
    """The base of the endpoints.

    Of a route: market_class, and subject: the name of the dataset or report. several: whether it is for the symbols in the query.
    """

    market_class = MARKET_CLASSES["equities"]
    subject = ""
    several = False

    @property
    def tag(self) -> str:
        """The OpenAPI tag of the route."""
        return "gaps and backfills" if self.subject == GAPS else self.market_class.path

    def query_serializer(self) -> serializers.Serializer[Any]:
        """Return the serializer of the query parameters."""
        raise NotImplementedError

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Answer the request. symbol: None if the symbols are in the query string."""
        raise NotImplementedError

    def nearest(self, code: str) -> list[PageLink]:
        """Return a link to the same page of the most similar symbol, if the page's symbol is unknown.

        Return [] while the store cannot be used: this is part of a page about another error.
        """
        symbol = self.kwargs.get("symbol")
        if code != "unknown_symbol" or symbol is None:
            return []
        try:
            nearest = catalogue_nearest(symbol, self.market_class.instrument_class)
        except StorageError:
            return []
        match = self.request.resolver_match
        if nearest is None or match is None:
            return []
        path = reverse(match.view_name, kwargs={**self.kwargs, "symbol": nearest})
        query = self.request.META["QUERY_STRING"]
        return [PageLink(f"{path}?{query}" if query else path, nearest)]


class MarketAnswerViewSet(MarketDataViewSet, AnswerViewSet):
    """The base of those whose answers are made from snapshots."""

    @classmethod
    def route(
        cls, market_class: MarketClass, subject: str, access: Access, *, several: bool
    ) -> Callable[..., Any]:
        """Return the view of a path. access: to its calls."""
        return cls.as_view(
            {"get": "retrieve"},
            market_class=market_class,
            subject=subject,
            several=several,
            access={"retrieve": access},
        )

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """About one symbol, or about several with `symbols=A,B`."""
        return self._respond(request, request.META["QUERY_STRING"], symbol)

    def _respond(self, request: Request, query_string: str, symbol: str | None) -> HttpResponseBase:
        route = {"market_class": self.market_class.path, "subject": self.subject, "symbol": symbol}
        return self.respond(request, query_string, **route)


class PageViewSet(MarketAnswerViewSet):
    """A page of the rows of a range, or of the newest rows."""

    access = {"retrieve": Access("market:read", cost="page")}
    renderer_classes = RENDERERS

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        return page_schema(self.market_class, MARKET_DATASETS[self.subject], several=self.several)

    def query_serializer(self) -> serializers.Serializer[Any]:
        """See `MarketDataViewSet`."""
        return MARKET_DATASETS[self.subject].serializer(streamed=False, several=self.several)

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Rows of a range or the newest ones, page by page."""
        return self._respond(request, paged_query_string(request), symbol)

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        dataset = MARKET_DATASETS[path["subject"]]
        query = parse_query(dataset, path["market_class"], path["symbol"], query_string)
        check_format(query, answer_format)
        return ParsedCall(partial(page_snapshot, query), query.logs)

    def chart_url(self) -> str:
        """Return where the dashboard shows the symbol's bars; "" for other datasets than `ohlcv`."""
        symbol, resolution = self.kwargs.get("symbol"), self.request.query_params.get("resolution")
        if self.subject != "ohlcv" or symbol is None:
            return ""
        return f"/#{urlencode({'symbol': symbol, **({'resolution': resolution} if resolution else {})})}"


class PiecesResponse(StreamingHttpResponse):
    """A stream whose pieces are bytes or memoryviews. Django would copy each memoryview."""

    def make_bytes(self, value: object) -> Any:
        return value


class StreamViewSet(MarketDataViewSet):
    """All rows of a range, as a stream."""

    access = {"retrieve": Access("market:read", cost="stream")}
    renderer_classes = STREAM_RENDERERS

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        return stream_schema(self.market_class, MARKET_DATASETS[self.subject])

    def query_serializer(self) -> serializers.Serializer[Any]:
        """See `MarketDataViewSet`."""
        return MARKET_DATASETS[self.subject].serializer(streamed=True, several=False)

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """All rows of a range as one stream; a page of it in a browser has its addresses, one per format."""
        browsed, dataset = is_browsed(request), MARKET_DATASETS[self.subject]
        query_string = request.META["QUERY_STRING"]
        query = parse_query(dataset, self.market_class.path, symbol, query_string, streamed=True)
        rows = RowStream(
            page_snapshot(query, now_ns=time.time_ns()),
            STREAM_FORMATS[0] if browsed else request.accepted_renderer.format,
            accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING")),
        )
        if browsed:
            links = format_links(request, list(STREAM_FORMATS))
            return Response({link.label: request.build_absolute_uri(link.url) for link in links})
        return PiecesResponse(rows, content_type=rows.content_type, headers=rows.headers)


class ReportViewSet(MarketAnswerViewSet):
    """A report on a symbol, on several symbols or on all."""

    access = {"retrieve": Access("market:read")}
    renderer_classes = DOCUMENT_RENDERERS

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        return report_schema(self.market_class, MARKET_REPORTS[self.subject], several=self.several)

    def query_serializer(self) -> serializers.Serializer[Any]:
        """See `MarketDataViewSet`."""
        return MARKET_REPORTS[self.subject].serializer(self.several)

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        report = MARKET_REPORTS[path["subject"]]
        query = report.parse(path["market_class"], path["symbol"], query_string)
        return ParsedCall(partial(report.snapshot, query), report.logs(query))
