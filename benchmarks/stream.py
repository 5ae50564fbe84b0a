"""One symbol's trades at an even rate, as record batches, addressed by row number; stored without a server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.csv import CsvStore
from store.csv.files.disk import Disk
from store.datasets import TRADES
from store.protocol import Append, Dedupe, Window
from store.timestamps import SECOND_NS

FIRST_DAY_NS = 1_577_836_800 * SECOND_NS  # 2020-01-01
MINUTE_NS = 60 * SECOND_NS
SYMBOL = "BENCH"
BATCH_ROWS = 50_000
_EXCHANGES = np.array(["XNAS", "XNYS", "ARCX", "BATS"])
_CONDITIONS = np.array(["", "odd_lot", "intermarket_sweep", "odd_lot;intermarket_sweep"])


@dataclass(frozen=True, slots=True)
class Stream:
    """Trades day and night from `start_ns` on, so many a minute, in whole microseconds, with or without ids and the rest."""

    a_minute: int
    start_ns: int = FIRST_DAY_NS
    with_ids: bool = False

    def window(self, first: int, count: int) -> Window:
        """The whole minutes that hold exactly these rows, which begin and end with one."""
        start = self.start_ns + first // self.a_minute * MINUTE_NS
        return Window(start, start + count // self.a_minute * MINUTE_NS)

    def batches(self, count: int, *, first: int = 0) -> Iterator[pa.RecordBatch]:
        """`count` rows from row `first` on: a row is the same at every call."""
        for start in range(first // BATCH_ROWS * BATCH_ROWS, first + count, BATCH_ROWS):
            inside = max(first - start, 0)
            yield self._rows(start).slice(inside, first + count - start - inside)

    def _rows(self, first: int) -> pa.RecordBatch:
        """A batch of rows from one whose number is a multiple of their count."""
        rows = np.arange(first, first + BATCH_ROWS)
        rng = np.random.default_rng(first)
        given = {
            "timestamp": self._times(rows, rng),
            "price": (20_000 + np.cumsum(rng.integers(-5, 6, BATCH_ROWS))) / 100,
            "volume": rng.integers(1, 500, BATCH_ROWS).astype(np.float64),
        }
        columns = {name: pa.array(values) for name, values in given.items()}
        if self.with_ids:
            columns |= _identities(rows, rng)
        return pa.record_batch(
            [columns.get(field.name, pa.nulls(BATCH_ROWS, field.type)) for field in TRADES.schema],
            schema=TRADES.schema,
        )

    def _times(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        step = MINUTE_NS // self.a_minute // 1000
        shifts = rng.integers(0, step, len(rows))
        minutes, places = np.divmod(rows, self.a_minute)
        return self.start_ns + minutes * MINUTE_NS + (places * step + shifts) * 1000


class Unsynced(Disk):
    """Writes without waiting for the disk: what is stored only to be read needs no durability."""

    def sync(self, descriptor: int) -> None:
        """Nothing."""

    def sync_folder(self, folder: Path) -> None:
        """Nothing."""


def stored(folder: Path, stream: Stream, count: int, *, first: int = 0, derived: bool = True) -> CsvStore:
    """A store of so many rows of a stream from row `first` on, with derived files or without."""
    store = CsvStore(folder, disk=Unsynced())
    for batch in stream.batches(count, first=first):
        store.append(Append(TRADES, SYMBOL, batch, "bench", Dedupe.NONE))
    if derived:
        store.derive(TRADES, SYMBOL)
    return store


def _identities(rows: npt.NDArray[np.int64], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Ids, sequence numbers, exchanges and conditions, as of a consolidated feed."""
    conditions = _CONDITIONS[rng.choice(len(_CONDITIONS), len(rows), p=(0.3, 0.3, 0.2, 0.2))]
    return {
        "trade_id": pa.array(52_983_525_000_000 + rows).cast(pa.string()),
        "sequence": pa.array(rows),
        "exchange": pa.array(_EXCHANGES[rng.integers(0, len(_EXCHANGES), len(rows))]),
        "conditions": pa.array(conditions, mask=conditions == ""),
    }
