"""Bars of the past, each with the instant at which it is shown: its end plus the instrument's `settle`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat

from store.arrays import Integers
from store.bars.bars import Bars
from store.reading import Reader
from strategies.strategy import Bar

# So many intervals are read at once.
_INTERVALS_AT_ONCE = 1 << 15
_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class PastBars:
    """An iterable of (shown_ns, bar), by instant and symbol.

    settle_ns: of each symbol. start_ns, end_ns: of the bars' starts. knowledge: `then` for bars as they were known when
    they are shown, `now` for bars as they are known today. as_of_ns: the commits that are read; None for all.
    """

    reader: Reader
    settle_ns: Mapping[str, int]
    start_ns: int
    end_ns: int
    interval_ns: int
    knowledge: str = "then"
    as_of_ns: int | None = None

    def __iter__(self) -> Iterator[tuple[int, Bar]]:
        waiting: list[tuple[int, Bar]] = []
        step_ns = _INTERVALS_AT_ONCE * self.interval_ns
        for start_ns in range(self.start_ns, self.end_ns, step_ns):
            end_ns = min(start_ns + step_ns, self.end_ns)
            # Bars of the next step are shown from then on.
            next_ns = end_ns + self.interval_ns + min(self.settle_ns.values())
            shown = waiting + [
                each for symbol in sorted(self.settle_ns) for each in self._bars(symbol, start_ns, end_ns)
            ]
            if len(self.settle_ns) > 1:
                shown.sort(key=_shown_ns)
            count = len(shown)
            while count and shown[count - 1][0] >= next_ns:
                count -= 1
            yield from shown[:count]
            waiting = shown[count:]
        yield from waiting

    def _bars(self, symbol: str, start_ns: int, end_ns: int) -> Iterator[tuple[int, Bar]]:
        bars: Bars = self.reader.bars(
            symbol,
            start_ns,
            end_ns,
            self.interval_ns,
            session="utc",
            knowledge=self.knowledge,
            as_of=self.as_of_ns,
        )
        ends_ns: Integers = bars.time_ns + self.interval_ns
        columns = [getattr(bars, name).tolist() for name in _COLUMNS]
        made = map(
            Bar._make, zip(repeat(symbol), bars.time_ns.tolist(), ends_ns.tolist(), *columns, strict=False)
        )
        return zip((ends_ns + self.settle_ns[symbol]).tolist(), made, strict=True)


def _shown_ns(shown: tuple[int, Bar]) -> int:
    return shown[0]
