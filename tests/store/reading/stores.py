"""Stores on disk for the reader's tests: generated days of some symbols, a writer in another process."""

import datetime as dt
import sys
from pathlib import Path

from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Receipt
from tests.store.builders import batch, trade
from trades.sample import EQUITIES, sample_day, trading_sessions

NOW = dt.datetime(2025, 1, 11, tzinfo=dt.UTC)
SYMBOLS = ("DEMOA", "DEMOB", "DEMOC")


def sample_store(folder: Path, *, days: int = 2, symbols: tuple[str, ...] = SYMBOLS) -> Path:
    """What `manage.py sample` stores, up to Friday, 10 January 2025."""
    store = CsvStore(folder)
    for symbol in symbols:
        for session in trading_sessions(now=NOW, days=days, symbol=EQUITIES[0]):
            store.append(Append(TRADES, symbol, sample_day(symbol, session).trades, "command:sample"))
    return folder


def add(folder: Path, *rows: dict[str, object], symbol: str = "AAPL") -> Receipt:
    return CsvStore(folder).append(batch(*rows, symbol=symbol))


def main() -> None:
    """Another process: for each line `SYMBOL NANOSECONDS PRICE` appends a trade and says its commit."""
    store = CsvStore(sys.argv[1])
    for line in sys.stdin:
        symbol, at, price = line.split()
        receipt = store.append(batch(trade(int(at), float(price)), symbol=symbol))
        print(receipt.commit.token, flush=True)  # noqa: T201 the answer to the process that asked


if __name__ == "__main__":
    main()
