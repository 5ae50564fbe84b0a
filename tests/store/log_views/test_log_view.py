"""First and last rows, walks and coverage, through the protocol alone, in every store."""

import random
from itertools import pairwise, product
from typing import Any

import pyarrow as pa
import pytest

from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.log_views import log_view
from store.log_views.log_view import (
    LogView,
    empty_view,
    first_row,
    last_row,
    log_coverage,
    rows_backwards,
    view_of,
)
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from tests.store.builders import DAY, NOON, SYMBOL, amendment, batch, cancel, trade


@pytest.fixture
def log(store: MarketStore) -> LogView:
    """Rows of three dates, several at one time, one of them cancelled."""
    rng = random.Random(4)
    for commit in range(3):
        rows = [
            trade(rng.choice([-1, 0, 9]) * DAY + rng.randint(0, 5), 1.0 + commit, trade_id=f"{commit}-{n}")
            for n in range(15)
        ]
        store.append(batch(*rows))
    store.append(batch(trade(20 * DAY, trade_id="last")))
    store.correct(amendment(cancel(20 * DAY, trade_id="last")))
    return view_of(store.log(TRADES, SYMBOL).at())


def test_rows_backwards_yields_every_row_once(log: LogView, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_view, "_FEW_ROWS", 1)
    for many, commit in product([1, 4, 1000], [None, 1, 4]):
        monkeypatch.setattr(log_view, "ROWS_AT_ONCE", many)
        assert_walk_gives_every_row_once(log, commit)


def assert_walk_gives_every_row_once(log: LogView, commit: int | None) -> None:
    view = view_of(log.log_of(TRADES, SYMBOL).at(commit))
    whole = view.rows(ALL_TIME)
    parts = list(rows_backwards(view))[::-1]
    assert pa.concat_tables(parts).equals(whole)
    assert all(part.num_rows for part in parts)
    times = [part.column(0).to_pylist() for part in parts]
    assert all(before[-1] < after[0] for before, after in pairwise(times))


def test_rows_backwards_starts_before_the_instant(log: LogView):
    end_ns = NOON + 9 * DAY + 3
    assert pa.concat_tables(reversed(list(rows_backwards(log, end_ns)))).equals(
        log.rows(Window(ALL_TIME.start_ns, end_ns))
    )


def test_first_and_last_row_around_an_instant(log: LogView):
    rows = log.rows(ALL_TIME).to_pylist()
    for instant in sorted({row["timestamp"] + near for row in rows for near in (0, 1)}):
        before = [row for row in rows if row["timestamp"] < instant]
        after = rows[len(before) :]
        assert only(last_row(log, instant)) == (before[-1] if before else None)
        assert only(first_row(log, instant)) == (after[0] if after else None)
    assert only(last_row(log)) == rows[-1]
    assert only(first_row(log)) == rows[0]
    assert last_row(log, ALL_TIME.start_ns) is first_row(log, ALL_TIME.end_ns) is None


def only(rows: pa.Table | None) -> dict[str, Any] | None:
    return None if rows is None else rows.to_pylist()[0]


def test_coverage_as_of_a_commit(log: LogView):
    for commit in (None, 1, 4, 5):
        found = log_coverage(view_of(log.log_of(TRADES, SYMBOL).at(commit)))
        times = log.log_of(TRADES, SYMBOL).at(commit).rows(ALL_TIME).column(0).to_pylist()
        head = log.log_of(TRADES, SYMBOL).at(commit).commit
        assert (found.first_ns, found.last_ns) == (times[0], times[-1])
        assert (found.commits, found.head) == (head.number, head)
        assert found.rows == len(times)


def test_coverage_of_a_log_with_only_cancelled_rows(store: MarketStore):
    store.append(batch(trade(0, trade_id="a")))
    store.correct(amendment(cancel(0, trade_id="a")))
    assert log_coverage(view_of(store.log(TRADES, SYMBOL).at()))[:4] == (None, None, 0, 2)
    assert log_coverage(empty_view(store.log(TRADES, SYMBOL)))[:4] == (None, None, 0, 0)


def test_an_unknown_symbol_has_no_coverage(store: MarketStore):
    with pytest.raises(UnknownSymbol):
        log_coverage(view_of(store.log(TRADES, SYMBOL).at()))
