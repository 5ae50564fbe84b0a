"""Rows of bars, trades and quotes in Alpaca's form: its one-letter columns, made of ours."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.query import MarketDataset
from stats.market_data.quoted_trades import TRADE_TICKS
from stats.market_data.quotes import QUOTE_ROWS
from stats.rendering.table import ColumnRole, OutColumn, Table
from store import lazy_pyarrow as pa
from store.lazy_imports import compute as pc
from store.timestamps import DAY_NS
from trades.conditions.tapes import EXCHANGE_LETTERS

# Our columns by letters.
BAR_NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "vw": "vwap"}
QUOTE_NAMES = {"ap": "ask", "as": "ask_size", "bp": "bid", "bs": "bid_size"}
_TRADE_NUMBER = "^[0-9]{1,18}$"
_TIME = OutColumn("t", ColumnRole.TIME)

Columns = Mapping[str, Any]
"""Our columns by name, as Arrow arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class AlpacaRows:
    """A kind of rows. name: its key in bodies. dataset: ours. columns: Alpaca's; made: their values, from ours."""

    name: str
    dataset: MarketDataset
    columns: tuple[OutColumn, ...]
    made: Callable[[Columns], Mapping[str, Any]]

    def table(self, table: Table, *, zone: str) -> Table:
        """Return rows in Alpaca's form. zone: of the days by which bars are dated."""
        ours = dict(zip(table.data.column_names, table.arrays(), strict=True))
        whole = {column.name for column in table.columns if column.is_integer}
        is_whole = bool(whole & {"volume", "bid_size"})
        columns = tuple(
            OutColumn(each.name, each.role, is_whole) if each.role is ColumnRole.VOLUME else each
            for each in self.columns
        )
        times = {"t": _times(ours, zone)}
        return Table.of(columns, {**self.made(ours), **times})


def _times(ours: Columns, zone: str) -> Any:
    """Return the rows' times; of bars of days and longer, the midnight by the zone's clock of their date."""
    if "date" not in ours:
        return ours["timestamp"]
    midnights = pa.array(ours["date"].to_numpy() * DAY_NS, pa.timestamp("ns"))
    return pc.assume_timezone(midnights, zone).cast(pa.int64())


def _numbers(*names: str) -> tuple[OutColumn, ...]:
    return tuple(OutColumn(name, ColumnRole.NUMBER) for name in names)


def _bar_values(ours: Columns) -> Mapping[str, Any]:
    return {**{letter: ours[name] for letter, name in BAR_NAMES.items()}, "n": ours["trade_count"]}


def _trade_values(ours: Columns) -> Mapping[str, Any]:
    is_number = pc.match_substring_regex(ours["trade_id"], _TRADE_NUMBER)
    ids = pc.if_else(is_number, ours["trade_id"], None).cast(pa.int64())
    exchanges = _exchanges(ours["exchange"])
    return {"x": exchanges, "p": ours["price"], "s": ours["volume"], "i": ids, "c": ours["conditions"]}


def trade_number(trade_id: str | None) -> int | None:
    """Return a trade's id if it is a number, as Alpaca's are."""
    return int(trade_id) if trade_id and re.fullmatch(_TRADE_NUMBER, trade_id) else None


def _quote_values(ours: Columns) -> Mapping[str, Any]:
    # A quote that is of all exchanges has none.
    exchanges = (
        _exchanges(ours["exchange"]) if "exchange" in ours else pa.nulls(len(ours["bid"]), pa.string())
    )
    # Its clients need numbers: a side without a quote has 0.
    values = {
        letter: np.nan_to_num(ours[name].to_numpy(zero_copy_only=False))
        for letter, name in QUOTE_NAMES.items()
    }
    conditions = ours.get("conditions", np.full(len(ours["bid"]), ""))
    return {**values, "ax": exchanges, "bx": exchanges, "c": conditions}


def _exchanges(names: Any) -> Any:
    coded = names.dictionary_encode()
    letters = [EXCHANGE_LETTERS.get(name, name) for name in coded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(letters, pa.string())).dictionary_decode()


BARS = AlpacaRows(
    "bars",
    OHLCV,
    (
        _TIME,
        *_numbers("o", "h", "l", "c"),
        OutColumn("v", ColumnRole.VOLUME),
        OutColumn("n", ColumnRole.INTEGER),
        *_numbers("vw"),
    ),
    _bar_values,
)
TRADES = AlpacaRows(
    "trades",
    TRADE_TICKS,
    (
        _TIME,
        OutColumn("x", ColumnRole.TEXT),
        *_numbers("p"),
        OutColumn("s", ColumnRole.VOLUME),
        OutColumn("c", ColumnRole.WORDS),
        OutColumn("i", ColumnRole.INTEGER),
    ),
    _trade_values,
)
QUOTES = AlpacaRows(
    "quotes",
    QUOTE_ROWS,
    (
        _TIME,
        OutColumn("ax", ColumnRole.TEXT),
        *_numbers("ap"),
        OutColumn("as", ColumnRole.VOLUME),
        OutColumn("bx", ColumnRole.TEXT),
        *_numbers("bp"),
        OutColumn("bs", ColumnRole.VOLUME),
        OutColumn("c", ColumnRole.WORDS),
    ),
    _quote_values,
)
