"""Runs one strategy on bars as they are known now and as they were known then, and prints where it looks ahead.

    .venv/bin/python docs/examples/lookahead_meter.py [DATA_DIR] [--symbols AAPL … --interval 1min --start … --end …]

The strategy buys when a bar's volume is more than `--times` the mean of the last `--bars` volumes and the bar rises,
and sells when a bar with such a volume falls. It is run twice over the same commits. A decision that differs was made
with data that could not have been known: a late print, a correction, volume that was credited later. DATA_DIR
(default: the environment's, else `data`) is a server's folder; the server may be running.
"""

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))  # the project runs from its folder, it is not installed

from store import open_store  # noqa: E402
from store.exceptions import StorageError  # noqa: E402
from store.reading import Reader  # noqa: E402


class Bar(NamedTuple):
    """A bar of a symbol. time_ns: its begin, nanoseconds UTC."""

    time_ns: int
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float


class Decision(NamedTuple):
    """What a strategy decides at the end of the bar that begins at `time_ns` (nanoseconds UTC)."""

    time_ns: int
    symbol: str
    action: str


class Difference(NamedTuple):
    """The first bar at which the actions differ (None where there is none), and how many differ of how many."""

    time_ns: int
    symbol: str
    now: str | None
    then: str | None
    differing: int
    decisions: int


Strategy = Callable[[Iterable[Bar]], Iterable[Decision]]


def difference(strategy: Strategy, bars: Callable[[str], Iterable[Bar]]) -> Difference | None:
    """Return how a strategy's decisions differ between both kinds of knowledge; None if they are the same.

    bars: returns each symbol's bars in order, with the knowledge `now` or `then`. The strategy must decide by nothing
    else.
    """
    now, then = (
        {(each.time_ns, each.symbol): each.action for each in strategy(bars(knowledge))}
        for knowledge in ("now", "then")
    )
    differing = sorted(bar for bar in now | then if now.get(bar) != then.get(bar))
    if not differing:
        return None
    first = differing[0]
    return Difference(*first, now.get(first), then.get(first), len(differing), len(now | then))


def volume_breakout(bars: Iterable[Bar], *, count: int, times: float) -> Iterator[Decision]:
    """Yield the decisions of the strategy that the command runs. count: the volumes in the mean."""
    volumes: dict[str, deque[float]] = {}
    for bar in bars:
        last = volumes.setdefault(bar.symbol, deque(maxlen=count))
        if len(last) == count and bar.volume > times * sum(last) / count and bar.close != bar.open:
            yield Decision(bar.time_ns, bar.symbol, "buy" if bar.close > bar.open else "sell")
        last.append(bar.volume)


def report(reader: Reader, options: argparse.Namespace) -> tuple[str, bool]:
    """Run the strategy twice; return the report, and whether decisions differ. Raises ValueError and `StorageError`."""
    as_of = time.time_ns()  # so that both runs see the same commits

    def bars(knowledge: str) -> Iterator[Bar]:
        for symbol in options.symbols or reader.symbols():
            found = reader.bars(
                symbol,
                options.start,
                options.end,
                options.interval,
                policy=options.policy,
                as_of=as_of,
                knowledge=knowledge,
            )
            columns = (getattr(found, name).tolist() for name in ("open", "high", "low", "close", "volume"))
            for time_ns, *values in zip(found.time_ns.tolist(), *columns, strict=True):
                yield Bar(time_ns, symbol, *values)

    found = difference(lambda each: volume_breakout(each, count=options.bars, times=options.times), bars)
    if found is None:
        return "the decisions are the same: nothing that the strategy used was known later", False
    instant = datetime.fromtimestamp(found.time_ns // 10**9, UTC).isoformat()
    text = (
        f"the first decision that differs is at the bar of {instant}, {found.symbol}:"
        f" {found.now or 'nothing'} now, {found.then or 'nothing'} then\n"
        f"{found.differing:,} of {found.decisions:,} decisions differ"
    )
    return text, True


def main(arguments: list[str]) -> int:
    """Run from the command line; return 0 if the decisions are the same, else 1. Exits with 2 for wrong arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    folder = os.environ.get("DATA_DIR", PROJECT / "data")
    parser.add_argument("data_dir", nargs="?", default=folder, type=Path, metavar="DATA_DIR")
    parser.add_argument("--symbols", nargs="+", help="default: all")
    parser.add_argument("--interval", default="1min", help="1s, 1min, 5min, 15min, 1h, 1d, … (default 1min)")
    parser.add_argument("--start", help="an ISO 8601 time (default: the first trade)")
    parser.add_argument("--end", help="an ISO 8601 time, exclusive (default: after the last trade)")
    parser.add_argument("--bars", type=int, default=20, help="volumes in the mean (default 20)")
    parser.add_argument(
        "--times", type=float, default=2.0, help="the mean that a volume must exceed (default 2)"
    )
    parser.add_argument("--policy", help="bar policy: all, us_equities (default: the instrument's)")
    options = parser.parse_args(arguments)
    if options.bars < 1:
        parser.error("--bars is at least 1")
    try:
        text, differs = report(open_store(options.data_dir), options)
    except (ValueError, StorageError) as error:
        parser.error(str(error))
    print(text)
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
