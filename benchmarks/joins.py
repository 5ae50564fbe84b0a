"""An as-of join against polars, and a panel of many symbols against pandas.

Processor time is compared, because polars uses several threads. polars joins columns in memory; the store's time
includes reading its files, which are in the system's file cache.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import feather

from benchmarks.generated_trades import Unsynced
from benchmarks.peers import PEER_VENV
from benchmarks.processes import BASE_DIR
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from store import open_store
from store.csv import CsvStore
from store.datasets import QUOTES, TRADES
from store.declarations import Dataset
from store.protocol import ALL_TIME, Append, Dedupe
from store.reading import Reader
from store.timestamps import SECOND_NS

_DAY_NS = 1_736_121_600 * SECOND_NS  # a Monday
_OPEN_NS = _DAY_NS + 870 * 60 * SECOND_NS
_MINUTES = 390
_SYMBOL = "JOINED"
_QUOTES_PER_TRADE = 5
_PRINTS_A_MINUTE = 4
_COLUMNS = ("price", "volume", "quote_timestamp", "bid", "bid_size", "ask", "ask_size")
_PANEL_SYMBOLS_EACH = 10  # of 200 symbols read in process 2,000

Answer = TypeVar("Answer")
Values = dict[str, npt.NDArray[np.generic]]


def measure_joins(sizes: Sizes) -> Iterator[Row]:
    """Yield the ratios of the join, if polars is installed, and of the panel."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if (PEER_VENV / ".installed").exists():
            yield _measure_join(Path(folder), sizes)
        else:
            yield Note("Left out: polars: requirements-bench.txt is not installed in .venv-bench.")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield from _measure_panel(Path(folder), sizes)


def _measure_join(folder: Path, sizes: Sizes) -> Row:
    trades = sizes.trades // 10
    store, rng = CsvStore(folder, disk=Unsynced()), np.random.default_rng(3)
    _append(store, TRADES, _SYMBOL, _trades(rng, _times(rng, trades)))
    _append(store, QUOTES, _SYMBOL, _quotes(rng, trades * _QUOTES_PER_TRADE))
    for dataset in (TRADES, QUOTES):
        table = store.log(dataset, _SYMBOL).at().rows(ALL_TIME)
        feather.write_feather(table, folder / f"{dataset.name}.arrow", compression="uncompressed")
    reader, rounds = open_store(folder), sizes.rounds + 2
    own: list[float] = []
    peers: list[float] = []
    for turn in range(rounds):
        seconds, total = _processor_seconds(lambda: _joined(reader))
        peer_seconds, peer_total = _polars(folder)
        if not np.isclose(total, peer_total):
            raise UnexpectedAnswer(f"polars joins to {peer_total}, the store to {total}")
        if turn:
            own.append(seconds)
            peers.append(peer_seconds)
    return Ratio(
        f"asof_join() of {trades / 1e6:g} million trades with {_QUOTES_PER_TRADE} times as many quotes, against"
        " polars in memory, processor time",
        here=median(own) * 1e3, beside=median(peers) * 1e3, unit="ms", goal=Goal(most=2), rival=True,
    )  # fmt: skip


def _joined(reader: Reader) -> float:
    rows = reader.asof_join("trades", "quotes", _SYMBOL, columns=_COLUMNS)
    return float(np.nansum(rows.bid) + np.nansum(rows.ask_size))


def _polars(folder: Path) -> tuple[float, float]:
    command = [str(PEER_VENV / "bin" / "python"), "-m", "benchmarks.join_peer", str(folder)]
    output = subprocess.run(command, cwd=BASE_DIR, capture_output=True, check=False)
    if output.returncode:
        raise UnexpectedAnswer(output.stderr.decode()[-500:])
    seconds, total = json.loads(output.stdout)
    return seconds, total


def _measure_panel(folder: Path, sizes: Sizes) -> Iterator[Row]:
    symbols = [f"S{number:04}" for number in range(sizes.symbols * _PANEL_SYMBOLS_EACH)]
    store, rng = CsvStore(folder / "store", disk=Unsynced()), np.random.default_rng(5)
    minutes = np.arange(_MINUTES)[:, None] * 60 * SECOND_NS + np.arange(_PRINTS_A_MINUTE) * 13 * SECOND_NS
    for symbol in symbols:
        _append(store, TRADES, symbol, _trades(rng, _OPEN_NS + minutes.ravel()))
    reader = open_store(folder / "store")
    _write_csv(reader, symbols, folder)
    panels = {
        "one CSV file of minute bars": lambda: pd.read_csv(folder / "bars.csv", parse_dates=["timestamp"]),
        "a CSV file per symbol": lambda: pd.concat(
            [pd.read_csv(folder / f"{each}.csv", parse_dates=["timestamp"]) for each in symbols]
        ),
    }
    own = reader.panel(symbols, frame=True)
    for label, read in panels.items():
        # The store has a file per symbol, too.
        goal = Goal(least=20) if label == "a CSV file per symbol" else None
        pairs: list[tuple[float, float]] = []
        for _ in range(sizes.rounds):
            seconds, _ = _processor_seconds(lambda: reader.panel(symbols))
            peer_seconds, pivoted = _processor_seconds(
                lambda read=read: read().pivot(index="timestamp", columns="symbol", values="close")
            )
            if not np.array_equal(pivoted.to_numpy(), own.to_numpy(), equal_nan=True):
                raise UnexpectedAnswer("pandas has another panel")
            pairs.append((seconds, peer_seconds))
        yield Ratio(
            f"panel() of {len(symbols):,} symbols with {_MINUTES} minutes, against reading {label} and pivoting in pandas",
            here=1 / median(seconds for seconds, _ in pairs),
            beside=1 / median(seconds for _, seconds in pairs),
            unit="panels/s", goal=goal, rival=True,
        )  # fmt: skip


def _write_csv(reader: Reader, symbols: list[str], folder: Path) -> None:
    names = ["open", "high", "low", "close", "volume"]
    frames = [reader.bars(symbol, frame=True)[names].assign(symbol=symbol) for symbol in symbols]
    for symbol, frame in zip(symbols, frames, strict=True):
        frame.to_csv(folder / f"{symbol}.csv")
    pd.concat(frames).to_csv(folder / "bars.csv")


def _processor_seconds(work: Callable[[], Answer]) -> tuple[float, Answer]:
    began = time.process_time()
    answer = work()
    return time.process_time() - began, answer


def _times(rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    return _OPEN_NS + np.sort(rng.integers(0, _MINUTES * 60 * SECOND_NS, count))


def _trades(rng: np.random.Generator, time_ns: npt.NDArray[np.int64]) -> Values:
    count = len(time_ns)
    prices = 100 + np.cumsum(rng.integers(-5, 6, count)) / 100
    return {"timestamp": time_ns, "price": prices, "volume": rng.integers(1, 500, count).astype(np.float64)}


def _quotes(rng: np.random.Generator, count: int) -> Values:
    bid = 100 + rng.integers(0, 100, count) / 100
    bid_size, ask_size = rng.integers(1, 500, (2, count)).astype(np.float64)
    return {
        "timestamp": _times(rng, count), "bid": bid, "bid_size": bid_size, "ask": bid + 0.01, "ask_size": ask_size,
    }  # fmt: skip


def _append(store: CsvStore, dataset: Dataset, symbol: str, values: Values) -> None:
    count = len(values["timestamp"])
    columns = [
        pa.array(values[f.name]) if f.name in values else pa.nulls(count, f.type) for f in dataset.schema
    ]
    batch = pa.record_batch(columns, schema=dataset.schema)
    store.append(Append(dataset, symbol, batch, "bench", Dedupe.NONE))
    store.derive(dataset, symbol)
