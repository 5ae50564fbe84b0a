"""Panels, against the bars of each symbol."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from store import open_store
from store.exceptions import UnknownSymbol
from store.reading import Reader
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


def test_a_missing_bar_is_nan(sparse: Reader):
    nan, window = np.nan, (NOON, NOON + 10 * MINUTE)
    panel = sparse.panel(["C", "A", "B"], *window)
    np.testing.assert_array_equal(panel.values, [[nan, 10, nan], [nan, nan, 20], [nan, 12, nan]])
    assert sparse.panel(["C"], *window).values.shape == (0, 1)
    assert sparse.panel([], *window).values.shape == (0, 0)


def test_a_panel_of_a_past_time_is_empty_before_the_first_commit(sparse: Reader):
    assert sparse.panel(["A", "B"], as_of="2020-01-01").values.shape == (0, 2)


def test_wrong_arguments_are_refused(sparse: Reader):
    with pytest.raises(UnknownColumn, match="close"):
        sparse.panel(["A"], field="closes")
    with pytest.raises(InvalidUniverse, match="a list of symbols"):
        sparse.panel("A")
    with pytest.raises(InvalidUniverse, match="twice"):
        sparse.panel(["A", "a"])
    with pytest.raises(UnknownSymbol):
        sparse.panel(["A", "NOBODY"])
