"""Alpaca's assets: the equities and pairs of crypto that are declared or have data."""

from decimal import Decimal
from typing import Annotated, cast

import msgspec
from django.conf import settings
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from dialects.alpaca.accounts import parameter
from dialects.alpaca.orders import ASSET_CLASSES, AlpacaDocument, ExampleId, id_of, named_symbol
from dialects.alpaca.symbols import label_of
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from trades.instruments.services import instrument_get, instruments_all
from trading.core.amounts import price_of
from web.documents import about, like
from web.endpoints import Access
from web.requests.parameters import choice
from web.views import DeclaredView

# Alpaca's names of exchanges by MIC (ISO 10383).
_EXCHANGES = {"XNYS": "NYSE", "XNAS": "NASDAQ", "ARCX": "ARCA", "XASE": "AMEX", "BATS": "BATS"}
_CLASSES = ("us_equity", "crypto")
# The parameters of a list, by the fields of an asset.
_FILTERS = {
    "status": ("status", ["active", "inactive"]),
    "class": ("asset_class", [*_CLASSES]),
    "exchange": ("exchange", [*_EXCHANGES.values(), "CRYPTO", "OTC"]),
}
_FINEST_PRICE = Decimal("0.000000001")


class _AssetFields(AlpacaDocument):
    id: ExampleId
    exchange: Annotated[str, about("Empty if Alpaca has no name of it.", "NASDAQ")]
    symbol: Annotated[str, like("AAPL")]
    name: Annotated[str | None, like("Apple Inc.")]
    tradable: Annotated[bool, like(True)]
    marginable: Annotated[bool, like(True)]
    shortable: Annotated[bool, like(True)]
    easy_to_borrow: Annotated[bool, like(True)]
    fractionable: Annotated[bool, like(False)]
    status: Annotated[str, like("active")]
    min_order_size: Annotated[str | None, like("0.00000001")]
    min_trade_increment: Annotated[str | None, like("0.00000001")]
    price_increment: Annotated[str | None, like("0.01")]


# `class` is a keyword in Python.
AlpacaAsset = cast(
    "type[_AssetFields]",
    msgspec.defstruct(
        "AlpacaAsset",
        [("class", Annotated[str, like("us_equity")])],
        bases=(_AssetFields,),
        namespace={"__doc__": "An asset."},
    ),
)


class AlpacaAssetsViewSet(DeclaredView, ViewSet):
    """Assets."""

    access = {
        "list": Access("market:read", cost="stream", has_rows=False),
        "retrieve": Access("market:read", is_heavy=True, has_rows=False),
    }
    answers = {"list": list[AlpacaAsset], "retrieve": AlpacaAsset}  # type: ignore[valid-type]
    renderer_classes = [JSONRenderer]
    parameters = {
        "list": [parameter(name, "With this value.", enum=values) for name, values in _FILTERS.values()]
    }

    def list(self, request: Request) -> Response:
        """List assets. All are active. Crypto without a pair of currencies in its symbol is left out."""
        wanted = {field: choice(self.query, name, values, "") for field, (name, values) in _FILTERS.items()}
        found = map(asset_of, filter(_is_listed, instruments_all()))
        kept = [
            each
            for each in found
            if all(value in ("", getattr(each, name)) for name, value in wanted.items())
        ]
        return Response(msgspec.to_builtins(kept))

    def retrieve(self, request: Request, symbol: str) -> Response:
        """Get an asset by its symbol or id."""
        name = named_symbol(symbol, (each.symbol for each in instruments_all()))
        found = None if name is None else instrument_get(symbol=name)
        if found is None or found.instrument_class not in ASSET_CLASSES:
            raise UnknownSymbol(symbol)
        return Response(msgspec.to_builtins(asset_of(found)))


def _is_listed(instrument: Instrument) -> bool:
    # ccxt stops at crypto without a pair.
    is_pair = "-" in instrument.symbol or instrument.instrument_class != "crypto"
    return is_pair and ASSET_CLASSES.get(instrument.instrument_class) in _CLASSES


def asset_of(instrument: Instrument) -> _AssetFields:
    """Return an instrument of one of `ASSET_CLASSES` as an asset. Its terms are those of its class."""
    instrument_class, tick_size = instrument.instrument_class, instrument.tick_size
    terms = settings.TRADING_TERMS.get(instrument_class)
    shortable = terms is not None and terms.shortable
    lot = None if terms is None else terms.lot
    tick = (terms and terms.tick) if tick_size is None else price_of(tick_size)
    if tick is None and instrument_class == "crypto":
        # Clients round prices of pairs to it, and some refuse a pair without it.
        tick = _FINEST_PRICE
    return AlpacaAsset.of_amounts(
        None,
        **{"class": ASSET_CLASSES[instrument_class]},
        id=id_of("asset", instrument.symbol),
        exchange=exchange_of(instrument),
        symbol=label_of(instrument.symbol, instrument_class),
        name=instrument.name,
        status="active",
        tradable=terms is not None,
        marginable=terms is not None and terms.initial_margin < 1,
        shortable=shortable,
        easy_to_borrow=shortable,
        fractionable=not instrument.has_integer_volume,
        min_order_size=lot,
        min_trade_increment=lot,
        price_increment=tick,
    )


def exchange_of(instrument: Instrument) -> str:
    """Return Alpaca's name of an instrument's exchange; "" if Alpaca has none."""
    is_crypto = instrument.instrument_class == "crypto"
    return "CRYPTO" if is_crypto else _EXCHANGES.get(instrument.exchange or "", "")
