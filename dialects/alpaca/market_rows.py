"""Rows of bars, trades and quotes in Alpaca's form: its one-letter columns, made of ours."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.market_data.ohlcv.dataset import OHLCV
from stats.market_data.query import MarketDataset
from stats.market_data.quotes import QUOTE_ROWS
from stats.market_data.ticks import TRADE_TICKS
from stats.rendering.table import ColumnRole, OutColumn, Table
from store import lazy_pyarrow as pa
from store.declarations import WORD_SEPARATOR
from store.lazy_imports import compute as pc
from store.timestamps import DAY_NS
from trades.conditions.tapes import EXCHANGE_LETTERS

# Our columns by letters.
BAR_NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "vw": "vwap"}
QUOTE_NAMES = {"ap": "ask", "as": "ask_size", "bp": "bid", "bs": "bid_size"}
_TRADE_NUMBER = "^[0-9]{1,18}$"

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
        is_whole = any(each.is_integer and each.name in {"volume", "bid_size"} for each in table.columns)
        columns = tuple(
            OutColumn(each.name, each.role, is_whole and each.role is ColumnRole.VOLUME)
            for each in self.columns
        )
        return Table.of(columns, {**self.made(ours), "t": _times(ours, zone)})


def _times(ours: Columns, zone: str) -> Any:
    """Return the rows' times; of bars of days and longer, the midnight by the zone's clock of their date."""
    if "date" not in ours:
        return ours["timestamp"]
    midnights = pa.array(ours["date"].to_numpy() * DAY_NS, pa.timestamp("ns"))
    return pc.assume_timezone(midnights, zone).cast(pa.int64())


def _bar_values(ours: Columns) -> Mapping[str, Any]:
    values = {letter: ours[name] for letter, name in {**BAR_NAMES, "n": "trade_count"}.items()}
    # Its clients need a number: an unknown volume is 0.
    return {**values, "v": np.nan_to_num(ours["volume"].to_numpy(zero_copy_only=False))}


def _trade_values(ours: Columns) -> Mapping[str, Any]:
    is_number = pc.match_substring_regex(ours["trade_id"], _TRADE_NUMBER)
    ids = pc.if_else(is_number, ours["trade_id"], None).cast(pa.int64())
    exchanges = _exchanges(ours["exchange"])
    return {"x": exchanges, "p": ours["price"], "s": ours["volume"], "i": ids, "c": ours["conditions"]}


def trade_number(trade_id: str | None) -> int | None:
    """Return a trade's id if it is a number, as Alpaca's are."""
    return int(trade_id) if trade_id and re.fullmatch(_TRADE_NUMBER, trade_id) else None


def _quote_values(ours: Columns) -> Mapping[str, Any]:
    exchanges = _exchanges(ours["exchange"])
    sides = {
        letter: ours[name].to_numpy(zero_copy_only=False).astype(float)
        for letter, name in QUOTE_NAMES.items()
    }
    crossed = pa.array(sides["bp"] > sides["ap"])
    words = pc.binary_join_element_wise(ours["conditions"], "crossed", WORD_SEPARATOR, null_handling="skip")
    words = pc.if_else(crossed, words, ours["conditions"])
    # Its clients need numbers: a side without a quote has 0.
    return {
        **{name: np.nan_to_num(each) for name, each in sides.items()},
        "ax": exchanges,
        "bx": exchanges,
        "c": words,
    }


def _exchanges(names: Any) -> Any:
    coded = names.dictionary_encode()
    letters = [EXCHANGE_LETTERS.get(name, name) for name in coded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(letters, pa.string())).dictionary_decode()


def _columns(**roles: ColumnRole) -> tuple[OutColumn, ...]:
    return tuple(OutColumn(name, role) for name, role in roles.items())


_TIME, _NUMBER, _INTEGER = ColumnRole.TIME, ColumnRole.NUMBER, ColumnRole.INTEGER
_VOLUME, _TEXT, _WORDS = ColumnRole.VOLUME, ColumnRole.TEXT, ColumnRole.WORDS
BARS = AlpacaRows(
    "bars",
    OHLCV,
    _columns(t=_TIME, o=_NUMBER, h=_NUMBER, l=_NUMBER, c=_NUMBER, v=_VOLUME, n=_INTEGER, vw=_NUMBER),
    _bar_values,
)
TRADES = AlpacaRows(
    "trades",
    TRADE_TICKS,
    _columns(t=_TIME, x=_TEXT, p=_NUMBER, s=_VOLUME, c=_WORDS, i=_INTEGER),
    _trade_values,
)
_SIDE = {"ax": _TEXT, "ap": _NUMBER, "as": _VOLUME, "bx": _TEXT, "bp": _NUMBER, "bs": _VOLUME}
QUOTES = AlpacaRows("quotes", QUOTE_ROWS, _columns(t=_TIME, **_SIDE, c=_WORDS), _quote_values)
KINDS = {each.name: each for each in (BARS, TRADES, QUOTES)}
