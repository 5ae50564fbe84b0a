"""The demo market as a vendor publishes it: batches of trades and quotes, a wrong print, an outage, and older bars."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES
from store.declarations import WORD_SEPARATOR, Dataset
from store.protocol import Action, Correction
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from trades.sample.market import (
    COIN,
    SEED,
    SymbolDay,
    TradingSession,
    coin_day,
    daily_bar,
    generator,
    minute_bars,
    symbol_day,
)

MISPRINTED, SPLIT, PAYING, SILENT = "DEMOA", "DEMOA", "DEMOB", "DEMOC"
MISPRINT: Final = 1.05
CORRECTED_AFTER_NS: Final = 10 * SECOND_NS
# On Wednesdays nothing comes in these minutes of the session.
SILENT_WEEKDAY: Final = 2
SILENT_MINUTES: Final = (210, 240)
QUOTE_BEFORE_NS: Final = 500_000
WIDEST_SPREAD_CENTS: Final = 4
SPLIT_RATIO: Final = 2.0
SPLIT_SESSION: Final = 120
DIVIDEND: Final = 0.45
DIVIDEND_SESSIONS: Final = (30, 93, 156, 219, 282, 345, 408, 471)


@dataclass(frozen=True, slots=True)
class PublishedDay:
    """A symbol's day: trades and quotes in the store's schemas, row by row, in order of `received_at_ns`."""

    symbol: str
    trades: pa.RecordBatch
    quotes: pa.RecordBatch
    received_at_ns: Integers
    correction: Correction | None = None
    corrected_at_ns: int = 0

    def between(self, after_ns: int, until_ns: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Return the quotes and trades received after an instant, up to another one."""
        first, last = self.received_at_ns.searchsorted([after_ns, until_ns], side="right").tolist()
        return self.quotes.slice(first, last - first), self.trades.slice(first, last - first)

    def correction_between(self, after_ns: int, until_ns: int) -> Correction | None:
        """Return the correction of the day's wrong print if it came after an instant, up to another one."""
        return self.correction if after_ns < self.corrected_at_ns <= until_ns else None


@lru_cache(maxsize=16)
def equity_published(symbol: str, session: TradingSession) -> PublishedDay:
    """Return an equity's day; the same arguments give the same rows."""
    day = _published(symbol_day(seed=SEED, symbol=symbol, session=session))
    if symbol == MISPRINTED:
        return _with_misprint(day)
    if symbol == SILENT and session.date.weekday() == SILENT_WEEKDAY:
        received = (day.received_at_ns - session.opens) // MINUTE_NS
        is_sent = (received < SILENT_MINUTES[0]) | (received >= SILENT_MINUTES[1])
        trades, quotes = (rows.filter(pa.array(is_sent)) for rows in (day.trades, day.quotes))
        return PublishedDay(symbol, trades, quotes, day.received_at_ns[is_sent])
    return day


def _with_misprint(day: PublishedDay) -> PublishedDay:
    """Return the day with a wrong price in the middle, and its correction."""
    row = len(day.trades) // 2
    prices = day.trades["price"].to_numpy().copy()
    right, wrong = float(prices[row]), round(float(prices[row]) * MISPRINT, 2)
    prices[row] = wrong
    place = day.trades.schema.get_field_index("price")
    named = {"trade_id": day.trades["trade_id"][row].as_py(), "price": wrong}
    time_ns = day.trades["timestamp"][row].as_py()
    return replace(
        day,
        trades=day.trades.set_column(place, day.trades.schema.field(place), pa.array(prices)),
        correction=Correction(Action.CORRECT, time_ns, named, {"price": right}),
        corrected_at_ns=int(day.received_at_ns[row]) + CORRECTED_AFTER_NS,
    )


@lru_cache(maxsize=2)
def coin_published(date: dt.date) -> PublishedDay:
    """Return the coin's UTC date."""
    return _published(coin_day(seed=SEED, symbol=COIN, date=date))


def _published(day: SymbolDay) -> PublishedDay:
    columns = {
        "timestamp": day.time_ns,
        "price": day.price,
        "volume": day.volume,
        "trade_id": day.trade_id,
        "sequence": day.sequence,
        "exchange": [each or None for each in day.exchange],
        "conditions": [WORD_SEPARATOR.join(words) or None for words in day.conditions],
        "received_at": day.received_at_ns,
    }
    trades, quotes = batch_of(TRADES, columns), batch_of(QUOTES, _quotes(day))
    return PublishedDay(day.symbol, trades, quotes, day.received_at_ns)


def _quotes(day: SymbolDay) -> dict[str, Any]:
    """Make the quote before each trade; the trade is at the bid or at the ask."""
    rng = generator(SEED, day.symbol, day.date.isoformat(), "quotes")
    spread = rng.integers(1, WIDEST_SPREAD_CENTS + 1, len(day))
    bid = np.rint(day.price * 100) - spread * rng.integers(0, 2, len(day))
    return {
        "timestamp": day.time_ns - QUOTE_BEFORE_NS,
        "bid": bid / 100,
        "bid_size": rng.permutation(day.volume),
        "ask": (bid + spread) / 100,
        "ask_size": rng.permutation(day.volume),
        "received_at": day.received_at_ns,
    }


def minute_rows(days: Iterable[SymbolDay]) -> pa.RecordBatch:
    """Return minute bars of whole days."""
    columns = [minute_bars(day) for day in days]
    joined = {name: np.concatenate([each[name] for each in columns]) for name in columns[0]}
    return batch_of(BARS, joined | {"resolution": ["1m"] * len(joined["open"])})


def daily_rows(symbol: str, dates: Sequence[dt.date], actions: pa.RecordBatch) -> pa.RecordBatch:
    """Return daily bars. Those before a split among the actions have the old shares' prices and volumes."""
    bars = np.array([daily_bar(seed=SEED, symbol=symbol, date=each) for each in dates])
    times_ns = np.array(list(map(midnight_ns, dates)))
    splits_ns = [row["timestamp"] for row in actions.to_pylist() if row["kind"] == "split"]
    ratio = np.prod([np.where(times_ns < each, SPLIT_RATIO, 1.0) for each in splits_ns], axis=0)
    columns = dict(zip(("open", "high", "low", "close"), np.round(bars.T[:4] * ratio, 2), strict=True))
    volume = np.floor(bars[:, 4] / ratio)
    fixed = {"timestamp": times_ns, "resolution": ["1d"] * len(dates), "volume": volume}
    return batch_of(BARS, columns | fixed)


def action_rows(symbol: str, dates: Sequence[dt.date]) -> pa.RecordBatch:
    """Return the corporate actions of a symbol whose trading dates are these, ascending."""
    rows: list[dict[str, Any]] = []
    if symbol == SPLIT and len(dates) > SPLIT_SESSION:
        rows = [{"timestamp": midnight_ns(dates[-SPLIT_SESSION]), "kind": "split", "ratio": SPLIT_RATIO}]
    elif symbol == PAYING:
        paid = [dates[-each] for each in DIVIDEND_SESSIONS if each < len(dates)]
        rows = [
            {"timestamp": midnight_ns(date), "kind": "dividend", "amount": DIVIDEND, "currency": "USD"}
            for date in paid
        ]
    schema = CORPORATE_ACTIONS.schema
    return pa.RecordBatch.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema)


def midnight_ns(date: dt.date) -> int:
    """Return a date's midnight in UTC."""
    return (date - dt.date(1970, 1, 1)).days * DAY_NS


def batch_of(dataset: Dataset, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """Return columns in a dataset's schema; those that are left out are null."""
    count = len(columns["timestamp"])
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in dataset.schema
    ]
    return pa.record_batch(arrays, schema=dataset.schema)
