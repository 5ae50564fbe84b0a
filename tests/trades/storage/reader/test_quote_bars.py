"""Quote bars of a window open at the quote that was standing before it, on whichever date that was."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.trades.storage.builders import DAY, MINUTE, NOON, SECOND
from trades.datasets import DATASETS, Column, Dataset, Kind
from trades.storage import open_store
from trades.storage.csv import CsvStore
from trades.storage.protocol import ALL_TIME, Append, Window
from trades.storage.quote_bars import quote_bars_of
from trades.storage.reading.dates import LogView
from trades.storage.reading.quotes import windowed_quote_bars

QUOTES = Dataset(
    name="quotes",
    columns=(
        Column("timestamp", Kind.TIME, required=True),
        *(Column(name, Kind.NUMBER) for name in ("bid", "bid_size", "ask", "ask_size")),
        Column("exchange", Kind.TEXT),
    ),
)


def quote(
    at: int, bid: float | None = None, ask: float | None = None, exchange: str | None = None
) -> dict[str, Any]:
    sizes = {"bid_size": None if bid is None else 1.0, "ask_size": None if ask is None else 2.0}
    return {"timestamp": NOON + at, "bid": bid, "ask": ask, "exchange": exchange, **sizes}


def quote_log(folder: Path, *rows: dict[str, Any]) -> LogView:
    store = CsvStore(folder)
    store.append(
        Append(QUOTES, "AAPL", pa.RecordBatch.from_pylist(list(rows), schema=QUOTES.schema), "key:1")
    )
    return LogView(store, QUOTES, "AAPL")


def test_sides_are_carried_in_from_different_dates(tmp_path: Path):
    log = quote_log(
        tmp_path,
        quote(-3 * DAY, bid=10.0),
        quote(-DAY, ask=12.0),
        quote(5 * SECOND, bid=10.5),
        quote(DAY, bid=99.0),
    )
    bars = windowed_quote_bars(log, Window(NOON, NOON + MINUTE), MINUTE, None)
    assert (bars.bid_open.tolist(), bars.bid_close.tolist()) == ([10.0], [10.5])
    assert (bars.ask_open.tolist(), bars.ask_close.tolist()) == ([12.0], [12.0])


def test_venues_are_not_mixed(tmp_path: Path):
    log = quote_log(
        tmp_path,
        quote(-DAY, bid=10.0, exchange="Q"),
        quote(-1, bid=20.0, exchange="N"),
        quote(1, ask=30.0, exchange="Q"),
    )
    bars = windowed_quote_bars(log, Window(NOON, NOON + MINUTE), MINUTE, "Q")
    assert (bars.bid_open.tolist(), bars.ask_open.tolist()) == ([10.0], [30.0])
    assert windowed_quote_bars(log, Window(NOON, NOON + MINUTE), MINUTE, None).bid_open.tolist() == [20.0]
    assert len(windowed_quote_bars(log, Window(NOON, NOON + MINUTE), MINUTE, "N")) == 0


@pytest.mark.parametrize("seed", range(5))
def test_bars_of_windows_are_those_of_the_whole(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, 4 * DAY, 200))
    sides = rng.integers(0, 3, 200)
    log = quote_log(
        tmp_path,
        *(
            quote(int(t), bid=float(t % 97) if side < 2 else None, ask=float(t % 89) if side else None)
            for t, side in zip(at, sides, strict=True)
        ),
    )
    interval = 60 * MINUTE
    whole = quote_bars_of(log.rows(ALL_TIME), interval)
    for start in range(NOON, NOON + 4 * DAY, 9 * interval):
        window = Window(start, start + 9 * interval)
        inside = slice(*np.searchsorted(whole.time_ns, [window.start_ns, window.end_ns]))
        bars = windowed_quote_bars(log, window, interval, None)
        for name in bars.__slots__:
            np.testing.assert_array_equal(getattr(bars, name), getattr(whole, name)[inside], err_msg=name)


def test_the_readers_quote_bars_are_cut_at_whole_intervals(tmp_path: Path):
    declared = DATASETS["quotes"]
    rows = [quote(-DAY, bid=10.0, ask=11.0, exchange="Q"), quote(30 * SECOND, bid=10.5, exchange="Q")]
    filled = [{name: row.get(name) for name in declared.schema.names} for row in rows]
    batch = pa.RecordBatch.from_pylist(filled, schema=declared.schema)
    CsvStore(tmp_path).append(Append(declared, "AAPL", batch, "key:1"))
    reader = open_store(tmp_path)
    bars = reader.quote_bars("aapl", NOON + SECOND, NOON + 2 * SECOND, "1min", "Q")
    assert (bars.time_ns.tolist(), bars.bid_open.tolist(), bars.ask_close.tolist()) == (
        [NOON],
        [10.0],
        [11.0],
    )
    frame: Any = reader.quote_bars("AAPL", interval="1d", frame=True)
    assert frame["bid_close"].tolist() == [10.0, 10.5]
