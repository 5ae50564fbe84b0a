"""The endpoints that find, read and declare instruments."""

from contextlib import suppress
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from audit.recording.audit_first import change_outside_and_record
from store.instruments import default_instrument
from store.timestamps import format_timestamp
from trades.exceptions import InvalidValue
from trades.instruments.catalogue import catalogue_refresh, instrument_in
from trades.instruments.filters import (
    InstrumentFilter,
    InstrumentPagination,
)
from trades.instruments.serializers import FUTURE_DOCUMENT, InstrumentSerializer, instrument_document
from trades.instruments.services import (
    instrument_get,
    instrument_resolved,
    instruments_set,
    requested_symbol,
    symbol_canonical,
)
from trades.models import InstrumentEntry
from trades.stores import market_store
from web.endpoints import WRITE, Access
from web.lists.views import ListViewSet
from web.requests.parameters import instant_parameter
from web.requests.parsers import JSONDocumentParser, request_document
from web.requests.tagged_answer import tagged_answer

_READ_SYMBOL, _DECLARED_SYMBOL = (
    OpenApiParameter(
        "symbol",
        {"type": "string", "minLength": 1, "maxLength": 32, "examples": [example]},
        OpenApiParameter.PATH,
        description="The instrument, by its symbol or an alias.",
    )
    for example in ("AAPL", FUTURE_DOCUMENT["symbol"])
)
_AS_OF = OpenApiParameter(
    "as_of",
    {"type": "string"},
    description="Answer with the instrument as declared by then: ISO 8601 / RFC 3339 or an epoch integer.",
)
_SYMBOL_AS_OF = OpenApiParameter(
    "symbol_as_of",
    {"type": "string", "examples": ["2022-06-08"]},
    description="The date on which the symbol had the meaning that is asked for. Default: now.",
)


class InstrumentsViewSet(ListViewSet[InstrumentEntry]):
    """Instruments with data or a declaration."""

    tag = "instruments"
    access = {
        "list": Access("market:read", cost="page", has_rows=False),
        "retrieve": Access("market:read", has_rows=False),
        "update": Access("market:write", kind=WRITE, audit_class="config"),
    }
    queryset = InstrumentEntry.objects.all()
    answers = {"list": InstrumentSerializer, "retrieve": InstrumentSerializer, "update": InstrumentSerializer}
    bodies = {"update": InstrumentSerializer}
    parameters = {"retrieve": [_READ_SYMBOL, _AS_OF, _SYMBOL_AS_OF], "update": [_DECLARED_SYMBOL]}
    filterset_class = InstrumentFilter
    pagination_class = InstrumentPagination
    parser_classes = [JSONDocumentParser]
    lookup_field = "symbol"

    def get_serializer_context(self) -> dict[str, Any]:
        """Add the symbol's default instrument as `base`.

        PUT replaces the whole declaration: missing fields get the values of `base`.
        """
        symbol = self.kwargs.get("symbol")
        context = dict(super().get_serializer_context())
        # The browsable API calls this for error pages, too. Then the symbol may be invalid.
        with suppress(InvalidValue):
            if symbol is not None:
                context["base"] = default_instrument(_symbol(symbol))
        return context

    def list(self, request: Request) -> Response:
        """Find instruments. List the instruments that have data or a declaration, by symbol."""
        catalogue_refresh()
        entries = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        rows = [instrument_document(instrument_in(entry)) for entry in entries or ()]
        return tagged_answer(request, self.envelope(rows))

    def retrieve(self, request: Request, symbol: str) -> Response:
        """Read an instrument.

        Return an instrument, now or at `as_of`; 404 if it has neither data nor a declaration.
        """
        as_of_ns, on_ns = (
            instant_parameter("as_of", self.query),
            instant_parameter("symbol_as_of", self.query),
        )
        instrument = instrument_get(symbol=_symbol(symbol, on_ns), as_of_ns=as_of_ns)
        headers = {} if as_of_ns is None else {"X-As-Of": format_timestamp(as_of_ns)}
        return tagged_answer(request, instrument_document(instrument), headers)

    def update(self, request: Request, symbol: str) -> Response:
        """Declare an instrument.

        Replace an instrument's declaration; a missing field becomes undeclared. An equal one changes nothing.

        The change takes effect at once in every process: derived data are rebuilt, stored rows stay. `as_of`
        still reads earlier declarations.
        """
        _symbol(symbol)
        serializer = self.get_serializer(data=request_document(request))
        serializer.is_valid(raise_exception=True)
        instrument = instrument_resolved(serializer.validated_data["instrument"])

        def write() -> tuple[Any, Any]:
            # Declarations are locked here: no other process can change the instrument before it is replaced.
            before = instrument_document(market_store().instrument(instrument.symbol))
            (stored,) = instruments_set(instruments=[instrument])
            return before, instrument_document(stored)

        return change_outside_and_record(self, Response(instrument_document(instrument)), write)


def _symbol(text: str, on_ns: int | None = None) -> str:
    """Return the canonical symbol of a path, now or at an instant. Raises `InvalidValue`."""
    return symbol_canonical(requested_symbol(text), on_ns)
