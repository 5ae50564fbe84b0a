"""`/udf`: what a chart asks for beside its bars. Its client sends empty parameters, which mean none."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from django.db.models import Case, Value, When
from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from dialects.udf.authentication import UdfAuthentication
from dialects.udf.history import IGNORED, RANGE, RESOLUTIONS, bar_of_date, named_instrument
from dialects.udf.hours import ALWAYS, udf_hours
from stats.market_data.answers.page import page_snapshot
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.query import ANY_CLASS, MarketDataQuery, class_of
from stats.market_data.reports import ReportQuery, report_snapshot
from stats.parameters import SYMBOLS_LIMIT, query_values
from store.exceptions import UnknownSymbol
from store.instrument_calendars import calendar_if_known, daily_hours
from store.instruments import Instrument
from store.resolutions import Resolution
from store.rounding import rounded_sum
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp
from trades.instruments.catalogue import catalogue_refresh, instrument_in
from trades.instruments.filters import InstrumentFilter
from trades.instruments.services import requested_symbol
from trades.models import InstrumentEntry
from web.endpoints import Access
from web.lists.filters import matching_rows
from web.lists.pages import PAGE_LIMIT_RULE, page_limit
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice, single_parameters

# TradingView's types, by our class.
_TYPES = {"equity": "stock", "future": "futures", "option": "option", "crypto": "crypto", "fx": "forex"}
_CLASSES = {kind: instrument_class for instrument_class, kind in _TYPES.items()}
_CONFIG = {
    "supports_search": True,
    "supports_group_request": False,
    "supports_marks": True,
    "supports_timescale_marks": True,
    "supports_time": True,
    "supported_resolutions": RESOLUTIONS,
    "symbols_types": [{"name": each or "All types", "value": each} for each in ("", *_CLASSES)],
}
_FEWEST_DECIMALS, _MOST_DECIMALS, _VOLUME_DECIMALS = 2, 12, 8
_COLORS = {"split": "blue", "dividend": "green"}
UDF_ACTIONS = ("config", "time", "symbols", "search", "marks", "timescale_marks", "quotes")


class UdfViewSet(ViewSet):
    """TradingView's datafeed, but for its bars."""

    access = {
        **dict.fromkeys(("config", "time", "symbols", "search"), Access("market:read", has_rows=False)),
        **dict.fromkeys(("marks", "timescale_marks"), Access("market:read")),
        "quotes": Access("market:read", cost="page", is_heavy=True),
    }
    authentication_classes = [UdfAuthentication]
    renderer_classes = [JSONRenderer]

    def config(self, request: Request) -> Response:
        """What the datafeed can do."""
        catalogue_refresh()
        names = InstrumentEntry.objects.order_by("exchange").values_list("exchange", flat=True).distinct()
        exchanges = [
            {"value": name, "name": name or "All exchanges", "desc": name}
            for name in dict.fromkeys(("", *names))
        ]
        return Response({**_CONFIG, "exchanges": exchanges})

    def time(self, request: Request) -> HttpResponse:
        """The time, in seconds."""
        return HttpResponse(str(int(time.time())), content_type="text/plain")

    def symbols(self, request: Request) -> Response:
        """What a chart needs to know of a symbol."""
        given = _given(request, "symbol", is_needed=True)
        return Response(_information(named_instrument(requested_symbol(given["symbol"])), time.time_ns()))

    def search(self, request: Request) -> Response:
        """The instruments that have all the words, those whose symbol begins with them first."""
        given = _given(request, "query", "type", "exchange", "limit")
        limit, words = page_limit(given.get("limit", "30")), given.get("query", "").rpartition(":")[2]
        if limit is None:
            raise InvalidParameter("invalid_limit", f"limit {PAGE_LIMIT_RULE}")
        filters = {
            "search": words,
            "exchange": given.get("exchange"),
            "class": _CLASSES.get(choice(given, "type", _CLASSES, "")),
        }
        catalogue_refresh()
        wanted = {name: each for name, each in filters.items() if each}
        found = matching_rows(InstrumentFilter(wanted, InstrumentEntry.objects.all()))
        begins_with = Case(When(symbol__istartswith=words, then=Value(0)), default=Value(1))
        entries = found.order_by(begins_with, "symbol")[:limit]
        return Response([_names(instrument_in(entry)) for entry in entries])

    def marks(self, request: Request) -> Response:
        """Corporate actions, on bars."""
        return Response([each | {"labelFontColor": "white", "minSize": 14} for each in _marks(request)])

    def timescale_marks(self, request: Request) -> Response:
        """Corporate actions, on the axis of time."""
        return Response([{**each, "tooltip": [each.pop("text")]} for each in _marks(request)])

    def quotes(self, request: Request) -> Response:
        """The newest prices of symbols."""
        names = _given(request, "symbols", is_needed=True)["symbols"].split(",")
        if len(names) > SYMBOLS_LIMIT:
            raise InvalidParameter("too_many_symbols", f"symbols names at most {SYMBOLS_LIMIT} symbols")
        return Response({"s": "ok", "d": [_quote(name) for name in names]})


def _given(request: Request, *names: str, is_needed: bool = False) -> dict[str, str]:
    """Return the parameters' values that are not empty. Raises `InvalidParameter`."""
    query = request.GET.copy()
    for name in [name for name in query if name in IGNORED or not any(query.getlist(name))]:
        del query[name]
    given = single_parameters(query, names)
    if is_needed and not given:
        raise InvalidParameter("missing_parameter", f"{names[0]} is required")
    return given


def _names(instrument: Instrument) -> dict[str, Any]:
    exchange, symbol = instrument.exchange or "", instrument.symbol
    return {
        **dict.fromkeys(("symbol", "ticker", "name"), symbol),
        **dict.fromkeys(("exchange", "listed_exchange"), exchange),
        "full_name": f"{exchange}:{symbol}" if exchange else symbol,
        "description": instrument.name or symbol,
        "type": _TYPES[instrument.instrument_class],
    }


def _information(instrument: Instrument, now_ns: int) -> dict[str, Any]:
    calendar = calendar_if_known(instrument)
    hours = ALWAYS if calendar is None else udf_hours(calendar, daily_hours(instrument), now_ns // DAY_NS)
    step = Decimal(repr(instrument.tick_size)) if instrument.tick_size else _step(instrument, now_ns)
    scale = 10 ** max(-int(step.normalize().as_tuple().exponent), 0)
    expiry = {}
    if instrument.expiry:
        expires_ns = parse_timestamp(instrument.expiry) + DAY_NS
        expiry = {"expired": expires_ns <= now_ns, "expiration_date": expires_ns // SECOND_NS}
    return {
        **_names(instrument),
        "minmov": int(step * scale),
        "pricescale": scale,
        **dict.fromkeys(("has_intraday", "has_daily", "has_weekly_and_monthly"), True),
        "supported_resolutions": RESOLUTIONS,
        "volume_precision": 0 if instrument.has_integer_volume else _VOLUME_DECIMALS,
        "data_status": "streaming",
        "format": "price",
        "currency_code": instrument.currency or "",
        **hours,
        **expiry,
    }


def _step(instrument: Instrument, now_ns: int) -> Decimal:
    """Return the step of the newest daily bar's decimals, of which there are at least 2 and at most 12."""
    query = MarketDataQuery.of(
        OHLCV, (instrument.symbol,), market_class=ANY_CLASS, resolution=Resolution.DAY, last=1
    )
    rows = page_snapshot(query, now_ns=now_ns).page().rows.table.data.to_pylist()
    prices = [
        Decimal(repr(row[name])).normalize() for row in rows for name in ("open", "high", "low", "close")
    ]
    decimals = max([-int(price.as_tuple().exponent) for price in prices], default=0)
    return Decimal(1).scaleb(-min(max(decimals, _FEWEST_DECIMALS), _MOST_DECIMALS))


def _marks(request: Request) -> Iterator[dict[str, Any]]:
    """Yield the corporate actions of a range, each at the time of its bar."""
    values = query_values(RANGE, request.META["QUERY_STRING"])
    instrument, resolution = named_instrument(values["symbol"]), values["resolution"]
    from_ns, to_ns = values["from"], values["to"]
    # An action of the range's first bar may be dated before the range.
    start_ns = from_ns - max(resolution.length_ns, DAY_NS)
    query = MarketDataQuery.of(
        MARKET_DATASETS["corporate-actions"], (instrument.symbol,), market_class=ANY_CLASS, start_ns=start_ns, end_ns=to_ns,
        has_maximum_range=False,
    )  # fmt: skip
    for row in page_snapshot(query, now_ns=time.time_ns()).page().rows.table.data.to_pylist():
        time_s, kind = bar_of_date(row["timestamp"] // DAY_NS, resolution, instrument), row["kind"]
        numbers = [f"{row[name]:g}" for name in ("ratio", "amount") if row[name] is not None]
        if from_ns <= time_s * SECOND_NS < to_ns:
            yield {
                "id": f"{kind}-{row['timestamp']}-{row['action_id'] or ''}",
                "time": time_s,
                "color": _COLORS.get(kind, "gray"),
                "label": kind[0].upper(),
                "text": " ".join(filter(None, (kind.replace("_", " "), *numbers, row["currency"]))),
            }


def _quote(name: str) -> dict[str, Any]:
    """Return a symbol's newest price, of any hours, with the change and the range of its newest daily bar.

    All prices but bid and ask are adjusted for splits.
    """
    try:
        instrument = named_instrument(requested_symbol(name))
    except UnknownSymbol:
        return {"s": "error", "n": name, "v": {}}
    market_class = class_of(instrument.instrument_class).path
    query = ReportQuery(
        "snapshot", market_class, (instrument.symbol,),
        several=False, as_of_ns=None, adjustment="split", two_sided=True,
    )  # fmt: skip
    report = msgspec.json.decode(
        msgspec.json.encode(report_snapshot(query, now_ns=time.time_ns()).document())
    )
    quote, day, before = (report[each] or {} for each in ("quote", "daily_bar", "previous_daily_bar"))
    values = {
        "lp": _last_price(report),
        **_change(day.get("close"), before.get("close")),
        **{name: quote.get(name) for name in ("ask", "bid")},
        "crossed": True if quote.get("state") == "crossed" else None,
        **{f"{each}_price": day.get(each) for each in ("open", "high", "low")},
        "volume": day.get("volume"),
        "short_name": instrument.symbol,
        **{name: each for name, each in _names(instrument).items() if name in {"exchange", "description"}},
    }
    return {"s": "ok", "n": name, "v": {each: value for each, value in values.items() if value is not None}}


def _last_price(report: dict[str, Any]) -> float | None:
    """Return the close of the newest bar of a snapshot; the price of the newest trade if there are no bars."""
    # A bar is adjusted for a split since the newest trade. Of bars that begin together the first, the minute, is newer.
    bars = [bar for name in ("minute_bar", "daily_bar") if (bar := report[name])]
    if bars:
        return float(max(bars, key=lambda bar: parse_timestamp(bar["timestamp"]))["close"])
    trade: dict[str, float] | None = report["trade"]
    return trade["price"] if trade else None


def _change(close: float | None, previous: float | None) -> dict[str, Any]:
    """Return the session's change. A percentage is of the base's magnitude: prices may be negative."""
    if close is None or previous is None:
        return {}
    # A print after hours is the last price, but no part of the session.
    change = float(rounded_sum(close, -previous))
    percent = round(100 * change / abs(previous), _FEWEST_DECIMALS) if previous else None
    return {"ch": change, "chp": percent, "prev_close_price": previous}
