"""Panels and cross-sections, against the bars and trades of each symbol."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from store import open_store
from store.reading import Reader
from store.reading.columns import NULL
from store.reading.exceptions import InvalidUniverse, UnknownColumn
from store.reading.panel import FIELDS
from tests.store.builders import MINUTE, NOON, trade
from tests.store.reading.stores import SYMBOLS, add

DAY = ("2025-01-09", "2025-01-10")


@pytest.mark.parametrize("field", FIELDS)
def test_a_panel_has_the_bars_of_each_symbol(sample: Reader, field: str):
    panel = sample.panel(SYMBOLS, *DAY, "5min", field)
    frames: dict[str, Any] = {symbol: sample.bars(symbol, *DAY, "5min", frame=True) for symbol in SYMBOLS}
    wanted = pd.DataFrame({symbol: frame[field] for symbol, frame in frames.items()})
    np.testing.assert_array_equal(panel.values, wanted.to_numpy(dtype=float))
    assert panel.time_ns.tolist() == wanted.index.as_unit("ns").asi8.tolist()
    pd.testing.assert_frame_equal(panel.frame(), wanted.astype(float), check_names=False, check_freq=False)


@pytest.fixture
def sparse(tmp_path: Path) -> Reader:
    """A trades in minutes 0 and 2, B in minute 1, C never in the window."""
    add(tmp_path, trade(0, 10.0, 5.0), trade(2 * MINUTE, 12.0, 7.0), symbol="A")
    add(tmp_path, trade(MINUTE, 20.0), symbol="B")
    add(tmp_path, trade(60 * MINUTE, 30.0), symbol="C")
    return open_store(tmp_path)


def test_a_missing_bar_is_nan_and_may_be_filled(sparse: Reader):
    nan, window = np.nan, (NOON, NOON + 10 * MINUTE)
    symbols = ["C", "A", "B"]
    np.testing.assert_array_equal(
        sparse.panel(symbols, *window).values, [[nan, 10, nan], [nan, nan, 20], [nan, 12, nan]]
    )
    filled = sparse.panel(symbols, *window, field="high", fill=True)
    np.testing.assert_array_equal(filled.values, [[nan, 10, nan], [nan, 10, 20], [nan, 12, 20]])
    volume = sparse.panel(symbols, *window, field="volume", fill=True)
    np.testing.assert_array_equal(volume.values, [[nan, 5, nan], [nan, 0, 1], [nan, 7, 0]])
    assert sparse.panel(["C"], *window).values.shape == (0, 1)


def test_a_filled_panel_has_the_closes_of_a_filled_scan(sample: Reader):
    panel = sample.panel(SYMBOLS, *DAY, "1min", fill=True)
    for row, (at, view) in enumerate(sample.scan(SYMBOLS, *DAY, "1min", fill=True)):
        assert panel.time_ns[row] == at
        np.testing.assert_array_equal(panel.values[row][view.place], view.close)


def test_a_panel_of_a_past_time_is_empty_before_the_first_commit(sparse: Reader):
    assert sparse.panel(["A", "B"], as_of="2020-01-01").values.shape == (0, 2)


def test_a_cross_section_has_each_symbol_s_last_trade(sparse: Reader):
    section = sparse.cross_section(NOON + 2 * MINUTE - 1, ["B", "A", "C"])
    np.testing.assert_array_equal(section.price, [20, 10, np.nan])
    assert section.time_ns.tolist() == [NOON + MINUTE, NOON, NULL]
    assert sparse.cross_section(NOON + 2 * MINUTE).price[0] == 12
    recent: Any = sparse.cross_section(NOON + 3 * MINUTE, ["A", "B"], tolerance="1min", frame=True)
    assert recent["price"].isna().tolist() == [False, True]
    assert recent["timestamp"].isna().tolist() == [False, True]


def test_wrong_arguments_are_refused(sparse: Reader):
    with pytest.raises(UnknownColumn, match="close"):
        sparse.panel(["A"], field="closes")
    with pytest.raises(InvalidUniverse):
        sparse.panel("A")
