"""A scan gives every bar of every symbol once, in order of time, in bounded memory, with few open files."""

import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from django.conf import settings

from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.reading import Reader, scan
from store.reading.exceptions import InvalidUniverse
from tests.store.builders import DAY, MINUTE, NOON, SECOND, batch, trade
from tests.store.reading.stores import SYMBOLS, add

COLUMNS = ("open", "high", "low", "close", "volume", "trade_count")


def bars_by_symbol(slices: Any) -> dict[str, list[tuple[Any, ...]]]:
    """(time, open, high, low, close, volume, count) of each symbol, in the order in which they came."""
    found = defaultdict(list)
    for time_ns, view in slices:
        columns = [getattr(view, name).tolist() for name in COLUMNS]
        for symbol, *values in zip(view.symbols, *columns, strict=True):
            found[symbol].append((time_ns, *values))
    return found


def bars_of(reader: Reader, symbol: str, *window: Any) -> list[tuple[Any, ...]]:
    bars = reader.bars(symbol, *window)
    return list(zip(*(getattr(bars, name).tolist() for name in ("time_ns", *COLUMNS)), strict=True))


def close_of(frame: Any) -> pd.Series:
    return frame["close"]


@pytest.mark.parametrize("bars_at_once", [1, 700, 1 << 18], ids=["an interval", "some hours", "all"])
def test_a_scan_has_the_bars_of_every_symbol(
    sample: Reader, monkeypatch: pytest.MonkeyPatch, bars_at_once: int
):
    monkeypatch.setattr(scan, "BARS_AT_ONCE", bars_at_once)
    window = ("2025-01-08T14:00Z", "2025-01-08T16:00Z") if bars_at_once == 1 else (None, None)
    slices = list(sample.scan(SYMBOLS, *window))
    times = [time_ns for time_ns, _ in slices]
    assert times == sorted(set(times))
    assert all(len(view) for _, view in slices)
    assert all((np.diff(view.place) > 0).all() for _, view in slices)
    found = bars_by_symbol(slices)
    for symbol in SYMBOLS:
        assert found[symbol] == bars_of(sample, symbol, *window)


def test_slice_rows_equal_its_columns(sample: Reader):
    for _, view in sample.scan(["DEMOC", "DEMOA"], interval="1h"):
        rows = list(view.rows())
        assert len(rows) == len(view)
        columns = (view.place, view.open, view.high, view.low, view.close, view.volume)
        assert rows == list(zip(*(column.tolist() for column in columns), strict=True))
        assert [view.universe[place] for place, *_ in rows] == view.symbols
        with pytest.raises(ValueError, match="read-only"):
            view.close[0] = 1.0


def test_filled_bars_equal_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(3)
    store = CsvStore(tmp_path)
    for symbol in ("A", "B", "C"):
        at = rng.choice(3000, 60, replace=False) * MINUTE
        store.append(batch(*(trade(int(t), float(rng.integers(1, 99))) for t in at), symbol=symbol))
    monkeypatch.setattr(scan, "BARS_AT_ONCE", 3 * 500)
    reader = open_store(tmp_path)
    found = bars_by_symbol(reader.scan(["A", "B", "C"], fill=True))
    closes = pd.DataFrame({s: close_of(reader.bars(s, frame=True)) for s in "ABC"}).sort_index()
    for symbol in "ABC":
        expected = closes[symbol].ffill().dropna()
        frame = pd.DataFrame(found[symbol], columns=["time", *COLUMNS]).set_index("time")
        assert frame.index.tolist() == expected.index.asi8.tolist()
        assert frame["close"].tolist() == expected.tolist()
        filled = frame[closes[symbol].reindex(expected.index).isna().to_numpy()]
        assert len(filled) > 0
        assert (filled[["open", "high", "low"]].eq(filled["close"], axis=0)).all().all()
        assert (filled[["volume", "trade_count"]] == 0).all().all()
        assert [bar for bar in found[symbol] if bar[-1]] == bars_of(reader, symbol)


def test_a_filled_scan_begins_with_the_closes_from_before_it(tmp_path: Path):
    store = CsvStore(tmp_path)
    for symbol, at in (("A", NOON), ("B", NOON + 200 * DAY)):
        store.append(batch(trade(at, 5.0), symbol=symbol))
    reader = open_store(tmp_path)
    begin = NOON + 200 * DAY
    ((_, view),) = reader.scan(["A", "B"], begin, begin + MINUTE, fill=True)
    assert view.symbols == ["A", "B"]
    assert (view.close[0], view.volume[0]) == (5.0, 0.0)
    panel = reader.panel(["A", "B"], begin, begin + MINUTE, fill=True)
    np.testing.assert_array_equal(panel.values[0], view.close)
    days = [view.symbols for _, view in reader.scan(["A", "B"], begin, None, "1d", fill=True)]
    assert days == [["A", "B"]]


def test_as_of_fixes_one_instant_for_all(tmp_path: Path):
    times = iter(range(NOON, NOON + 10))
    store = CsvStore(tmp_path, clock=lambda: next(times))
    for price in (1.0, 2.0):
        for symbol in ("A", "B"):
            store.append(batch(trade(int(price), price), symbol=symbol))
    reader = open_store(tmp_path)
    closes = [
        [view.close.tolist() for _, view in reader.scan(["A", "B"], as_of=NOON + n)] for n in range(-1, 4)
    ]
    assert closes == [[], [[1.0]], [[1.0, 1.0]], [[2.0, 1.0]], [[2.0, 2.0]]]


def test_invalid_scan_raises_at_the_call(sample: Reader):
    with pytest.raises(InvalidUniverse, match="a list of symbols"):
        sample.scan("DEMOA")
    with pytest.raises(InvalidUniverse, match="twice"):
        sample.scan(["DEMOA", "demoa"])
    with pytest.raises(UnknownSymbol):
        sample.scan(["DEMOA", "NOBODY"])
    assert list(sample.scan([])) == []
    assert list(sample.scan(["DEMOA"], "2020-01-01", "2020-02-01")) == []
    assert list(sample.scan(["DEMOA"], "2030-01-01")) == []


SCAN_MANY = """
import resource, sys
from store import open_store
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
closes = [(time_ns, view.close.sum()) for time_ns, view in open_store(sys.argv[1]).scan()]
print(len(closes), sum(close for _, close in closes))
"""


@pytest.mark.system
@pytest.mark.parametrize("derived", [False, True], ids=["rows", "derived files"])
def test_more_symbols_than_file_handles(tmp_path: Path, derived: bool):
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 48
    store = CsvStore(tmp_path)
    symbols = [f"S{n}" for n in range(60)]
    for number, symbol in enumerate(symbols):
        store.append(batch(*(trade(n * DAY + n, 1.0 + number) for n in range(3)), symbol=symbol))
        if derived:
            store.derive(TRADES, symbol)
    done = subprocess.run(
        [sys.executable, "-c", SCAN_MANY, tmp_path],
        env={"PYTHONPATH": str(settings.BASE_DIR)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["3", str(3.0 * sum(range(1, 61)))]


def test_seconds_and_uneven_intervals(tmp_path: Path):
    add(tmp_path, *(trade(n * SECOND, float(n)) for n in range(1, 40)), symbol="A")
    reader = open_store(tmp_path)
    assert len(list(reader.scan(["A"], interval="1s"))) == 39
    assert bars_by_symbol(reader.scan(["A"], interval="7s"))["A"] == bars_of(reader, "A", None, None, "7s")
