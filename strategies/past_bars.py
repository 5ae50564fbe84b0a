"""Bars of the past, each with the instant at which it is shown: its end plus the instrument's `settle`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import chain, repeat
from operator import itemgetter

from store.arrays import Integers
from store.bars.bars import Bars
from store.exceptions import UnknownSymbol
from store.reading import Reader
from store.timestamps import DAY_NS
from strategies.strategy import Bar

# So many intervals of all symbols are read at once.
_BARS_AT_ONCE = 1 << 15
# Bars before an instant are looked for so far back: nights and weekends lie in between.
_TIMES_BACK, _DAYS_BACK_NS = 5, 7 * DAY_NS
_COLUMNS = ("open", "high", "low", "close", "volume")
# As `Bar._make`, without a call of Python for each bar.
_made = partial(tuple.__new__, Bar)


def looked_back_ns(bars: int, interval_ns: int) -> int:
    """Return how far back so many bars before an instant are looked for, nanoseconds."""
    return bars * interval_ns * _TIMES_BACK + _DAYS_BACK_NS if bars else 0


@dataclass(frozen=True, slots=True)
class PastBars:
    """An iterable of (shown_ns, bar), by instant and symbol.

    settle_ns: of each symbol. start_ns, end_ns: of the bars' starts. knowledge: `then` for bars as they were known when
    they are shown, `now` for bars as they are known today. as_of_ns: the commits that are read; None for all.
    known_at_ns: all bars are as they were known at this instant instead.
    """

    reader: Reader
    settle_ns: Mapping[str, int]
    start_ns: int
    end_ns: int
    interval_ns: int
    knowledge: str = "then"
    as_of_ns: int | None = None
    known_at_ns: int | None = None

    @property
    def symbols(self) -> list[str]:
        """Those that have bars; others have only quotes, or nothing yet."""
        return [each for each in sorted(self.settle_ns) if self._has_bars(each)]

    def _has_bars(self, symbol: str) -> bool:
        try:
            self.reader.bars(symbol, 0, self.interval_ns)
        except UnknownSymbol:
            return False
        return True

    def __iter__(self) -> Iterator[tuple[int, Bar]]:
        streams = [chain.from_iterable(self._blocks(symbol)) for symbol in self.symbols]
        return streams[0] if len(streams) == 1 else merge(*streams, key=itemgetter(0))

    def _blocks(self, symbol: str) -> Iterator[Iterator[tuple[int, Bar]]]:
        """Yield the bars of a symbol, in blocks that are read at once."""
        step_ns = max(_BARS_AT_ONCE // len(self.settle_ns), 1_024) * self.interval_ns
        for start_ns in range(self.start_ns, self.end_ns, step_ns):
            end_ns = min(start_ns + step_ns, self.end_ns)
            bars: Bars = self.reader.bars(
                symbol,
                start_ns,
                end_ns,
                self.interval_ns,
                session="utc",
                knowledge=self.knowledge,
                as_of=self.as_of_ns,
                known_at=self.known_at_ns,
            )
            ends_ns: Integers = bars.time_ns + self.interval_ns
            times = (bars.time_ns.tolist(), ends_ns.tolist())
            columns = (getattr(bars, name).tolist() for name in _COLUMNS)
            made = map(_made, zip(repeat(symbol), *times, *columns, strict=False))
            yield zip((ends_ns + self.settle_ns[symbol]).tolist(), made, strict=True)
