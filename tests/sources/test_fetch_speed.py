"""A year of minutes: what we do with a row costs little beside the exchange's rate."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.exchange_pages import Candle, candle_rows
from sources.fetching import Fetch
from sources.planning import FetchOrder, FetchPlan, unknown_windows
from sources.protocol import Estimate, Source, SourcePage, Wanted
from store.datasets import BARS
from store.instruments import Instrument
from store.protocol import ALL_TIME, Window
from store.timestamps import MINUTE_NS, parse_timestamp
from tests.chance import SOAK
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.seconds]
MINUTES = 525_600 if SOAK else 50_000
START_NS = parse_timestamp("2024-01-01T00:00:00Z")
MOST_SECONDS_A_ROW = 20e-6


class MemorySource(Source):
    """Pages of 1,000 candles, as ccxt gives them: lists of numbers."""

    name, terms = "memory", "none"

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        for first in range(window.start_ns, window.end_ns, 1000 * MINUTE_NS):
            end_ns = min(first + 1000 * MINUTE_NS, window.end_ns)
            candles: list[Candle] = [
                [at // 10**6, 100.0, 101.5, 99.5, 100.25, 3.125] for at in range(first, end_ns, MINUTE_NS)
            ]
            yield SourcePage(candle_rows(candles, "1m"), Window(first, end_ns))


def test_a_row_of_a_year_of_minutes_costs_less_than_twenty_microseconds(default_store: Path):
    window = Window(START_NS, START_NS + MINUTES * MINUTE_NS)
    wanted = Wanted(BARS, Instrument("BTC-USDT", instrument_class="crypto"), "BTC/USDT", "1m")
    order = FetchOrder("memory", "BTC/USDT", BARS, "1m", window)
    plan = FetchPlan(order, MemorySource(), wanted, (window,), Estimate())
    began = time.process_time()
    result = Fetch(plan).run()
    seconds = time.process_time() - began
    assert (result.new, result.unanswered) == (MINUTES, [])
    assert market_store().log(BARS, "BTC-USDT").at().rows(ALL_TIME).num_rows == MINUTES
    assert unknown_windows(wanted, "memory", window) == []
    assert seconds / MINUTES < MOST_SECONDS_A_ROW, f"{seconds / MINUTES * 1e6:.1f} microseconds"
