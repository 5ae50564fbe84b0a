"""The datasets of the tree as the table asks for them, each with the oracle's answer."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.stats.market_data.builders import (
    BEHIND,
    CALL,
    CRYPTO,
    EQUITY,
    EQUITY_HOUR,
    FIRST,
    FUTURE,
    FUTURE_HOUR,
    HOUR_NS,
    PUT,
    Market,
    timestamp,
)
from tests.stats.market_data.option_oracle import GREEKS, Chain
from tests.stats.market_data.oracle import (
    INTRADAY,
    PERIODS,
    Cut,
    Row,
    bars,
    beginning,
    following,
    midnight,
    quote_bars,
    ticks,
)
from tests.stats.market_data.published_hours import XCME, XNYS, Exchange, instant

DAY_NS = 24 * HOUR_NS
EXCHANGES: dict[str, Exchange | None] = {EQUITY: XNYS, CALL: XNYS, PUT: XNYS, FUTURE: XCME, CRYPTO: None}
HOURS_OF: dict[str, int] = {EQUITY: EQUITY_HOUR, FUTURE: FUTURE_HOUR}
TRADES = (
    "price",
    "volume",
    "trade_id",
    "sequence",
    "exchange",
    "conditions",
    "received_at",
    "buyer_is_maker",
)
QUOTES = ("bid", "bid_size", "ask", "ask_size", "sequence", "exchange", "conditions", "received_at")
RATE = 0.03
INPUTS = (
    "price",
    "spot",
    "spot_timestamp",
    "forward",
    "forward_source",
    "rate",
    "rate_source",
    "dividend_yield",
    "dividends",
    "t",
    "reason",
)
OPTION_VALUES = {
    "greeks": ("bid", "ask", *GREEKS, *INPUTS),
    "implied-volatility": ("bid", "ask", "iv", *INPUTS),
}
OPEN_INTEREST = ("date", "open_interest", "status")
Oracle = Callable[[Iterable[Row], Cut, int, int], list[Row]]


@dataclass(frozen=True, slots=True)
class Subject:
    """A dataset of an instrument at a resolution.

    stored: the dataset that its rows are made from. rows_name: what they are called in an answer.
    """

    market_class: str
    symbol: str
    dataset: str
    stored: str
    rows_name: str
    resolution: str = "tick"

    def __str__(self) -> str:
        return f"{self.market_class}-{self.dataset}-{self.resolution}"

    @property
    def path(self) -> str:
        return f"/api/v1/market-data/{self.market_class}/{self.symbol}/{self.dataset}"

    @property
    def unit_ns(self) -> int:
        """In what instants are written where rows are columns."""
        return 1 if self.dataset == "open-interest" or self.resolution == "tick" else 1_000_000

    @property
    def is_period(self) -> bool:
        return self.resolution in PERIODS

    @property
    def parameters(self) -> dict[str, str]:
        """A range as long as the resolution permits, of dates where it does not matter what a day is."""
        shape = {"limit": "10000"} | ({"rate": str(RATE)} if self.dataset in OPTION_VALUES else {})
        if self.dataset in {"ohlcv", "quotes"} and self.resolution != "tick":
            shape["resolution"] = self.resolution
        if self.is_period:
            return {"start": FIRST.isoformat(), "end": BEHIND.isoformat(), **shape}
        start_ns, end_ns = self.window
        return {"start": timestamp(start_ns), "end": timestamp(end_ns), **shape}

    @property
    def window(self) -> tuple[int, int]:
        """The range in nanoseconds UTC, days being UTC's."""
        hour_ns = HOURS_OF.get(self.symbol, EQUITY_HOUR)
        if self.dataset == "open-interest":
            return midnight(FIRST), midnight(BEHIND)
        if self.resolution == "tick":
            return hour_ns, hour_ns + HOUR_NS
        if self.resolution == "1s":
            return hour_ns - 12 * HOUR_NS, hour_ns + 12 * HOUR_NS
        return midnight(FIRST), midnight(BEHIND)

    def shape(self, session: str, hours: str) -> dict[str, str]:
        """Those of the two parameters that the dataset takes: reports of open interest and rows as they are know no days."""
        if self.dataset == "open-interest":
            return {}
        return (
            {"hours": hours}
            if self.dataset in {"trades", *OPTION_VALUES}
            else {"session": session, "hours": hours}
        )

    def cut(self, session: str, hours: str) -> Cut:
        """How its rows are put into bars."""
        exchange = EXCHANGES[self.symbol]
        return Cut(self.resolution, exchange, by_date=session == "exchange", hours=hours)

    def expected(self, market: Market, session: str, hours: str) -> list[Row]:
        """Its rows in ascending order, with `timestamp` for their time."""
        if self.dataset in OPTION_VALUES:
            return [
                answered(row, self.columns)
                for row in option_values(market, self.cut(session, hours), *self.window)
            ]
        hours = self.shape(session, hours).get("hours", "all")
        cut, (start_ns, end_ns) = self.cut(session, hours), self.window
        if self.is_period:
            last = following(beginning(BEHIND, self.resolution), self.resolution)
            start_ns = cut.label(beginning(FIRST, self.resolution))
            end_ns = cut.label(BEHIND if beginning(BEHIND, self.resolution) == BEHIND else last)
        rows = self._oracle(market.rows[self.stored, self.symbol], cut, start_ns, end_ns)
        return [answered(row, self.columns) for row in rows]

    @property
    def _oracle(self) -> Oracle:
        if self.resolution == "tick":
            return ticks
        return bars if self.dataset == "ohlcv" else quote_bars

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns of stored rows; None for bars, which have those that the oracle makes."""
        if self.resolution != "tick":
            return None
        if self.dataset in OPTION_VALUES:
            return OPTION_VALUES[self.dataset]
        return {"trades": TRADES, "open_interest": OPEN_INTEREST}.get(self.stored, QUOTES)


def answered(row: Row, columns: tuple[str, ...] | None) -> dict[str, Any]:
    """A row of the oracle by the names of an answer; what was not given is null."""
    if columns is None:
        return {"timestamp": row["time_ns"], **{name: row[name] for name in row if name != "time_ns"}}
    found = {"timestamp": row["time_ns"], **{name: row.get(name) for name in columns}}
    return found | {"state": state_of(row)} if columns == QUOTES else found


def option_values(market: Market, cut: Cut, start_ns: int, end_ns: int) -> list[Row]:
    """What the call's quotes imply."""
    rows = market.rows
    chain = Chain(
        call=rows["option_quotes", CALL],
        put=rows["option_quotes", PUT],
        underlying_quotes=rows["quotes", EQUITY],
        underlying_trades=rows["trades", EQUITY],
        strike=100.0,
        last_trade_ns=instant(dt.date(2025, 1, 17), "16:00", "America/New_York"),
        rate=RATE,
    )
    return [chain.call_values(quote) for quote in ticks(chain.call, cut, start_ns, end_ns)]


def state_of(quote: Row) -> str:
    """What can be seen in a quote."""
    bid, ask = quote.get("bid"), quote.get("ask")
    if bid is None or ask is None:
        return "one_sided"
    return "locked" if bid == ask else "crossed" if bid > ask else "normal"


_TICKS = (
    Subject("equities", EQUITY, "trades", "trades", "trades"),
    Subject("equities", EQUITY, "quotes", "quotes", "quotes"),
    Subject("futures", FUTURE, "trades", "trades", "trades"),
    Subject("futures", FUTURE, "quotes", "quotes", "quotes"),
    Subject("futures", FUTURE, "open-interest", "open_interest", "open_interest"),
    Subject("options", CALL, "quotes", "option_quotes", "quotes"),
    Subject("options", CALL, "open-interest", "open_interest", "open_interest"),
    Subject("options", CALL, "greeks", "option_quotes", "greeks"),
    Subject("options", CALL, "implied-volatility", "option_quotes", "implied_volatility"),
    Subject("crypto", CRYPTO, "trades", "trades", "trades"),
    Subject("crypto", CRYPTO, "quotes", "quotes", "quotes"),
)
_BARRED = (("equities", EQUITY), ("futures", FUTURE), ("crypto", CRYPTO))
BARS = tuple(
    Subject(market_class, symbol, "ohlcv", "trades", "bars", resolution)
    for market_class, symbol in _BARRED
    for resolution in (*INTRADAY, *PERIODS)
)
QUOTE_BARS = tuple(
    Subject(market_class, symbol, "quotes", stored, "quotes", resolution)
    for market_class, symbol, stored in (
        *((market_class, symbol, "quotes") for market_class, symbol in _BARRED),
        ("options", CALL, "option_quotes"),
    )
    for resolution in ("1s", "1m", "1h", "1d", "1w")
)
# Each dataset once, for what does not depend on the resolution.
DATASETS = (
    *_TICKS,
    *(one for one in BARS if one.resolution == "1d"),
    *(one for one in QUOTE_BARS if one.resolution == "1h"),
)
RESOLUTIONS = tuple(one for one in (*BARS, *QUOTE_BARS) if one not in DATASETS)
