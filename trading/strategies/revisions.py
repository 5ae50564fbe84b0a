"""Bars that change after they were shown: by late rows, corrections and cancels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush, merge
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from store.arrays import Integers
from store.datasets import BARS, DATASETS, TRADES
from store.reading import Reader
from store.reading.replay_part import LogRows
from store.rows.knowledge import event_ends_ns
from trading.core.events import BarPrint, Print
from trading.core.rows import MarketRow, RowCorrection
from trading.strategies.past_bars import PastBars, interval_start_ns
from trading.strategies.strategy import Bar


class Lateness(NamedTuple):
    """A row became known at an instant, and a bar was due before. start_ns: of the bar's interval."""

    known_ns: int
    symbol: str
    start_ns: int


class BarRevision(NamedTuple):
    """What the bar of an interval is from an instant on; None for no bar."""

    symbol: str
    start_ns: int
    bar: Bar | None


def lateness_of(bars: PastBars, known_before_ns: int) -> Iterator[Lateness]:
    """Yield when bars may have changed after they were due, by instant and symbol, each once."""
    interval_ns = bars.interval_ns
    start_ns = interval_start_ns(bars.start_ns, interval_ns)
    symbols = bars.symbols
    if not symbols:
        return
    replay = bars.reader.replay(
        symbols,
        start_ns,
        bars.end_ns,
        (TRADES.name, BARS.name),
        as_of=bars.as_of_ns,
        known_before=known_before_ns,
        columns=("resolution",),
    )
    for part in replay:
        found: set[Lateness] = set()
        for log in part.present:
            dataset, symbol = part.logs[log]
            at = np.flatnonzero(part.log == log)
            times, known_ns = _within_ns(dataset, part.of(log))[part.row[at]], part.known_ns[at]
            starts = interval_start_ns(times, interval_ns)
            is_late = (known_ns > starts + (interval_ns + bars.settle_ns[symbol])) & (starts >= start_ns)
            pairs = zip(known_ns[is_late].tolist(), starts[is_late].tolist(), strict=True)
            found.update(Lateness(known, symbol, start) for known, start in pairs)
        yield from sorted(found)


def _within_ns(dataset: str, rows: LogRows) -> Integers:
    """Return an instant of each row that is in the interval to whose bar it belongs."""
    return rows.time_ns if dataset == TRADES.name else event_ends_ns(DATASETS[dataset], rows.table) - 1


def revision_of(reader: Reader, late: Lateness, interval_ns: int, as_of_ns: int | None = None) -> BarRevision:
    """Return what a bar is, as known when its row became known."""
    bars = PastBars(
        reader,
        {late.symbol: 0},
        late.start_ns,
        late.start_ns + interval_ns,
        interval_ns,
        as_of_ns=as_of_ns,
        known_at_ns=late.known_ns,
    )
    found = next(iter(bars), None)
    return BarRevision(late.symbol, late.start_ns, None if found is None else found[1])


@dataclass(slots=True)
class LateRows:
    """The rows that change bars of a live strategy after they were due. rows: a heap of what is to be looked at.

    settle_ns: of each symbol.
    """

    interval_ns: int
    settle_ns: Mapping[str, int]
    rows: list[Lateness] = field(default_factory=list)

    @property
    def next_ns(self) -> int | None:
        """When a bar is to be looked at next."""
        return self.rows[0].known_ns if self.rows else None

    def add(self, rows: Iterable[Lateness], *, after_ns: int, until_ns: int) -> None:
        """Add those of bars that are due in (after_ns, until_ns]."""
        for row in rows:
            if after_ns < row.start_ns + self.interval_ns + self.settle_ns[row.symbol] <= until_ns:
                heappush(self.rows, row)

    def note(self, row: MarketRow, at_ns: int, *, after_ns: int, until_ns: int) -> None:
        """Have the bar of a row looked at again at `at_ns`, if it was due in (after_ns, until_ns]."""
        stored = row.before if isinstance(row, RowCorrection) else row
        if isinstance(stored, Print | BarPrint):
            time_ns = stored.end_ns - 1 if isinstance(stored, BarPrint) else stored.ref.timestamp_ns
            late = Lateness(at_ns, stored.ref.symbol, interval_start_ns(time_ns, self.interval_ns))
            self.add([late], after_ns=after_ns, until_ns=until_ns)

    def revisions(self, reader: Reader, until_ns: int) -> Iterator[tuple[int, BarRevision]]:
        """Yield what bars are, by instant, and forget their rows. Rows of one instant make one revision of a bar."""
        while self.rows and self.rows[0].known_ns <= until_ns:
            late = heappop(self.rows)
            if not self.rows or self.rows[0] != late:
                yield late.known_ns, revision_of(reader, late, self.interval_ns)


def with_revisions(bars: PastBars) -> Iterator[tuple[int, Bar | BarRevision]]:
    """Return bars of the past, and what changes them before the end of their window, by instant.

    What becomes known at the instant of a bar comes before the bar.
    """
    revisions = (
        (late.known_ns, revision_of(bars.reader, late, bars.interval_ns, bars.as_of_ns))
        for late in lateness_of(bars, bars.end_ns)
    )
    return merge(revisions, bars, key=itemgetter(0))
