"""A replay of trades, against a bare read of the same columns. Processor time, with derived files and warm caches."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generated_trades import FIRST_DAY_NS, Stream, Unsynced
from benchmarks.report import Goal, Ratio, Row, Sizes, UnexpectedAnswer
from store import open_store
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import Append, Dedupe
from store.reading import Reader

_A_MINUTE = 1_000
_COLUMNS = ["price", "volume"]
_ROUNDS = 3
# Rows that a loop in Python takes.
_LOOPED_SHARE = 10


@dataclass(frozen=True, slots=True)
class _Replayed:
    """A store with trades of some symbols. rows: of all."""

    reader: Reader
    symbols: list[str]
    rows: int

    def bare(self) -> int:
        """Read each symbol's columns."""
        total, rows = 0.0, 0
        for symbol in self.symbols:
            columns = self.reader.trades(symbol, columns=_COLUMNS)
            total += float(columns.time_ns[-1]) + columns.price.sum() + columns.volume.sum()
            rows += len(columns)
        return rows

    def parts(self) -> int:
        """Read the same columns of each part."""
        total, rows = 0.0, 0
        for part in self.reader.replay(self.symbols, columns=_COLUMNS):
            total += float(part.known_ns[-1]) + int(part.log[-1]) + int(part.row[-1])
            for log in part.present:
                columns = part.of(log)
                total += columns.price.sum() + columns.volume.sum()
            rows += len(part)
        return rows

    def looped(self) -> int:
        """Take a share of the rows as named tuples."""
        rows = 0
        for part in self.reader.replay(self.symbols, columns=_COLUMNS):
            for _, _, _, _row in part.rows():
                rows += 1
            if rows * _LOOPED_SHARE >= self.rows:
                break
        return rows

    def scanned(self) -> int:
        """Scan minutes; return the trades in them."""
        rows = 0
        for _, view in self.reader.scan(self.symbols):
            for _ in view.rows():
                pass
            rows += int(view.trade_count.sum())
        return rows


def measure_replay(sizes: Sizes) -> Iterator[Row]:
    """Yield the rows per second of a replay of one symbol and of ten, as parts and as rows, and those of a scan."""
    for symbols in (1, 10):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            replayed = _stored(Path(folder), sizes.trades, symbols)
            replayed.bare()  # verifies the mapped files
            name = f"replay() of {replayed.rows:,} trades of {symbols} symbols"
            bare, parts = _rate(replayed.bare, replayed.rows), _rate(replayed.parts, replayed.rows)
            yield Ratio(
                f"{name}, against a bare read of the columns",
                here=parts, beside=bare, unit="rows/s", goal=Goal(least=0.4)
            )  # fmt: skip
            looped, scanned = _rate(replayed.looped, 0), _rate(replayed.scanned, replayed.rows)
            name = "the same by rows(), against a scan of minutes by rows()"
            yield Ratio(name, here=looped, beside=scanned, unit="rows/s")


def _rate(work: Callable[[], int], wanted: int) -> float:
    """Return the rows per second of the best round. wanted: how many there are; 0 for any number."""
    rates = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        rows = work()
        rates.append(rows / (time.process_time() - began))
        if wanted and rows != wanted:
            raise UnexpectedAnswer(f"{rows} rows instead of {wanted}")
    return max(rates)


def _stored(folder: Path, trades: int, symbols: int) -> _Replayed:
    store, names, rows = CsvStore(folder, disk=Unsynced()), [], 0
    for number in range(symbols):
        names.append(f"S{number}")
        stream = Stream(_A_MINUTE, start_ns=FIRST_DAY_NS + number * 1_000)
        for batch in stream.batches(trades // symbols):
            store.append(Append(TRADES, names[-1], batch, "bench", Dedupe.NONE))
            rows += batch.num_rows
        store.derive(TRADES, names[-1])
    return _Replayed(open_store(folder), names, rows)
