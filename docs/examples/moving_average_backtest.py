"""A moving-average crossover over every symbol of a store, bar by bar.

    .venv/bin/python docs/examples/moving_average_backtest.py [DATA_DIR] [--interval 1min --fast 10 --slow 30 …]

A symbol is held while the mean of its last `--fast` closes is above the mean of its last `--slow` closes. A decision
at a bar's close is executed at the open of the symbol's next bar, at a cost, so no decision uses later prices.
Each symbol has the same capital; shares held at the end are valued at the last close. DATA_DIR (default: the
environment's, else `data`) is a server's folder; the server may be running. Prints the number of trades, the
profit, and the bars per second.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))  # the project runs from its folder, it is not installed

from store import open_store  # noqa: E402
from store.exceptions import StorageError  # noqa: E402
from store.reading import Reader  # noqa: E402

CAPITAL = 10_000.0
NO_DATA = """there are no trades in {folder}: run `make run` once, which loads a generated sample, or import your own with
`manage.py import`, or name another folder: docs/examples/moving_average_backtest.py DATA_DIR"""


@dataclass(slots=True)
class Crossover:
    """One symbol's averages and account. cost: a fraction of a trade's value. closes: a ring of the last closes."""

    fast: int
    slow: int
    cost: float
    closes: list[float] = field(init=False)
    fast_sum: float = 0.0
    slow_sum: float = 0.0
    bars: int = 0
    is_wanted: bool = False
    cash: float = CAPITAL
    shares: float = 0.0
    trades: int = 0

    def __post_init__(self) -> None:
        self.closes = [0.0] * self.slow

    def on_bar(self, open_: float, close: float) -> None:
        """Trade the previous bar's decision at the open, then decide at the close."""
        if self.is_wanted != (self.shares > 0):
            self.trade(open_)
        index = self.bars % self.slow
        self.slow_sum += close - self.closes[index]
        self.fast_sum += close - self.closes[index - self.fast]  # a negative index counts from the ring's end
        self.closes[index] = close
        self.bars += 1
        self.is_wanted = self.bars >= self.slow and self.fast_sum * self.slow > self.slow_sum * self.fast

    def trade(self, price: float) -> None:
        """Buy with all cash, or sell all shares."""
        if self.shares:
            self.cash += self.shares * price * (1 - self.cost)
            self.shares = 0.0
        elif self.cash > 0 and price > 0:
            self.shares = self.cash / (price * (1 + self.cost))
            self.cash = 0.0
        self.trades += 1

    def profit(self) -> float:
        """Return the profit, with shares valued at the last close."""
        return self.cash + self.shares * self.closes[(self.bars - 1) % self.slow] - CAPITAL


def run(reader: Reader, symbol: str, strategy: Crossover, options: argparse.Namespace) -> None:
    """Pass each bar of a symbol to its strategy, in order of time. The symbols do not depend on each other."""
    bars = reader.bars(symbol, options.start, options.end, options.interval, policy=options.policy)
    for open_, close in zip(bars.open.tolist(), bars.close.tolist(), strict=True):
        strategy.on_bar(open_, close)


def backtest(reader: Reader, options: argparse.Namespace) -> str:
    """Run the backtest and return its report. Raises ValueError and `StorageError`."""
    symbols = options.symbols or reader.symbols()
    strategies = [Crossover(options.fast, options.slow, options.cost / 10_000) for _ in symbols]
    began = time.perf_counter()
    for symbol, strategy in zip(symbols, strategies, strict=True):
        run(reader, symbol, strategy, options)
    seconds = time.perf_counter() - began
    lines = [f"{'symbol':<12}{'bars':>10}{'trades':>8}{'profit':>12}"]
    ranked = sorted(zip(symbols, strategies, strict=True), key=lambda pair: pair[1].profit(), reverse=True)
    lines += [
        f"{name:<12}{s.bars:>10,}{s.trades:>8,}{s.profit():>12,.2f}" for name, s in ranked[: options.top]
    ]
    if len(ranked) > options.top:
        lines.append(f"and {len(ranked) - options.top:,} more symbols")
    bars, trades = sum(s.bars for s in strategies), sum(s.trades for s in strategies)
    profit = sum(s.profit() for s in strategies)
    lines += [
        f"{trades:,} trades of {len(symbols):,} symbols, profit {profit:,.2f} on {CAPITAL * len(symbols):,.2f}",
        f"{bars:,} bars in {seconds:.3f} s: {bars / seconds:,.0f} bars per second",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run from the command line; return 0, or 1 if there are no trades. Exits with 2 for wrong arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    folder = os.environ.get("DATA_DIR", PROJECT / "data")
    parser.add_argument("data_dir", nargs="?", default=folder, type=Path, metavar="DATA_DIR")
    parser.add_argument("--symbols", nargs="+", help="default: all")
    parser.add_argument("--interval", default="1min", help="1s, 1min, 5min, 15min, 1h, 1d, … (default 1min)")
    parser.add_argument("--start", help="an ISO 8601 time (default: the first trade)")
    parser.add_argument("--end", help="an ISO 8601 time, exclusive (default: after the last trade)")
    parser.add_argument("--fast", type=int, default=10, help="closes in the fast average (default 10)")
    parser.add_argument("--slow", type=int, default=30, help="closes in the slow average (default 30)")
    parser.add_argument(
        "--cost", type=float, default=1.0, help="cost of a trade, in basis points (default 1)"
    )
    parser.add_argument("--policy", help="bar policy: all, us_equities (default: the instrument's)")
    parser.add_argument("--top", type=int, default=10, help="symbols that are listed (default 10)")
    options = parser.parse_args(arguments)
    if not 0 < options.fast < options.slow:
        parser.error("--fast is at least 1 and less than --slow")
    if not options.data_dir.is_dir() or not open_store(options.data_dir).symbols():
        print(NO_DATA.format(folder=options.data_dir), file=sys.stderr)
        return 1
    try:
        print(backtest(open_store(options.data_dir), options))
    except (ValueError, StorageError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
