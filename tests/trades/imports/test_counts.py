"""Equal rows are counted over the whole file, in whatever order and blocks they come: against a Counter."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.datasets import TRADES
from store.timestamps import parse_timestamp
from tests.chance import examples
from tests.trades.imports.files import imported, line_of, stored_rows, written
from trades.exceptions import BadRow, ImportRefused
from trades.imports import blocks, run, sort
from trades.stores import market_store

pytestmark = pytest.mark.system

NOON = parse_timestamp("2025-01-02T12:00:00Z")
SECOND = 10**9
DAY = 86_400 * SECOND
Rows = list[tuple[int, float, float]]

_rows = st.tuples(
    st.integers(0, 5).flatmap(lambda step: st.sampled_from([NOON + step * SECOND, NOON + step * DAY // 3])),
    st.sampled_from([1.0, 2.5]),
    st.sampled_from([1.0, 100.0]),
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 300)
    monkeypatch.setattr(sort, "RUN_ROWS", 15)
    monkeypatch.setattr(sort, "PIECE_ROWS", 3)
    monkeypatch.setattr(sort, "ROWS_AT_ONCE", 5)


@settings(max_examples=examples(60), deadline=None)
@given(
    before=st.lists(_rows, max_size=12), now=st.lists(_rows, min_size=1, max_size=60), is_sorted=st.booleans()
)
def test_what_is_stored_is_the_larger_count(tmp_path_factory, before: Rows, now: Rows, is_sorted: bool):
    folder = tmp_path_factory.mktemp("counts")
    with_store = {"default": {"BACKEND": "store.csv.CsvStore", "OPTIONS": {"path": folder / "store"}}}
    from django.test import override_settings  # noqa: PLC0415

    with override_settings(MARKET_STORES=with_store):
        for name, rows in (("before", before), ("now", sorted(now) if is_sorted else now)):
            if rows:
                path = written(folder / f"{name}.csv", [line_of(*row) for row in rows])
                done = imported(path, symbol="A")
                assert done.rows == len(rows)
        assert stored_rows("A") == Counter(before) | Counter(now)
        assert done.stored == sum((Counter(now) - Counter(before)).values())
        assert imported(path, symbol="A").stored == 0
    shutil.rmtree(folder)


def generated(rows: int, *, seed: int = 1) -> Rows:
    rng = np.random.default_rng(seed)
    times = np.sort(NOON + rng.integers(0, 3 * DAY // SECOND, rows) * SECOND)
    return list(
        zip(
            times.tolist(),
            rng.choice([1.0, 2.0], rows).tolist(),
            rng.choice([1.0, 5.0], rows).tolist(),
            strict=True,
        )
    )


def test_a_file_in_order_goes_straight_to_the_store(store_path: Path, tmp_path: Path, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("a file in order is not sorted")

    monkeypatch.setattr(run, "SortedRuns", never)
    rows = generated(500)
    path = written(tmp_path / "A.csv", [line_of(*row) for row in rows])
    assert imported(path).stored == 500
    assert stored_rows("A") == Counter(rows)
    assert market_store().log(TRADES, "A").head.number > 10


def test_a_file_that_goes_back_late_is_sorted_as_a_whole(store_path: Path, tmp_path: Path):
    rows = generated(500)
    rows += [*rows[:3], (NOON - DAY, 7.0, 7.0)]
    path = written(tmp_path / "A.csv", [line_of(*row) for row in rows])
    done = imported(path)
    assert (done.rows, done.stored, done.duplicates) == (504, 504, 0)
    assert stored_rows("A") == Counter(rows)


def test_rows_of_one_time_may_fill_many_blocks(store_path: Path, tmp_path: Path):
    rows: Rows = [(NOON, 1.0, float(place % 7)) for place in range(200)]
    path = written(tmp_path / "A.csv", [line_of(*row) for row in rows])
    assert imported(path).stored == 200
    assert stored_rows("A") == Counter(rows)


def test_more_rows_of_one_time_than_fit_are_refused(store_path: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(blocks, "EQUAL_TIMES_LIMIT", 100)
    path = written(tmp_path / "A.csv", [line_of(NOON, 1.0, 1.0)] * 150)
    with pytest.raises(ImportRefused, match="more than 100 rows have the time"):
        imported(path)


def test_a_bad_row_leaves_what_blocks_before_it_stored(store_path: Path, tmp_path: Path):
    rows = generated(100)
    path = written(tmp_path / "A.csv", [*(line_of(*row) for row in rows), "x,1,1"])
    with pytest.raises(BadRow, match="line 102") as bad:
        imported(path)
    before = sum(stored_rows("A").values())
    assert 0 < before == bad.value.stored < 100
    written(path, [line_of(*row) for row in rows])
    assert imported(path).stored == 100 - before
    assert stored_rows("A") == Counter(rows)
