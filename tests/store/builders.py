"""Trades and batches with valid defaults, and a clock that stands still."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from store.bar_policies import EVERY_PRINT, BarPolicy
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars, bars_of
from store.bars.credit import DatesOf, credit_dates, utc_dates
from store.bars.prints import prints_of
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.log import Log
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Action, Amendment, Append, Correction, Dedupe, Fill, Window
from store.rows.stored_rows import ArrivalRun, stored_rows
from store.timestamps import DAY_NS, SECOND_NS, parse_timestamp

if TYPE_CHECKING:
    from store.csv import CsvStore
    from store.csv.csv_log import OpenLog

Row = dict[str, Any]

SYMBOL = "AAPL"
NOON = parse_timestamp("2025-01-02T12:00:00Z")
SECOND = SECOND_NS
MINUTE = 60 * SECOND_NS
DAY = DAY_NS


@dataclass
class Clock:
    """Nanoseconds UTC; moves only when set."""

    now: int = NOON

    def __call__(self) -> int:
        return self.now


def open_log(store: "CsvStore") -> "OpenLog":
    """The objects that read and write one log of trades, for tests that reach inside."""
    return store._logs.get(TRADES, SYMBOL)


def trade(at: int | str = NOON, price: float = 100.0, volume: float = 1.0, **others: Any) -> Row:
    """A trade at an instant, or so many nanoseconds after noon where that is a small number."""
    row = dict.fromkeys(TRADES.schema.names) | {"timestamp": instant(at), "price": price, "volume": volume}
    return row | others


def bar(minute: int, close: float, resolution: str = "1m", **others: Any) -> Row:
    """A bar that starts so many minutes after noon; all its prices and its volume are the same."""
    row = {"timestamp": NOON + minute * MINUTE, "resolution": resolution}
    filled = dict.fromkeys(BARS.schema.names) | row
    return filled | dict.fromkeys(("open", "high", "low", "close", "volume"), close) | others


def instant(at: int | str) -> int:
    if isinstance(at, str):
        return parse_timestamp(at)
    return NOON + at if abs(at) < 40 * DAY else at


def record_batch(*rows: Row) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=TRADES.schema)


def append_of(dataset: Dataset, *rows: Row, symbol: str = SYMBOL, **terms: Any) -> Append:
    """A batch of rows of any dataset. Columns that a row lacks are null."""
    filled = [dict.fromkeys(dataset.schema.names) | row for row in rows]
    return Append(
        dataset, symbol, pa.RecordBatch.from_pylist(filled, schema=dataset.schema), "key:1", **terms
    )


def batch(
    *rows: Row,
    symbol: str = SYMBOL,
    caller: str = "key:1",
    dedupe: Dedupe = Dedupe.ROWS,
    request_key: str | None = None,
    complete_until: int | None = None,
    fill: Fill | None = None,
) -> Append:
    rows_batch = record_batch(*rows)
    return Append(TRADES, symbol, rows_batch, caller, dedupe, request_key, complete_until, fill)


def fill_of(start: int, end: int, source: str = "other") -> Fill:
    """A fill of the window between so many nanoseconds after noon."""
    return Fill(Window(instant(start), instant(end)), source, "trades of the gap", "7-abcdef")


def trades_of(store: MarketStore) -> Log:
    return store.log(TRADES, SYMBOL)


def stored(
    store: MarketStore, window: Window = ALL_TIME, *, symbol: str = SYMBOL, commit: int | None = None
) -> list[Row]:
    """The rows in a window, as a list of dictionaries."""
    rows: list[Row] = store.log(TRADES, symbol).at(commit).rows(window).to_pylist()
    return rows


def bars_of_rows(
    rows: pa.Table, interval_ns: int, policy: BarPolicy = EVERY_PRINT, dates_of: DatesOf = utc_dates
) -> Bars:
    """Bars of ordered rows, all of which stand, by the rows alone."""
    prints = prints_of(stored_rows(rows, [ArrivalRun(0, 1, rows.num_rows)]), policy)
    dates = credit_dates(policy, interval_ns, dates_of)
    return bars_of(aggregate_prints(prints, interval_ns), dates)


def cancel(at: int | str = NOON, **named: Any) -> Correction:
    """A cancel of the row that is named by an event time and `trade_id`, `exchange`, `price`, `volume`."""
    return Correction(Action.CANCEL, instant(at), named)


def correct(at: int | str = NOON, *, new: Row, **named: Any) -> Correction:
    """A correction of the row that is named, as for `cancel`, to new values by column."""
    return Correction(Action.CORRECT, instant(at), named, new)


def amendment(
    *corrections: Correction, symbol: str = SYMBOL, caller: str = "key:1", request_key: str | None = None
) -> Amendment:
    return Amendment(TRADES, symbol, corrections, caller, request_key)
