"""Bars of real days against the vendor's own: by condition, by quote carried in, with sizes of zero."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars, bars_of
from store.bars.credit import utc_dates
from store.bars.prints import prints_of
from store.bars.session_bars import session_bars_of
from store.csv import CsvStore
from store.instruments import Instrument
from store.log_views.bar_grid import plain_grid
from store.log_views.quote_windows import quote_bars_by_exchange
from store.protocol import Window
from tests.store.builders import DAY, MINUTE, SECOND
from tests.store.quotes import quote_log
from tests.store.real_data import (
    PRICE_UNIT,
    equity_bars,
    equity_trades,
    midnight_ns,
    real_frame,
    trades_table,
)

MIDNIGHT = midnight_ns(2013, 10, 7)
FIVE = ["open", "high", "low", "close", "volume"]
VENDOR_BARS = {
    MINUTE: "equity/ibm_20131007_minute_trade.csv",
    SECOND: "equity/ibm_20131007_second_trade.csv",
}


@pytest.fixture(scope="module")
def ibm() -> pa.Table:
    return equity_trades("equity/ibm_20131007_tick_trade.csv", MIDNIGHT)


def made(rows: pa.Table, policy: BarPolicy, interval: int) -> Bars:
    return bars_of(aggregate_prints(prints_of(rows, policy), interval), utc_dates)


def equal_and_extra(bars: Bars, vendor: pd.DataFrame) -> tuple[int, int]:
    """How many bars equal the vendor's in all five fields, and how many the vendor does not have."""
    ours = pd.DataFrame({name: getattr(bars, name) for name in FIVE}, index=bars.time_ns)
    both = ours.index.intersection(vendor.index)
    equal = (ours.loc[both] == vendor.loc[both, FIVE]).all(axis=1).sum()
    return int(equal), len(ours) - len(both)


@pytest.mark.parametrize(
    ("policy", "interval", "equal", "extra"),
    [
        (US_EQUITIES, MINUTE, 451, 0),
        (US_EQUITIES, SECOND, 5121, 0),
        (EVERY_PRINT, MINUTE, 241, 0),
        (EVERY_PRINT, SECOND, 3346, 1203),
    ],
)
def test_bars_by_condition_equal_the_vendors(
    ibm: pa.Table, policy: BarPolicy, interval: int, equal: int, extra: int
):
    vendor = equity_bars(VENDOR_BARS[interval], MIDNIGHT)
    assert equal_and_extra(made(ibm, policy, interval), vendor) == (equal, extra)


def test_daily_session_bar_equals_the_vendors(ibm: pa.Table):
    vendor = real_frame("equity/ibm_201310_daily_trade.csv", ["date", *FIVE], index_col="date")
    expected = (vendor.loc["20131007 00:00", FIVE[:4]] / PRICE_UNIT).tolist()
    bars = session_bars_of(ibm, US_EQUITIES)
    assert pd.to_datetime(bars.time_ns).tolist() == [pd.Timestamp("2013-10-07")]
    assert [getattr(bars, name)[0] for name in FIVE[:4]] == expected == [182.00, 183.30, 181.85, 182.01]


def test_quote_bars_equal_the_vendors(tmp_path: Path):
    sides = ["bid", "bid_size", "ask", "ask_size"]
    path = "equity/ibm_20131007_tick_quote_partial.csv"
    frame = real_frame(path, ["ms", *sides, "exchange", "mask", "suspicious"])
    quoted = {name: frame[name].where(frame[name.removesuffix("_size")] > 0) for name in sides}
    rows = pa.Table.from_pandas(pd.DataFrame({"timestamp": frame["time_ns"], **quoted})).to_pylist()
    names = ["bid_open", "bid_high", "bid_low", "bid_close", "bid_size"]
    names += ["ask_open", "ask_high", "ask_low", "ask_close", "ask_size"]
    vendor = real_frame("equity/ibm_20131007_minute_quote.csv", ["ms", *names]).set_index("time_ns")
    log = quote_log(CsvStore(tmp_path), *rows)
    ((_, bars),) = quote_bars_by_exchange(log, Window(0, DAY), plain_grid(MINUTE, Instrument("IBM")))
    assert len(bars) == 10
    for name in names:
        assert getattr(bars, name).tolist() == vendor.loc[bars.time_ns, name].tolist(), name


def test_minutes_of_futures_with_prints_of_size_zero_equal_the_vendors():
    names = ["ms", "price", "size", "exchange", "mask", "suspicious"]
    ticks = real_frame("future/gc_20131007_tick_trade.csv", names)
    assert (ticks["size"] == 0).any()
    time, price, size = (ticks[name].to_numpy() for name in ("time_ns", "price", "size"))
    rows = trades_table(time, price, size, [None] * len(ticks))
    vendor = real_frame("future/gc_20131007_minute_trade.csv", ["ms", *FIVE]).set_index("time_ns")
    bars = made(rows, EVERY_PRINT, MINUTE)
    assert bars.time_ns.tolist() == vendor.index.tolist()
    for name in FIVE[:4]:
        assert getattr(bars, name).tolist() == vendor[name].tolist(), name
