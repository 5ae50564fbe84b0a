"""`/udf/history`: bars as columns, with times in seconds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from calendars.schedule import Anchor
from calendars.trading_calendar import TradingCalendar
from dialects.udf.authentication import UdfAuthentication
from stats.delivery.answers import ParsedCall
from stats.delivery.responses import AnswerViewSet
from stats.market_data.answers.page import page_snapshot
from stats.market_data.answers.report import ReshapedPage
from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.query import ANY_CLASS, MarketDataQuery
from stats.market_data.query_parameters import QueryParameter, RowQuerySerializer
from stats.parameters import PageLimitField, query_values
from store.arrays import Floats, Integers
from store.exceptions import UnknownSymbol
from store.instrument_calendars import calendar_if_known, daily_hours
from store.instruments import Instrument
from store.log_views.bar_grid import instrument_grid
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS
from trades.batches.serializers import SymbolField
from trades.instruments.services import is_known, symbol_canonical
from trades.stores import market_store
from web.endpoints import Access
from web.lists.pages import PAGE_LIMIT

RESOLUTIONS = ["1", "5", "15", "30", "60", "240", "1D", "1W", "1M"]
_UNITS = {"": "m", "S": "s", "D": "d", "W": "w", "M": "M"}
_MONTH, _YEAR = 31, 366
_LETTERS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
# Seconds since 1970, from 1900 to 2200: a chart may ask beyond.
_FIRST_SECOND, _LAST_SECOND = -2_208_988_800, 7_258_118_400


class UdfResolutionField(serializers.Field[Resolution, str, str, Any]):
    """A length of bars: minutes, or a number and `S`, `D`, `W` or `M`."""

    default_error_messages = {"unknown_resolution": "must be minutes, as 5, or as 1S, 1D, 1W or 1M"}

    def to_internal_value(self, data: str) -> Resolution:
        match = re.fullmatch(r"(\d*)([SDWM]?)", data, re.ASCII)
        try:
            return Resolution.of_bars(f"{match[1] or 1}{_UNITS[match[2]]}" if match and data else "")
        except ValueError:
            self.fail("unknown_resolution")


class SecondsField(serializers.Field[int, str, str, Any]):
    """An instant in seconds since 1970. Gives nanoseconds."""

    default_error_messages = {"invalid_timestamp": "must be seconds since 1970"}

    def to_internal_value(self, data: str) -> int:
        if not re.fullmatch(r"-?\d{1,12}", data, re.ASCII):
            self.fail("invalid_timestamp")
        return min(max(int(data), _FIRST_SECOND), _LAST_SECOND) * SECOND_NS


# What a chart's client adds, without a meaning here: prices are in the instrument's own currency and unit.
IGNORED = ("currencyCode", "unitId", "firstDataRequest")
_RANGE = {"symbol": SymbolField, "resolution": UdfResolutionField, "from": SecondsField, "to": SecondsField}
RANGE = RowQuerySerializer(
    (
        *(QueryParameter(name, each, {"required": True}) for name, each in _RANGE.items()),
        QueryParameter("countback", PageLimitField, {}),
        *(QueryParameter(name, serializers.CharField, {}) for name in IGNORED),
    ),
    needs_range=False,
)


def named_instrument(symbol: str) -> Instrument:
    """Return the instrument of a name, which may have an exchange and a colon before it. Raises `UnknownSymbol`."""
    for canonical in map(symbol_canonical, (symbol, symbol.rpartition(":")[2])):
        if is_known(canonical):
            return market_store().instrument(canonical)
    raise UnknownSymbol(symbol)


def bar_seconds(days: Integers, calendar: TradingCalendar | None) -> Integers:
    """Return the times of bars of days and longer: midnight UTC of their first trading date."""
    if calendar is not None and len(days):
        dates = calendar.on_dates(int(days[0]), int(days[-1]) + _MONTH).date
        if len(dates):
            days = dates[np.minimum(np.searchsorted(dates, days), len(dates) - 1)]
    return days * (DAY_NS // SECOND_NS)


def bar_of_date(day: int, resolution: Resolution, instrument: Instrument) -> int:
    """Return the time of the first bar of a date, or of the period that has the date. day: days since 1970."""
    calendar, days = calendar_if_known(instrument), np.array([day])
    if resolution.is_period:
        return int(bar_seconds(resolution.first_day(resolution.number_of_day(days)), calendar)[0])
    schedule = None if calendar is None else calendar.on_dates(day, day + _MONTH)
    begins_ns = int(schedule.opens_ns(daily_hours(instrument))[0]) if schedule else day * DAY_NS
    anchor = anchor_of(resolution, calendar, day)
    return instrument_grid(instrument, resolution, anchor=anchor).interval(begins_ns).start_ns // SECOND_NS


def anchor_of(resolution: Resolution, calendar: TradingCalendar | None, day: int) -> Anchor:
    """Return where bars begin: at the session's open; by the clock, which is faster, if a year's opens are multiples."""
    if calendar is None or resolution.is_period:
        return Anchor.CLOCK
    opens_ns = calendar.on_dates(day - _YEAR, day).open_ns
    return Anchor.SESSION if (opens_ns % resolution.length_ns).any() else Anchor.CLOCK


@dataclass(frozen=True, eq=False)
class UdfBars(ReshapedPage):
    """The bars from `from_ns` until before `to_ns`.

    count: if it is not 0, the last `count` bars before `to_ns` instead, however old they are.
    """

    from_ns: int
    to_ns: int
    count: int

    @property
    def name(self) -> str:
        return f"udf-{self.page.name}"

    def document(self) -> dict[str, Any]:
        """See `AnswerSnapshot.document`."""
        table = self.page.page().rows.table
        ours = dict(zip(table.data.column_names, table.arrays(), strict=True))
        if "date" in ours:
            calendar = calendar_if_known(market_store().instrument(self.query.symbols[0]))
            times = bar_seconds(ours["date"].to_numpy(), calendar)
        else:
            times = ours["timestamp"].to_numpy() // SECOND_NS
        until = int(np.searchsorted(times * SECOND_NS, self.to_ns))
        begins = 0 if self.count else min(int(np.searchsorted(times * SECOND_NS, self.from_ns)), until)
        first = max(begins, until - (self.count or PAGE_LIMIT))
        if first == until:
            return {"s": "no_data"} | ({"nextTime": int(times[until - 1])} if until else {})
        rows = {
            letter: _values(ours[name].to_numpy(zero_copy_only=False)[first:until])
            for letter, name in _LETTERS.items()
        }
        return {"s": "ok", "t": times[first:until].tolist(), **rows}


def _values(numbers: Floats) -> list[float | None]:
    """Return the numbers, with None for NaN: a volume may be unknown."""
    values = numbers.tolist()
    return [None if value != value else value for value in values] if np.isnan(numbers).any() else values  # noqa: PLR0124


def history_snapshot(values: Mapping[str, Any], *, now_ns: int) -> UdfBars:
    """Read as many bars before the end as the range can have, and one more: without bars in the range it is `nextTime`.

    values: of the parameters.
    """
    resolution, from_ns, to_ns = values["resolution"], values["from"], values["to"]
    instrument, length_ns = named_instrument(values["symbol"]), resolution.length_ns
    count, is_period = values.get("countback", 0), resolution.is_period
    # The shortest month has 28 days. The last bar of a date may be shorter.
    shortest_ns = length_ns * 28 // 31 if is_period else DAY_NS // -(-DAY_NS // length_ns)
    most = count or min(max(to_ns - from_ns, 0) // shortest_ns + 1, PAGE_LIMIT)
    query = MarketDataQuery.of(
        OHLCV,
        (instrument.symbol,),
        market_class=ANY_CLASS,
        resolution=resolution,
        last=most + 1,
        end_ns=-(-to_ns // DAY_NS) * DAY_NS if is_period else to_ns,
        whole_dates=(is_period, is_period),
        hours=daily_hours(instrument),
        anchor=anchor_of(resolution, calendar_if_known(instrument), to_ns // DAY_NS),
        has_maximum_range=False,
    )
    return UdfBars(query, page_snapshot(query, now_ns=now_ns), from_ns, to_ns, count)


class UdfHistoryViewSet(AnswerViewSet):
    """Bars."""

    access = {"retrieve": Access("market:read", cost="page")}
    authentication_classes = [UdfAuthentication]
    renderer_classes = [JSONRenderer]

    def retrieve(self, request: Request) -> HttpResponseBase:
        """Bars before an instant."""
        return self.respond(request, request.META["QUERY_STRING"])

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> ParsedCall:
        """See `AnswerViewSet.parse_call`."""
        return ParsedCall(partial(history_snapshot, query_values(RANGE, query_string)))
