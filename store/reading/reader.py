"""The reader of one store, for programs on the same machine."""

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

from store.bars.bars import Bars
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import Window
from store.reading.arguments import InstantArgument, IntervalArgument, exact_window, instant_ns
from store.reading.bar_choice import BarChoice, BarOptions
from store.reading.bar_reader import SymbolBarReader
from store.reading.bar_series import dates_with_rows
from store.reading.columns import select
from store.reading.exceptions import UnknownColumn
from store.reading.panel import Panel, panel_of
from store.reading.replay import MarketReplay
from store.reading.rows import dataset_named
from store.reading.scan import Slice, merged_slices, scan_intervals
from store.reading.symbol_bars import last_close


class Reader(SymbolBarReader):
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
        instant of the window. The scan is one snapshot: each symbol is read as of its newest commit at the call, or as of `as_of`. With `fill`, a symbol that has had a bar, also before the
        scan, has one in every slice: its last close, with volume 0. At most 2^18 bars are in memory. Bars, and
        `options`, are those of `bars`.
        """
        choice = BarChoice(**options)
        universe = self._universe(symbols, exact_window(start, end), choice.as_of, choice.knowledge)
        intervals = scan_intervals(interval, from_open=choice.anchor == "session")
        series = [self._symbol_bars(symbol, choice).series(interval) for symbol in universe]
        window = intervals.aligned(exact_window(start, end))
        if start is None or end is None:
            logs = [log for each in series for log in each.last.logs]
            window = intervals.aligned(dates_with_rows(logs, window))

        def bars_of(index: int, part: Window) -> Bars:
            return series[index].bars(part)

        last_closes = [last_close(each, window, intervals.length_ns) for each in series] if fill else None
        return merged_slices(universe, window, intervals, bars_of, last_close=last_closes)

    def replay(
        self,
        symbols: Sequence[str] | str | None = None,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        datasets: Sequence[str] | str = ("trades",),
        *,
        as_of: InstantArgument | None = None,
        known_before: InstantArgument | None = None,
        columns: Sequence[str] | None = None,
    ) -> MarketReplay:
        """Return an iterable of `ReplayPart`s: rows of many logs in the order in which they could be known.

        symbols: those of the datasets for None, else as for a scan. Rows have event times in the window. They, their
        corrections and cancels are known when `knowledge="then"` says so, without `settle`; what was known at `known_before`,
        by default `end`, or later is left out. columns: to read besides event time; a dataset without one of them is read without it. The
        replay is one snapshot, as a scan. About 2^19 rows are in memory, and those that came late. Raises
        `UnknownSymbol` for a given symbol that has none of the datasets, and `UnknownColumn`.
        """
        declared = list(map(dataset_named, [datasets] if isinstance(datasets, str) else datasets))
        names = {each.name: _columns_of(each, columns, declared) for each in declared}
        window = exact_window(start, end)
        logs = []
        for symbol in self._replayed_symbols(symbols, window, as_of, declared):
            views = self._existing(declared, symbol, as_of).values()
            if not views and not (symbols is None or isinstance(symbols, str)):
                raise UnknownSymbol(symbol)
            logs += [(view, names[view.dataset.name]) for view in views]
        return MarketReplay(logs, window, None if known_before is None else instant_ns(known_before))

    def _replayed_symbols(
        self,
        symbols: Sequence[str] | str | None,
        window: Window,
        as_of: InstantArgument | None,
        datasets: Sequence[Dataset],
    ) -> Sequence[str]:
        if symbols is None:
            return sorted({symbol for each in datasets for symbol in self._store.symbols(each)})
        return self._universe(symbols, window, as_of, "then")

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
        is NaN; with `fill`, after a symbol's first bar, also before the panel, a missing price is its last close and a
        missing volume 0. Bars, and `options`, are those of `bars`. Each symbol is read as of its newest commit, or as of `as_of`.
        """
        choice = BarChoice(**options)
        universe = self._universe(symbols, exact_window(start, end), choice.as_of, choice.knowledge)
        bars = [self._bars(symbol, start, end, interval, choice) for symbol in universe]
        last_closes = None
        if fill:
            intervals = scan_intervals(interval, from_open=choice.anchor == "session")
            window = intervals.aligned(exact_window(start, end))
            last_closes = [
                last_close(self._symbol_bars(symbol, choice).series(interval), window, intervals.length_ns)
                for symbol in universe
            ]
        panel = panel_of(universe, bars, field, last_close=last_closes)
        return panel.frame() if frame else panel


def _columns_of(dataset: Dataset, columns: Sequence[str] | None, datasets: Sequence[Dataset]) -> list[str]:
    """Return the names of the columns that are read of one of the datasets. Raises `UnknownColumn`."""
    own = [each.name for each in dataset.columns]
    if columns is None:
        return own
    known = {each.name for other in datasets for each in other.columns}
    for name in columns:
        if name not in known:
            raise UnknownColumn(f"column of {', '.join(each.name for each in datasets)}", name, sorted(known))
    return select(dataset, [name for name in columns if name in own])
