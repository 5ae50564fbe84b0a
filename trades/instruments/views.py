"""The endpoints of instruments."""

from contextlib import suppress
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit.calls.strict import change_elsewhere_recorded
from http_requests.exceptions import InvalidParameter
from http_requests.parameters import single_parameters
from http_requests.parsers import JSONDocumentParser, request_document
from http_requests.tagged_answer import tagged_answer
from listing.pages import PAGE_PARAMETERS
from store.instruments import default_instrument
from store.timestamps import InvalidTimestamp, format_timestamp, parse_timestamp_or_epoch
from trades.exceptions import InvalidValue
from trades.instruments.catalogue import catalogue_refresh, instrument_in
from trades.instruments.filters import InstrumentFilter, InstrumentFilterBackend
from trades.instruments.pages import InstrumentPagination
from trades.instruments.query import InstrumentQuerySerializer, InstrumentsQuerySerializer
from trades.instruments.serializers import FUTURE_DOCUMENT, InstrumentSerializer, instrument_document
from trades.models import InstrumentEntry
from trades.named_symbol import named_symbol
from trades.services.instruments import (
    instrument_resolved,
    instrument_set,
    known_instrument,
    symbol_canonical,
)
from trades.stores import market_store

_SYMBOL = OpenApiParameter(
    "symbol",
    {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["AAPL"]},
    OpenApiParameter.PATH,
    description="The instrument, by its symbol or an alias.",
)
_AS_OF = OpenApiParameter(
    "as_of",
    {"type": "string", "examples": ["2025-01-02T14:30:00Z", "2025-01-02", "1735828200000"]},
    description="Answer with what had been told by then: ISO 8601 / RFC 3339 or an epoch integer.",
)
_FUTURE = OpenApiExample("A future", value=FUTURE_DOCUMENT)


class InstrumentsViewSet(GenericViewSet[InstrumentEntry]):
    """Instruments: those with data, and those that somebody told about."""

    queryset = InstrumentEntry.objects.all()
    serializer_class = InstrumentSerializer
    filter_backends = [InstrumentFilterBackend]
    filterset_class = InstrumentFilter
    pagination_class = InstrumentPagination
    parser_classes = [JSONDocumentParser]
    lookup_field = "symbol"
    query_serializer_classes = {"list": InstrumentsQuerySerializer, "retrieve": InstrumentQuerySerializer}

    def get_serializer_context(self) -> dict[str, Any]:
        """What is not given in a document is as its symbol says."""
        symbol = self.kwargs.get("symbol")
        context = dict(super().get_serializer_context())
        # The page of a refusal has a form, too, be it of what is no symbol.
        with suppress(InvalidValue):
            if symbol is not None:
                context["base"] = default_instrument(_symbol(symbol))
        return context

    @extend_schema(
        operation_id="instruments",
        summary="Find instruments",
        examples=[
            OpenApiExample("A future", value=FUTURE_DOCUMENT, response_only=True, status_codes=["200"])
        ],
    )
    def list(self, request: Request) -> Response:
        """Instruments by symbol: every symbol with data, and every one that somebody told about."""
        single_parameters(request.GET, (*InstrumentFilter.base_filters, *PAGE_PARAMETERS, "format"))
        catalogue_refresh()
        pages = InstrumentPagination()
        entries = pages.paginate_queryset(self.filter_queryset(self.get_queryset()), request)
        rows = [instrument_document(instrument_in(entry)) for entry in entries]
        return tagged_answer(request, pages.envelope(rows))

    @extend_schema(
        operation_id="instrument",
        summary="What an instrument is",
        parameters=[_SYMBOL, _AS_OF],
        responses={200: InstrumentSerializer},
        examples=[_FUTURE],
    )
    def retrieve(self, request: Request, symbol: str) -> Response:
        """What an instrument is, or was at `as_of`.

        One that has no data and that nobody told about is 404.
        """
        values = single_parameters(request.GET, ("as_of", "format"))
        as_of_ns = _instant(values.get("as_of"))
        instrument = known_instrument(symbol=_symbol(symbol), as_of_ns=as_of_ns)
        headers = {} if as_of_ns is None else {"X-As-Of": format_timestamp(as_of_ns)}
        return tagged_answer(request, instrument_document(instrument), headers)

    @extend_schema(
        operation_id="instrument_set",
        summary="Tell what an instrument is",
        parameters=[_SYMBOL],
        request=InstrumentSerializer,
        responses={200: InstrumentSerializer},
        examples=[_FUTURE],
    )
    def update(self, request: Request, symbol: str) -> Response:
        """Make an instrument what the body says, at once and everywhere; what it leaves out is as nobody had told.

        Derived data are made again, stored rows stay as they are. What it was stays readable by `as_of`.
        """
        single_parameters(request.GET, ("format",))
        _symbol(symbol)
        serializer = self.get_serializer(data=request_document(request))
        serializer.is_valid(raise_exception=True)
        instrument = instrument_resolved(serializer.validated_data["instrument"])

        def write() -> tuple[Any, Any]:
            # Nobody else changes an instrument meanwhile: this is what is replaced.
            before = instrument_document(market_store().instrument(instrument.symbol))
            return before, instrument_document(instrument_set(instrument=instrument))

        return change_elsewhere_recorded(self, Response(instrument_document(instrument)), write)


def _symbol(text: str) -> str:
    """The symbol that a path names, by itself or an alias. Raises `InvalidValue`."""
    return symbol_canonical(named_symbol(text))


def _instant(text: str | None) -> int | None:
    try:
        return None if text is None else parse_timestamp_or_epoch(text)
    except InvalidTimestamp as error:
        raise InvalidParameter(error.code, f"as_of: {text!r:.66}: {error}") from error
