"""Sizes of 1,000 real bars in every format, and how much compression takes off."""

import numpy as np
import pytest

from stats.rendering.formats import FORMATS
from stats.rendering.table import Table
from store.bar_policies import US_EQUITIES
from store.bars.aggregation import aggregate_prints
from store.bars.bars import bars_of
from store.bars.credit import utc_dates
from store.bars.prints import prints_of
from tests.stats.rendering.tables import BARS, document
from tests.store.builders import SECOND
from tests.store.real_data import equity_trades, midnight_ns
from web.requests.compression import compressed

COUNT = 1_000


@pytest.fixture(scope="module")
def real_bars() -> Table:
    """Bars of a second, made from a day's trades."""
    rows = equity_trades("equity/ibm_20131007_tick_trade.csv", midnight_ns(2013, 10, 7))
    bars = bars_of(aggregate_prints(prints_of(rows, US_EQUITIES), SECOND), utc_dates)
    made = {"timestamp": bars.time_ns, "vwap": bars.notional / bars.volume, "final": np.ones(len(bars), bool)}
    others = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume", "trade_count")}
    return Table.of(BARS, made | others).slice(0, COUNT)


@pytest.fixture(scope="module")
def sizes(real_bars: Table) -> dict[str, int]:
    return {name: len(each.render(document(real_bars)).body) for name, each in FORMATS.items()}


@pytest.mark.parametrize(("name", "at_most"), [("columnar", 0.70), ("msgpack", 0.45)])
def test_columns_are_smaller_than_rows(sizes: dict[str, int], name: str, at_most: float):
    assert sizes[name] <= at_most * sizes["json"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("name", FORMATS)
def test_compression_takes_off_more_than_half(real_bars: Table, name: str, encoding):
    body = FORMATS[name].render(document(real_bars)).body
    assert len(compressed(body, encoding).body) < 0.5 * len(body)
