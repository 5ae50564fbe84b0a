"""Bars of segments, window by window; also where a segment has few rows for each interval."""

import random
from pathlib import Path

import numpy as np
import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.bars.bars import Bars
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Window
from tests.memory_store import MemoryStore
from tests.store.bars.slow_spans import columns
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, batch, trade, trades_of

pytestmark = pytest.mark.system

MINUTES = 2_000
SPARSE = [
    trade(at=NOON + minute * MINUTE + place * SECOND, price=100.0 + minute % 7 + place, volume=1.0 + minute)
    for minute in range(0, MINUTES, 3)
    for place in range(1 + minute % 2)
]


DENSE = [
    trade(at=NOON + n * 15 * SECOND, price=100.0 + n % 7, volume=1.0 + n) for n in range(4 * MINUTES // 2)
]


def stores_with(
    path: Path, trades: list[dict[str, object]], policy: BarPolicy = EVERY_PRINT
) -> tuple[CsvStore, MemoryStore]:
    """The same trades in a store with derived files, and in memory."""
    store, memory = CsvStore(path), MemoryStore()
    for each in (store, memory):
        each.append(batch(*trades))
    store.set_instrument(Instrument(SYMBOL, policy.name))
    store.derive(TRADES, SYMBOL)
    return CsvStore(path), memory


@pytest.fixture(params=[SPARSE, DENSE], ids=["sparse", "dense"])
def stores(request, tmp_path) -> tuple[CsvStore, MemoryStore]:
    return stores_with(tmp_path, request.param)


def assert_same(got: Bars, expected: Bars) -> None:
    for name in Bars.__slots__:
        assert np.array_equal(getattr(got, name), getattr(expected, name), equal_nan=True), name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("policy", [EVERY_PRINT, US_EQUITIES], ids=lambda policy: policy.name)
@pytest.mark.parametrize("trades", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_bars_of_windows_in_any_order_are_those_of_memory(
    tmp_path, trades: list[dict[str, object]], policy: BarPolicy, seed: int
):
    store, memory = stores_with(tmp_path, trades, policy)
    rng = random.Random(seed)
    for _ in range(12):
        start = NOON + rng.randint(-30, MINUTES) * MINUTE
        window = Window(start, start + rng.choice((1, 10, 100, 3 * MINUTES)) * MINUTE)
        read = [trades_of(each).at().bars(window, MINUTE, policy=policy) for each in (store, memory)]
        assert_same(*read)


def test_volume_without_a_price_behind_a_window_is_credited_to_its_last_bar(tmp_path):
    store = CsvStore(tmp_path)
    store.append(
        batch(
            trade(at=NOON, volume=1.0),
            trade(at=NOON + 3 * MINUTE, volume=2.0),
            trade(at=NOON + 6 * MINUTE, volume=4.0, conditions="odd_lot"),
            trade(at=NOON + 9 * MINUTE, volume=8.0),
        )
    )
    store.derive(TRADES, SYMBOL)
    for minutes in (4, 6, 7):
        window = Window(NOON, NOON + minutes * MINUTE)
        bars = CsvStore(tmp_path).log(TRADES, SYMBOL).at().bars(window, MINUTE, policy=US_EQUITIES)
        assert bars.volume.tolist() == [1.0, 6.0]


def test_shared_bars_are_read_only(stores):
    store, _ = stores
    for window in (Window(NOON, NOON + 30 * MINUTE), Window(NOON, NOON + DAY)):
        bars = trades_of(store).at().bars(window, MINUTE)
        assert not any(getattr(bars, name).flags.writeable for name in Bars.__slots__)


@pytest.mark.parametrize("apart", [20 * SECOND, 45 * SECOND], ids=["dense", "sparse"])
def test_a_window_over_several_segments_has_each_minute_once(tmp_path, apart: int):
    """Some minutes are divided between two segments."""
    store, memory = CsvStore(tmp_path, segment_rows=4), MemoryStore()
    rows = [trade(at=NOON + place * apart, price=100.0 + place, volume=1.0 + place) for place in range(60)]
    for each in (store, memory):
        each.append(batch(*rows))
    derived = store.derive(TRADES, SYMBOL)
    assert derived is not None
    assert derived.segments == 15
    for minutes in range(1, 50):
        window = Window(NOON, NOON + minutes * MINUTE)
        assert_same(trades_of(store).at().bars(window, MINUTE), trades_of(memory).at().bars(window, MINUTE))


@pytest.mark.parametrize("policy", [EVERY_PRINT, US_EQUITIES], ids=lambda policy: policy.name)
def test_bars_as_of_a_commit_ignore_later_commits_in_their_segment(tmp_path, policy: BarPolicy):
    store, memory = CsvStore(tmp_path), MemoryStore()
    for number in range(4):
        rows = [trade(at=NOON + n * 15 * SECOND + number, price=1.0 + number, volume=1.0) for n in range(40)]
        for each in (store, memory):
            each.append(batch(*rows))
    store.derive(TRADES, SYMBOL)
    window = Window(NOON + MINUTE, NOON + 5 * MINUTE)
    for at in range(1, 5):
        read = [trades_of(each).at(at).bars(window, MINUTE, policy=policy) for each in (store, memory)]
        assert_same(*read)
        assert read[0].high.tolist() == [float(at)] * 4


def test_a_late_trade_is_in_spans_of_segments(stores):
    spans = columns([(NOON + n * MINUTE, NOON + (n + 1) * MINUTE, NOON + n * MINUTE) for n in range(10, 40)])
    for each in stores:
        each.append(batch(trade(at=NOON + 15 * MINUTE + 1, price=500.0)))
    read = [trades_of(each).at().span_bars(spans, dates_of=None) for each in stores]
    assert_same(*read)
    assert read[0].high.max() == 500.0


def test_spans_that_are_not_intervals_are_merged(stores):
    spans = columns(
        [(NOON + n * MINUTE, NOON + (n + 1) * MINUTE, NOON + n // 5 * 5 * MINUTE) for n in range(50)]
    )
    read = [trades_of(each).at().span_bars(spans, dates_of=None) for each in stores]
    assert_same(*read)
    assert len(read[0]) == 10
