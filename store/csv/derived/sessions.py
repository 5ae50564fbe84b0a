"""A segment's daily bars of the regular session under one bar policy, for each of its event dates."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.bars import Bars
from store.bars.prints import STANDS
from store.bars.session_bars import session_bars_of
from store.csv.derived.ipc import NotUsable, as_numpy, map_batches, write_batches
from store.timestamps import DAY_NS

_COLUMNS = tuple(field.name for field in fields(Bars))


@dataclass(frozen=True, slots=True)
class Sessions:
    """One row per event date.

    bars: NaN prices on a date without a session. newest: the newest commit that touched it.
    """

    bars: Bars
    newest: Integers

    def __len__(self) -> int:
        return len(self.newest)


def sessions_of(rows: pa.Table, policy: BarPolicy) -> Sessions:
    """The sessions of ordered stored rows, at least one."""
    date = rows.column("timestamp").to_numpy() // DAY_NS
    starts = np.concatenate([[0], np.flatnonzero(date[1:] != date[:-1]) + 1])
    commit, until = (rows.column(name).to_numpy() for name in ("commit", "until"))
    newest = np.maximum.reduceat(np.maximum(commit, np.where(until == STANDS, 0, until)), starts)
    time = date[starts] * DAY_NS
    return Sessions(_on_every_date(time, session_bars_of(rows, policy)), newest.astype(np.int64))


def write_sessions(path: Path, sessions: Sessions) -> int:
    """Write them; returns the file's checksum."""
    columns = {name: pa.array(getattr(sessions.bars, name)) for name in _COLUMNS}
    batch = pa.record_batch({**columns, "newest": pa.array(sessions.newest)})
    return write_batches(path, batch.schema, [batch])


def map_sessions(path: Path, checksum: int) -> Sessions:
    """The sessions of a file. Raises `NotUsable`."""
    batches, _ = map_batches(path, checksum)
    if len(batches) != 1:
        raise NotUsable(f"{path.name} does not hold sessions")
    columns = {name: as_numpy(batches[0].column(name)) for name in (*_COLUMNS, "newest")}
    return Sessions(Bars(*(columns[name] for name in _COLUMNS)), columns["newest"])


def _on_every_date(time: Integers, bars: Bars) -> Bars:
    """The bars with a row for each date, without prices where there is no bar."""
    places = time.searchsorted(bars.time_ns)

    def spread(name: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        column = getattr(bars, name)
        spread = np.full(len(time), np.nan if column.dtype.kind == "f" else 0, column.dtype)
        spread[places] = column
        return spread

    return Bars(time, *(spread(name) for name in _COLUMNS[1:]))  # type: ignore[arg-type]
