"""The past of symbols: bars, each with the instant at which it is shown, its end plus the instrument's `settle`, and when prices ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import TypeVar

from stats.live.tokens import head_of
from store.arrays import Integers
from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.log_views.log_view import last_row, view_of
from store.protocol import NO_COMMIT
from store.reading import Reader
from store.rows.knowledge import event_ends_ns
from store.timestamps import DAY_NS, format_timestamp
from trading.market.hours import last_session_end_ns, next_open_ns, session_end_ns
from trading.market.market import Market
from trading.strategies.strategy import WEEK, WEEK_NS, Bar, BarBlock

# So many intervals of all symbols are read at once.
_BARS_AT_ONCE = 1 << 15
# 1970 began on a Thursday.
_MONDAY_NS = 4 * DAY_NS
Instants = TypeVar("Instants", int, Integers)


def interval_start_ns(at_ns: Instants, interval_ns: int) -> Instants:
    """Return the start of the interval, or of each interval, that an instant is in. A week begins on Monday."""
    first_ns = _MONDAY_NS if interval_ns == WEEK_NS else 0
    return at_ns - (at_ns - first_ns) % interval_ns


@dataclass(frozen=True, slots=True)
class PastBars:
    """An iterable of (shown_ns, bar), by instant and symbol.

    settle_ns: of each symbol. start_ns, end_ns: of the bars' starts. knowledge: `then` for bars as they were known when
    they are shown, `now` for bars as they are known today. as_of_ns: the commits that are read; None for all.
    at_once_ns: rows of so long are read at once, also for long bars.
    """

    reader: Reader
    settle_ns: Mapping[str, int]
    start_ns: int
    end_ns: int
    interval_ns: int
    knowledge: str = "then"
    as_of_ns: int | None = None
    at_once_ns: int = 32 * DAY_NS

    @property
    def symbols(self) -> list[str]:
        """Those that have bars; others have only quotes, or nothing yet."""
        return [
            symbol
            for symbol in sorted(self.settle_ns)
            if any(head_of(self.reader.store, dataset, symbol) != NO_COMMIT for dataset in (TRADES, BARS))
        ]

    def __iter__(self) -> Iterator[tuple[int, Bar]]:
        streams = [chain.from_iterable(self.blocks(symbol)) for symbol in self.symbols]
        return streams[0] if len(streams) == 1 else merge(*streams, key=itemgetter(0))

    def last(self, symbol: str, count: int, until_ns: int) -> list[tuple[int, Bar]]:
        """Return the last bars of a symbol that are shown up to an instant, oldest first; at most so many."""
        found: list[tuple[int, Bar]] = []
        end_ns = interval_start_ns(until_ns - self.settle_ns[symbol], self.interval_ns)
        length_ns = count * self.interval_ns
        while len(found) < count and end_ns > self.start_ns:
            start_ns = max(end_ns - length_ns, self.start_ns)
            found = [*self._block(symbol, start_ns, end_ns), *found]
            end_ns, length_ns = start_ns, 2 * length_ns
        return found[len(found) - count :] if len(found) > count else found

    def blocks(self, symbol: str) -> Iterator[BarBlock]:
        """Yield the bars of a symbol, in blocks that are read at once."""
        count = max(_BARS_AT_ONCE // len(self.settle_ns), 1_024)
        step_ns = max(min(count, self.at_once_ns // self.interval_ns), 1) * self.interval_ns
        for start_ns in range(interval_start_ns(self.start_ns, self.interval_ns), self.end_ns, step_ns):
            yield self._block(symbol, start_ns, min(start_ns + step_ns, self.end_ns))

    def _block(self, symbol: str, start_ns: int, end_ns: int) -> BarBlock:
        bars = self.reader.bars(
            symbol,
            start_ns,
            end_ns,
            WEEK if self.interval_ns == WEEK_NS else self.interval_ns,
            session="utc",
            knowledge=self.knowledge,
            as_of=self.as_of_ns,
        )
        ends_ns: Integers = bars.time_ns + self.interval_ns
        return BarBlock(symbol, bars, ends_ns, ends_ns + self.settle_ns[symbol])


def prices_ended(market: Market, symbols: Sequence[str], end_ns: int) -> dict[str, int]:
    """Return when the prices of symbols ended, nanoseconds UTC, for those that missed a whole session of the run.

    The run ends at `end_ns`, or with the newest row of all symbols. Futures that expired are left out. Raises the
    errors of the store.
    """
    newest = {
        symbol: newest_ns for symbol in symbols if (newest_ns := _newest_ns(market, symbol)) is not None
    }
    run_ends_ns = min(end_ns, max(newest.values(), default=end_ns))
    return {
        symbol: newest_ns
        for symbol, newest_ns in newest.items()
        if (missed_ns := _missed_ns(market.instrument(symbol), newest_ns)) is not None
        and missed_ns <= run_ends_ns
    }


def _missed_ns(instrument: Instrument, newest_ns: int) -> int | None:
    """Return the end of the first whole session after the newest price; None if there is none."""
    last_ns = newest_ns - 1
    missed_ns = session_end_ns(instrument, last_ns)
    if missed_ns is not None and next_open_ns(instrument, last_ns) == last_ns:
        missed_ns = session_end_ns(instrument, missed_ns)
    expired_ns = last_session_end_ns(instrument)
    is_over = expired_ns is not None and missed_ns is not None and expired_ns < missed_ns
    return None if is_over else missed_ns


def ended_sentence(ended: Mapping[str, int]) -> str:
    """Return a sentence that names the symbols, for the notice of a run."""
    each = ", ".join(f"{symbol} at {format_timestamp(at_ns)}" for symbol, at_ns in sorted(ended.items()))
    return f"Prices ended before the run did: {each}. Orders there ended with the next session; positions have an old price."


def _newest_ns(market: Market, symbol: str) -> int | None:
    """Return the time of the last trade or bar of a symbol, of a bar its end; None without any."""
    found = []
    for dataset in (TRADES, BARS):
        head = market.head(dataset, symbol)
        if head == NO_COMMIT:
            continue
        rows = last_row(view_of(market.store.log(dataset, symbol).at(head.number)))
        if rows is not None:
            found.append(int(event_ends_ns(dataset, rows)[0]))
    return max(found, default=None)
