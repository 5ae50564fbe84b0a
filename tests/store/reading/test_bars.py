"""Bars made from trades, against pandas over the same trades."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from store import open_store
from store.bar_policies import US_EQUITIES
from store.csv import CsvStore
from store.instruments import Instrument
from store.reading import Reader
from store.reading.exceptions import InvalidArgument, UnknownPolicy
from tests.store.builders import DAY, MINUTE, NOON, SECOND, trade
from tests.store.reading.stores import add

PRICES = ["open", "high", "low", "close"]


def expected_bars(reader: Reader, symbol: str, length: str) -> pd.DataFrame:
    """pandas' bars of every trade."""
    trades: Any = reader.trades(symbol, frame=True)
    groups = trades.resample("24h" if length == "1d" else length, origin="epoch")
    bars = groups["price"].ohlc().assign(volume=groups["volume"].sum(), trade_count=groups.size())
    return bars[bars["trade_count"] > 0]


@pytest.mark.parametrize("interval", ["1s", "5min", "1d", "7min"])
def test_bars_equal_pandas(sample: Reader, interval: str):
    expected = expected_bars(sample, "DEMOA", interval)
    frame: Any = sample.bars("DEMOA", interval=interval, frame=True)
    assert frame.index.equals(expected.index)
    for name in [*PRICES, "volume", "trade_count"]:
        assert frame[name].tolist() == expected[name].tolist(), name


def test_the_window_is_widened_to_whole_bars(tmp_path: Path):
    add(tmp_path, *(trade(n * 20 * SECOND, 1.0 + n) for n in range(9)))
    reader = open_store(tmp_path)
    bars = reader.bars("AAPL", NOON + 70 * SECOND, NOON + 80 * SECOND)
    assert (bars.time_ns.tolist(), bars.open.tolist(), bars.volume.tolist()) == (
        [NOON + MINUTE],
        [4.0],
        [3.0],
    )
    assert reader.bars("AAPL", NOON + MINUTE, NOON + 2 * MINUTE).open.tolist() == [4.0]
    assert len(reader.bars("AAPL", NOON + MINUTE, NOON + 2 * MINUTE + 1)) == 2


def test_policies_by_name_by_value_and_of_the_instrument(tmp_path: Path):
    add(tmp_path, trade(0, 10.0, 1.0), trade(SECOND, 99.0, 2.0, conditions="derivatively_priced"))
    reader = open_store(tmp_path)
    assert reader.bars("AAPL").high.tolist() == [99.0]
    for policy in ("us_equities", US_EQUITIES):
        bars = reader.bars("AAPL", policy=policy)
        assert (bars.high.tolist(), bars.volume.tolist()) == ([10.0], [3.0])
    CsvStore(tmp_path).set_instrument(Instrument("AAPL", "us_equities"))
    assert reader.bars("AAPL").high.tolist() == [10.0]
    assert reader.bars("AAPL", policy="all").high.tolist() == [99.0]
    with pytest.raises(UnknownPolicy, match="there are all, us_equities"):
        reader.bars("AAPL", policy="us_equity")


def test_bars_of_regular_days_follow_the_policys_daily_table(tmp_path: Path):
    add(
        tmp_path,
        trade(0, 9.0, 1.0, conditions="extended_hours"),
        trade(SECOND, 10.0, 500.0, conditions="opening_print"),
        trade(2 * SECOND, 12.0, 5.0),
        trade(3 * SECOND, 11.0, 700.0, conditions="closing_print"),
        trade(4 * SECOND, 20.0, 1.0, conditions="extended_hours"),
        trade(DAY, 13.0, 2.0),
    )
    CsvStore(tmp_path).set_instrument(Instrument("AAPL", exchange="XNYS"))
    reader = open_store(tmp_path)
    bars = reader.bars("AAPL", interval="1d", policy="us_equities")
    assert bars.time_ns.tolist() == [NOON - NOON % DAY, NOON - NOON % DAY + DAY]
    assert [getattr(bars, name).tolist() for name in PRICES] == [
        [10.0, 13.0],
        [12.0, 13.0],
        [10.0, 13.0],
        [11.0, 13.0],
    ]
    assert reader.bars("AAPL", NOON + DAY, interval="1d", policy="us_equities").open.tolist() == [13.0]
    frame: Any = reader.bars("AAPL", None, "2025-01-02T13:00", "1d", policy="us_equities", frame=True)
    assert frame["close"].tolist() == [11.0]


def test_an_instant_of_knowledge_needs_knowledge_then(sample: Reader):
    with pytest.raises(InvalidArgument, match="give both"):
        sample.bars("DEMOA", known_at="2025-01-08")
