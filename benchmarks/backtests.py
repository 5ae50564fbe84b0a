"""A crossover over minutes and over trades, against backtesting.py and nautilus_trader.

All have the same signals, fill at the next open and pay nothing. backtesting.py must have the same fills and the
same equity to the cent. The peers are given rows in memory, of which pandas makes minutes if they are trades, and the signals;
the time here includes reading the files, the strategy's means and every check of an order. Processor time.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from django.conf import settings

from benchmarks.generated_trades import Unsynced
from benchmarks.processes import BASE_DIR
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from store import open_store
from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.instruments import CRYPTO, Instrument
from store.protocol import Append, Dedupe
from store.timestamps import MINUTE_NS
from trading.core.account_store import RecordedEvent
from trading.core.configuration import RiskConfig
from trading.core.events import Executed
from trading.strategies.backtest import Backtest, BacktestInputs

PEER_VENV = BASE_DIR / ".venv-bench-backtests"
_SYMBOL, _QUANTITY, _CASH = "BENCH", 100, 1_000_000
_FIRST_NS = 1_577_836_800_000_000_000  # 2020
_TRADES_A_MINUTE = 10
# fast and slow mean of the crossovers: the faster they are, the more of the time is spent on orders.
_MEANS = ((50, 200), (1_000, 5_000))
_GOALS = {"backtesting": Goal(most=0.5), "nautilus": None}
_NAMES = {"backtesting": "backtesting.py", "nautilus": "nautilus_trader"}
_APPEND_ROWS = 1_000_000
# No limits, as in a backtest by default. All programs fill a whole order at the next open.
_UNLIMITED = RiskConfig(latency_ms=0, participation=Decimal(100)).without_limits()
# Zones that no drawdown reaches: the account is valued at the end of each interval.
_ZONES = _UNLIMITED.without_limits(but=("caution", "danger", "halt"))

Floats = npt.NDArray[np.float64]
Minutes = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class _Run:
    """Processor seconds, the number of fills, and the equity at the end."""

    seconds: float
    fills: int
    equity: float


def measure_backtests(sizes: Sizes) -> Iterator[Row]:
    """Yield the ratios against each peer, for several means, over minutes and over trades."""
    if not (PEER_VENV / ".installed").exists():
        yield Note("Left out: backtests: requirements-bench-backtests.txt is not installed.")
        return
    trades = sizes.trades
    minutes = trades // _TRADES_A_MINUTE
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        bars = _minutes(minutes)
        stores = {"minutes": folder / "minutes", "trades": folder / "trades"}
        _store_minutes(stores["minutes"], bars)
        _store_trades(stores["trades"], bars)
        for means in _MEANS:
            signals = _signals(bars["close"], *means)
            files = {"minutes": folder / "minutes.npz", "trades": folder / "trades.npz"}
            np.savez(files["minutes"], **bars, signal=signals)
            np.savez(files["trades"], **_trades(bars), signal=signals)
            for kind, path in stores.items():
                rows = minutes if kind == "minutes" else trades
                label = f"a backtest of {rows:,} {kind}"
                # The slow ones have one case, and are run once.
                is_first = means == _MEANS[0] and kind == "minutes"
                for peer in _NAMES if is_first else ("backtesting",):
                    run = partial(_own, path, means, bars)
                    yield from _compared(label, peer, run, files[kind], sizes)
                if is_first:
                    seconds = _own(path, means, bars, _ZONES).seconds
                    yield Note(
                        f"{label} with drawdown zones: {seconds:.1f} s, valued at the end of each interval"
                    )


def _compared(label: str, peer: str, run: Callable[[], _Run], file: Path, sizes: Sizes) -> Iterator[Row]:
    rounds = sizes.rounds if peer == "backtesting" else 1
    own: list[float] = []
    others: list[float] = []
    fills = 0
    for _ in range(rounds):
        here, beside = run(), _peer(peer, file)
        same = here.fills == beside.fills and abs(here.equity - beside.equity) < 0.005
        if not same and peer != "nautilus":
            raise UnexpectedAnswer(f"{label}: {here}; {peer}: {beside}")
        own.append(here.seconds)
        others.append(beside.seconds)
        fills = here.fills
        if peer == "nautilus":
            yield Note(
                f"{label}: {here.fills:,} fills and an equity of {here.equity:,.2f} here; {beside.fills:,} and "
                f"{beside.equity:,.2f} by nautilus_trader"
            )
    yield Ratio(
        f"{label}, {fills:,} fills, against {_NAMES[peer]}, processor time",
        here=median(own), beside=median(others), unit="s", goal=_GOALS[peer], rival=True,
    )  # fmt: skip


def _own(path: Path, means: tuple[int, int], minutes: Minutes, config: RiskConfig = _UNLIMITED) -> _Run:
    """Run it with all that it needs: the store is opened, and rows are read."""
    fills = 0

    def keep(recorded: RecordedEvent) -> None:
        nonlocal fills
        fills += isinstance(recorded.event, Executed)

    inputs = BacktestInputs(
        strategy="crossover",
        symbols=(_SYMBOL,),
        start_ns=_FIRST_NS,
        end_ns=_FIRST_NS + (len(minutes["close"]) + 1) * MINUTE_NS,
        parameters={"fast": means[0], "slow": means[1], "quantity": _QUANTITY},
        cash=Decimal(_CASH),
        config=config,
        fee_basis_points=Decimal(0),
        slippage_basis_points=Decimal(0),
    )
    if not settings.configured:
        settings.configure()
    settings.STRATEGIES_DIR = path
    began = time.process_time()
    state = Backtest(inputs, open_store(path), keep).run()
    seconds = time.process_time() - began
    held = sum(float(position.quantity) for position in state.positions.values())
    return _Run(seconds, fills, float(state.cash) + held * float(minutes["close"][-1]))


def _peer(name: str, file: Path) -> _Run:
    command = [
        str(PEER_VENV / "bin" / "python"),
        "-m",
        "benchmarks.backtests_peer",
        name,
        str(file),
        str(_QUANTITY),
    ]
    output = subprocess.run(command, cwd=BASE_DIR, capture_output=True, check=False)
    if output.returncode:
        raise UnexpectedAnswer(output.stderr.decode()[-500:])
    return _Run(*json.loads(output.stdout.splitlines()[-1]))


def _minutes(count: int) -> Minutes:
    """Return a random walk of whole cents."""
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.integers(-5, 6, count))
    close = walk - min(int(walk.min()), 0) + 10_000
    open_ = np.append(close[0], close[:-1]) + rng.integers(-1, 2, count)
    cents = {
        "open": open_,
        "high": np.maximum(open_, close) + 2,
        "low": np.minimum(open_, close) - 2,
        "close": close,
    }
    return {name: values / 100 for name, values in cents.items()}


def _signals(close: Floats, fast: int, slow: int) -> Floats:
    """Return 1 where the strategy buys and -1 where it closes, by sums of whole ticks as its own."""
    sums = np.concatenate([[0], np.cumsum(np.round(close * 1e6).astype(np.int64))])
    fasts, slows = (sums[slow:] - sums[slow - each : len(sums) - each] for each in (fast, slow))
    is_above = fasts * slow > slows * fast
    changed = np.flatnonzero(is_above[1:] != is_above[:-1]) + 1
    signals = np.zeros(len(close))
    signals[changed + slow - 1] = np.where(is_above[changed], 1, -1)
    first = np.flatnonzero(signals)[:1]
    signals[first] = np.maximum(signals[first], 0)
    return signals


def _store_minutes(path: Path, minutes: Minutes) -> None:
    count = len(minutes["close"])
    columns = {"timestamp": _starts(count), **minutes, "volume": np.full(count, 1e6)}
    _append(path, BARS, columns | {"resolution": np.full(count, "1m")})


def _store_trades(path: Path, minutes: Minutes) -> None:
    rows = _trades(minutes)
    volume = np.full(len(rows["price"]), 1e6)
    _append(path, TRADES, {"timestamp": rows["time_ns"], "price": rows["price"], "volume": volume})


def _trades(minutes: Minutes) -> dict[str, npt.NDArray[Any]]:
    """Return trades whose first, largest, smallest and last ones are those of the minutes."""
    count, each = len(minutes["close"]), _TRADES_A_MINUTE
    prices = np.repeat(minutes["close"], each).reshape(count, each)
    for place, name in enumerate(("open", "high", "low")):
        prices[:, place] = minutes[name]
    times = _starts(count)[:, None] + MINUTE_NS // (each + 1) * np.arange(1, each + 1)
    return {"time_ns": times.ravel(), "price": prices.ravel()}


def _starts(count: int) -> npt.NDArray[np.int64]:
    return _FIRST_NS + np.arange(count) * MINUTE_NS


def _append(path: Path, dataset: Dataset, columns: dict[str, npt.NDArray[Any]]) -> None:
    path.mkdir()
    store = CsvStore(path, disk=Unsynced())
    store.set_instrument(
        Instrument(symbol=_SYMBOL, instrument_class=CRYPTO, settle=0.0, currency="USD", tick_size=0.01)
    )
    count = len(columns["timestamp"])
    for begin in range(0, count, _APPEND_ROWS):
        part = {name: values[begin : begin + _APPEND_ROWS] for name, values in columns.items()}
        rows = len(part["timestamp"])
        arrays = [
            pa.array(part[f.name], f.type) if f.name in part else pa.nulls(rows, f.type)
            for f in dataset.schema
        ]
        batch = pa.record_batch(arrays, schema=dataset.schema)
        store.append(Append(dataset, _SYMBOL, batch, "bench", Dedupe.NONE))
    store.derive(dataset, _SYMBOL)
