"""The endpoints of the market-data API. Functions make one viewset for each dataset or report of a class."""

import time
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.delivery.held_answer import LogsPin, Pin
from stats.delivery.responses import ContentViewSet, is_browsed, page_query
from stats.market_data.answers.stream import RowStream
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.explanation import EXPLAIN, explain_pin, parse_explain_query
from stats.market_data.gaps import GAPS, gaps_pin, parse_gaps_query
from stats.market_data.navigation import links_beside, stream_links
from stats.market_data.openapi import (
    coverage_schema,
    explain_schema,
    gaps_schema,
    page_schema,
    report_schema,
    stream_schema,
    universes_schema,
)
from stats.market_data.query import MarketClass, Target, check_format, parse_query
from stats.market_data.query_parameters import (
    explain_serializer,
    gaps_serializer,
    report_serializer,
    universes_serializer,
)
from stats.market_data.reports import COVERAGE, REPORTS, parse_report_query
from stats.market_data.services import market_data_page, market_data_report
from stats.market_data.universes import parse_universes_query, universes_pin
from stats.rendering.query_form import PageLink, format_links
from stats.rendering.renderers import DOCUMENT_RENDERERS, RENDERERS, STREAM_FORMATS, STREAM_RENDERERS
from store.exceptions import StorageError
from trades.instruments.catalogue import catalogue_nearest
from web.endpoints import Access
from web.requests.compression import accepted_encoding

_READ = Access("market:read")
_PAGE = Access("market:read", cost="page")
_STREAM = Access("market:read", cost="stream")
_REVISIONS = Access("market:read", sensitivity="internal", cost="page", is_heavy=True)


class MarketDataViewSet(ViewSet):
    """The base of the endpoints. subject: the dataset or report. title_prefix: before it in titles."""

    market_class: MarketClass
    subject: str
    title_prefix = ""

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Answer the request. symbol: None if the symbols are in the query string."""
        raise NotImplementedError

    def get_view_name(self) -> str:
        """Return the title of the browsable page."""
        symbol: str | None = getattr(self, "kwargs", {}).get("symbol")
        return f"{symbol or self.market_class.path}: {self.title_prefix}{self.subject}"

    def see_also(self) -> list[PageLink]:
        """Return the links of the browsable page."""
        return links_beside(self.market_class, self.kwargs.get("symbol"))

    def nearest(self, code: str) -> list[PageLink]:
        """Return a link to the same page of the most similar symbol, if the page's symbol is unknown.

        Return [] while the store cannot be used: this is part of a page about another error.
        """
        symbol, instrument_class = self.kwargs.get("symbol"), self.market_class.instrument_class
        if code != "unknown_symbol" or symbol is None or instrument_class is None:
            return []
        try:
            nearest = catalogue_nearest(symbol, instrument_class)
        except StorageError:
            return []
        match = self.request.resolver_match
        if nearest is None or match is None:
            return []
        path = reverse(match.view_name, kwargs={**self.kwargs, "symbol": nearest})
        query = self.request.META["QUERY_STRING"]
        return [PageLink(f"{path}?{query}" if query else path, nearest)]


class PageViewSet(MarketDataViewSet, ContentViewSet):
    """A page of a dataset's rows."""

    renderer_classes = RENDERERS

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Return the page in the client's format and encoding."""
        return self.respond(request, page_query(request), symbol=symbol)

    @classmethod
    def pin(cls, query_string: str, answer_format: str, *, symbol: str | None = None, **path: Any) -> Pin:
        """See `ContentViewSet.pin`."""
        dataset = MARKET_DATASETS[cls.subject]
        query = parse_query(Target(cls.market_class.path, dataset.form, symbol), query_string)
        check_format(query, answer_format)
        pin, stored_datasets = partial(market_data_page, query=query), dataset.logs_of(query)
        if not stored_datasets or query.universe is not None:
            return pin
        return LogsPin(pin, frozenset((stored, name) for stored in stored_datasets for name in query.symbols))

    def chart_url(self) -> str:
        """Return where the dashboard shows the symbol's bars; "" for other datasets than `ohlcv`."""
        symbol, resolution = self.kwargs.get("symbol"), self.request.query_params.get("resolution")
        if self.subject != "ohlcv" or symbol is None:
            return ""
        return f"/#{urlencode({'symbol': symbol, **({'resolution': resolution} if resolution else {})})}"

    def see_also(self) -> list[PageLink]:
        """Return the links of the browsable page, with a link to the stream of the same range."""
        symbol, query = self.kwargs.get("symbol"), self.request.query_params
        streams = [] if symbol is None else stream_links(self.market_class, self.subject, symbol, query)
        return [*super().see_also(), *streams]


class PiecesResponse(StreamingHttpResponse):
    """A stream whose pieces are bytes or memoryviews. Django would copy each memoryview."""

    def make_bytes(self, value: object) -> Any:
        return value


class StreamViewSet(MarketDataViewSet):
    """All of a dataset's rows."""

    renderer_classes = STREAM_RENDERERS
    title_prefix = "all "

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Return the stream; in the browsable API only its URLs, one per format."""
        target = Target(self.market_class.path, MARKET_DATASETS[self.subject].form, symbol, streamed=True)
        browsed = is_browsed(request)
        query = parse_query(target, request.META["QUERY_STRING"])
        rows = RowStream(
            market_data_page(query=query, now_ns=time.time_ns()),
            STREAM_FORMATS[0] if browsed else request.accepted_renderer.format,
            accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING")),
        )
        if browsed:
            links = format_links(request, list(STREAM_FORMATS))
            return Response({link.label: request.build_absolute_uri(link.url) for link in links})
        return PiecesResponse(rows, content_type=rows.content_type, headers=rows.headers)


class ReportViewSet(MarketDataViewSet, ContentViewSet):
    """A report's endpoint."""

    renderer_classes = DOCUMENT_RENDERERS

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Return the report on the symbol in the path or the symbols in the query string."""
        return self.respond(request, request.META["QUERY_STRING"], symbol=symbol)

    @classmethod
    def pin(cls, query_string: str, answer_format: str, *, symbol: str | None = None, **path: Any) -> Pin:
        """See `ContentViewSet.pin`."""
        query = parse_report_query(cls.subject, cls.market_class.path, symbol, query_string)
        return partial(market_data_report, query=query)


class ExplainViewSet(MarketDataViewSet, ContentViewSet):
    """The explanation of one bar."""

    renderer_classes = DOCUMENT_RENDERERS

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Return the explanation of the bar that contains the instant `at`."""
        return self.respond(request, request.META["QUERY_STRING"], symbol=symbol)

    @classmethod
    def pin(cls, query_string: str, answer_format: str, *, symbol: str | None = None, **path: Any) -> Pin:
        """See `ContentViewSet.pin`."""
        query = parse_explain_query(cls.market_class.path, symbol or "", query_string)
        return partial(explain_pin, query=query)


class GapsViewSet(MarketDataViewSet, ContentViewSet):
    """The gaps of one symbol of a class."""

    renderer_classes = DOCUMENT_RENDERERS

    def retrieve(self, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        """Return the gaps of the symbol in the path."""
        return self.respond(request, request.META["QUERY_STRING"], symbol=symbol)

    @classmethod
    def pin(cls, query_string: str, answer_format: str, *, symbol: str | None = None, **path: Any) -> Pin:
        """See `ContentViewSet.pin`."""
        return partial(gaps_pin, parse_gaps_query(cls.market_class.path, symbol, query_string))


class SeveralGapsViewSet(ContentViewSet):
    """The gaps of several symbols, of any class."""

    # All symbols at once: a large key would keep a processor busy with it.
    access = {"retrieve": replace(_STREAM, bucket=GAPS, rate=20, is_heavy=True)}
    renderer_classes = DOCUMENT_RENDERERS
    query_serializer_class = gaps_serializer(several=True)

    @extend_schema(**gaps_schema(None))
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Return the gaps of the symbols in the query string."""
        return self.respond(request, request.META["QUERY_STRING"])

    @classmethod
    def pin(cls, query_string: str, answer_format: str, **path: Any) -> Pin:
        """See `ContentViewSet.pin`."""
        return partial(gaps_pin, parse_gaps_query(None, None, query_string))

    def get_view_name(self) -> str:
        """Return the title of the browsable page."""
        return GAPS


class UniversesViewSet(ContentViewSet):
    """The list of universes."""

    access = {"retrieve": _READ}
    renderer_classes = DOCUMENT_RENDERERS
    query_serializer_class = universes_serializer()

    @extend_schema(**universes_schema())
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Return all universes, each with its number of members at an instant."""
        return self.respond(request, request.META["QUERY_STRING"])

    @classmethod
    def pin(cls, query_string: str, answer_format: str, **path: Any) -> Pin:
        """See `ContentViewSet.pin`."""
        return partial(universes_pin, parse_universes_query(query_string))

    def get_view_name(self) -> str:
        """Return the title of the browsable page."""
        return "universes"


def page_view(market_class: MarketClass, dataset: str, *, several: bool) -> type[PageViewSet]:
    """Make the viewset for pages of a dataset in a class, for one symbol or for several."""
    form = MARKET_DATASETS[dataset].form
    return _viewset(
        PageViewSet,
        market_class,
        dataset,
        doc="A page of the rows of a range, or of the newest rows.",
        access=_REVISIONS if dataset == "revisions" else _PAGE,
        serializer=form.serializer(streamed=False, several=several),
        schema=page_schema(market_class, form, several=several),
    )


def stream_view(market_class: MarketClass, dataset: str) -> type[StreamViewSet]:
    """Make the viewset for a dataset's stream."""
    form = MARKET_DATASETS[dataset].form
    return _viewset(
        StreamViewSet,
        market_class,
        dataset,
        doc="All rows of a range, as a stream.",
        access=_STREAM,
        serializer=form.serializer(streamed=True, several=False),
        schema=stream_schema(market_class, form),
    )


def report_view(market_class: MarketClass, report: str, *, several: bool) -> type[ReportViewSet]:
    """Make the viewset for a report on symbols of a class."""
    if report == COVERAGE:
        schema = coverage_schema(market_class)
    else:
        members = [(name, part.columns) for part in REPORTS[report] for name in part.names]
        schema = report_schema(market_class, report, members, several=several)
    return _viewset(
        ReportViewSet,
        market_class,
        report,
        doc=f"The {report} of {market_class.path}.",
        # Those of several symbols open many logs.
        access=replace(_PAGE, is_heavy=True) if several else _READ,
        serializer=report_serializer(report, several=several),
        schema=schema,
    )


def explain_view(market_class: MarketClass) -> type[ExplainViewSet]:
    """Make the viewset for explanations of a class's bars."""
    return _viewset(
        ExplainViewSet,
        market_class,
        EXPLAIN,
        doc="What made one bar: its prints, what each set and why, and the bar's changes.",
        # Reads all prints of the bar.
        access=_REVISIONS,
        serializer=explain_serializer(),
        schema=explain_schema(market_class),
    )


def gaps_view(market_class: MarketClass) -> type[GapsViewSet]:
    """Make the viewset for the gaps of a class's symbols."""
    return _viewset(
        GapsViewSet,
        market_class,
        GAPS,
        doc="The intervals in which trades are missing.",
        access=replace(_READ, is_heavy=True),
        serializer=gaps_serializer(several=False),
        schema=gaps_schema(market_class),
    )


ViewSetType = TypeVar("ViewSetType", bound=MarketDataViewSet)


def _viewset(
    base: type[ViewSetType],
    market_class: MarketClass,
    subject: str,
    *,
    doc: str,
    access: Access,
    serializer: type[serializers.Serializer[Any]],
    schema: dict[str, Any],
) -> type[ViewSetType]:
    """Make a viewset class with its own method `retrieve`, because `extend_schema` adds the schema to the method."""

    def retrieve(self: Any, request: Request, symbol: str | None = None, **_: object) -> HttpResponseBase:
        return base.retrieve(self, request, symbol)

    attributes = {
        "__doc__": doc,
        "access": {"retrieve": access},
        "market_class": market_class,
        "subject": subject,
        "query_serializer_class": serializer,
        "retrieve": extend_schema(**schema)(retrieve),
    }
    title = f"{market_class.path}-{subject}".title().replace("-", "")
    return type(f"{title}{base.__name__}", (base,), attributes)


def datasets_of(market_class: MarketClass) -> list[str]:
    """Return the names of a class's datasets that have an endpoint."""
    return [dataset for dataset in market_class.datasets if dataset in MARKET_DATASETS]
