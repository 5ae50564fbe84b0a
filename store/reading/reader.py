"""The reader of one store, for programs on the same machine."""

from collections.abc import Sequence
from typing import Any, Unpack

from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.protocol import Window
from store.reading.arguments import InstantArgument, IntervalArgument, exact_window, instant_ns
from store.reading.bar_choice import DEFAULTS, BarChoice, BarOptions
from store.reading.bar_reader import SymbolBarReader
from store.reading.columns import select
from store.reading.exceptions import UnknownColumn
from store.reading.panel import Panel, panel_of
from store.reading.replay import MarketReplay
from store.reading.rows import dataset_named


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

        symbols: those of the datasets for None, else as for a panel. Rows have event times in the window. They, their
        corrections and cancels are known when `knowledge="then"` says so, without `settle`; what was known at `known_before`,
        by default `end`, or later is left out. columns: to read besides event time; a dataset without one of them is read without it. The
        replay is one snapshot. About 2^19 rows are in memory, and those that came late. Raises
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
        return self._universe(symbols, window, as_of)

    def panel(
        self,
        symbols: Sequence[str] | str | None = None,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        interval: IntervalArgument = "1min",
        field: str = "close",
        *,
        frame: bool = False,
        **options: Unpack[BarOptions],
    ) -> Panel | Any:
        """Return one field of the bars of many symbols: a row per interval with a bar, a column per symbol.

        symbols: None means all with trades or bars, `"@NAME"` all that were members of a stored universe at some
        instant of the window. field: open, high, low, close, volume, trade_count or notional. A missing value is NaN.
        Bars, and `options`, are those of `bars`. Each symbol is read as of its newest commit, or as of `as_of`.
        """
        choice = BarChoice(**options) if options else DEFAULTS
        universe = self._universe(symbols, exact_window(start, end), choice.as_of)
        bars = [self._bars(symbol, start, end, interval, choice) for symbol in universe]
        panel = panel_of(universe, bars, field)
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
