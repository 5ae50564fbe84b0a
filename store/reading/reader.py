"""The reader of one store, for programs on the same machine."""

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

from store.bars.bars import Bars
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    aligned_window,
    exact_window,
    interval_ns,
)
from store.reading.bar_choice import BarChoice, BarOptions
from store.reading.bar_logs import rows_before, rows_within
from store.reading.bar_reader import BarReader
from store.reading.panel import Panel, panel_of
from store.reading.scan import Slice, close_before, merged_slices
from store.reading.symbol_bars import SymbolBars


class Reader(BarReader):
    """A reader of the rows and bars of a store in a folder; every call sees the newest commits. Thread-safe.

    The only files that it writes are derived files. Symbols are spelled as over HTTP, and an alias stands for
    its symbol. Windows are `[start, end)`; None means no bound. Instants are integers (nanoseconds since 1970),
    ISO 8601 texts, datetimes, `numpy.datetime64` or `pandas.Timestamp`, in UTC unless they have a zone. Bars
    are whole: start is rounded down and end is rounded up to the interval. `policy` is a bar policy or its
    name, by default the instrument's. With `as_of` only commits made by that instant are read. `frame=True`
    returns a pandas DataFrame indexed by UTC times. Raises `UnknownSymbol`, `DataDamaged` and the other
    `StorageError`s, and ValueErrors for invalid arguments: `InvalidArgument` with its subclasses, and
    `InvalidSymbol`.
    """

    def scan(
        self,
        symbols: Sequence[str] | str | None = None,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        *,
        fill: bool = False,
        **options: Unpack[BarOptions],
    ) -> Iterator[tuple[int, Slice]]:
        """Yield (start in nanoseconds UTC, `Slice`) for each interval with a bar of any symbol, ascending.

        symbols: the universe; None means all symbols, `"@NAME"` all that were members of a stored universe at some
        instant of the window. The scan is one snapshot: each symbol is read as of its
        newest commit at the call, or as of `as_of`. With `fill`, a symbol that has had a bar, also before the
        scan, has one in every slice: its last close, with volume 0. At most 2^18 bars are in memory. Days are those of
        `bars`.
        """
        choice = BarChoice(**options)
        universe = self._universe(symbols, exact_window(start, end), choice.as_of, choice.knowledge)
        length = interval_ns(interval)
        each = [self._symbol_bars(symbol, choice) for symbol in universe]
        makers = [of_one.maker(interval) for of_one in each]
        window = aligned_window(start, end, length)
        if start is None or end is None:
            window = rows_within([of_one.logs for of_one in each], window, length)

        def bars_of(index: int, part: Window) -> Bars:
            return makers[index].bars(part)

        last_close = None
        if fill:
            last_close = [
                _close_before(of_one, maker, window, length)
                for of_one, maker in zip(each, makers, strict=True)
            ]
        return merged_slices(universe, window, length, bars_of, last_close=last_close)

    def panel(
        self,
        symbols: Sequence[str] | str | None = None,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        field: str = "close",
        *,
        fill: bool = False,
        frame: bool = False,
        **options: Unpack[BarOptions],
    ) -> Panel | Any:
        """Return one field of the bars of many symbols: a row per interval with a bar, a column per symbol.

        symbols: as for a scan. field: open, high, low, close, volume, trade_count or notional. A missing value
        is NaN; with `fill`, after a symbol's first bar, also before the panel, a missing price is its last close and a missing volume 0. Bars,
        and `options`, are those of `bars`. Each symbol is read as of its newest commit, or as of `as_of`.
        """
        choice = BarChoice(**options)
        universe = self._universe(symbols, exact_window(start, end), choice.as_of, choice.knowledge)
        bars = [self.bars(symbol, start, end, interval, **options) for symbol in universe]
        last_close = None
        if fill:
            length = interval_ns(interval)
            window = aligned_window(start, end, length)
            each = [self._symbol_bars(symbol, choice) for symbol in universe]
            last_close = [_close_before(of_one, of_one.maker(interval), window, length) for of_one in each]
        panel = panel_of(universe, bars, field, last_close=last_close)
        return panel.frame() if frame else panel


def _close_before(symbol_bars: SymbolBars, maker: BarMaker, window: Window, length: int) -> float:
    """Return a symbol's last close before a window; NaN if there is none."""
    return close_before(maker.bars, rows_before(symbol_bars.logs, window, length), length)
