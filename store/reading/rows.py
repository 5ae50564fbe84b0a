"""The reader's methods that return rows of a dataset, as columns."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, Unpack

from store import lazy_pyarrow as pa
from store.backends import store_at
from store.datasets import DATASETS, UNIVERSE_CHANGES, WITHOUT_INSTRUMENTS
from store.declarations import Dataset
from store.exceptions import StorageError, UnknownSymbol
from store.log import Snapshot
from store.log_views.log_view import Coverage, LogView, empty_view, log_coverage, view_of
from store.log_views.members import members_at, members_within
from store.maintained import MaintainedStore
from store.market_store import MarketStore
from store.protocol import Window
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    age_ns,
    canonical_symbol,
    exact_window,
    instant_ns,
)
from store.reading.columns import Columns, select
from store.reading.exceptions import InvalidInterval, InvalidUniverse, UnknownDataset
from store.reading.joins import joined_dataset, joined_rows

# The reader updates a log's derived files if they lack this many rows. A worker keeps all logs below this.
ROWS_BEHIND = 200_000

# `Columns`, or the DataFrame that `frame=True` asks for (pandas is not typed here).
Rows: TypeAlias = Columns | Any


class RowOptions(TypedDict, total=False):
    """as_of: ignore commits made later. columns: those to read besides event time. frame: return a DataFrame."""

    as_of: InstantArgument | None
    columns: Sequence[str] | None
    frame: bool


class RowReader:
    """A reader of rows by dataset. Every method takes a window `[start, end)` to the nanosecond, and `RowOptions`."""

    def __init__(self, where: Path | str) -> None:
        """See `open_store`."""
        self._store = store_at(where)
        self._used: set[tuple[str, str]] = set()

    @property
    def store(self) -> MarketStore:
        """The store that is read, for what the reader has no method for."""
        return self._store

    def _derive_at_first_use(self, dataset: Dataset, symbol: str) -> None:
        """Update a log's derived files at its first use, if they are far behind.

        If they cannot be written, answers are the same but slower.
        """
        key = (dataset.name, symbol)
        if key not in self._used:
            self._used.add(key)
            store = self._store
            with suppress(StorageError):
                if isinstance(store, MaintainedStore) and store.rows_behind(dataset, symbol) >= ROWS_BEHIND:
                    store.derive(dataset, symbol)

    def trades(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        **options: Unpack[RowOptions],
    ) -> Rows:
        """Return trades: price, volume, trade_id, sequence, exchange, conditions, received_at, buyer_is_maker."""
        return self.rows("trades", symbol, start, end, **options)

    def quotes(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        **options: Unpack[RowOptions],
    ) -> Rows:
        """Return quotes as stored: bid, bid_size, ask, ask_size, sequence, exchange, … An absent side is NaN."""
        return self.rows("quotes", symbol, start, end, **options)

    def members(
        self, universe: str, at: InstantArgument | None = None, *, as_of: InstantArgument | None = None
    ) -> list[str]:
        """Return the symbols that belonged to a universe at an instant, sorted.

        at: None for now, or for `as_of` if that is earlier. A symbol belongs to it if its last change at or before the
        instant is an `add`.
        """
        view = self._view(UNIVERSE_CHANGES, universe, as_of)
        return members_at(view, 1 + (_now_ns(as_of) if at is None else instant_ns(at)))

    def rows(
        self,
        dataset: str,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        **options: Unpack[RowOptions],
    ) -> Rows:
        """Return the rows of a dataset by (event time, sequence, arrival).

        symbol: of `universe_changes` the universe's name, of `option_quotes` the
        contract. Rows of `bars` are those of an import or backfill; `Reader.bars` fills gaps with them.
        """
        declared = dataset_named(dataset)
        table = self._view(declared, symbol, options.get("as_of")).rows(exact_window(start, end))
        return _read(declared, table, options)

    def asof_join(
        self,
        left: str,
        right: str,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        *,
        lag: IntervalArgument = 0,
        tolerance: IntervalArgument | None = None,
        right_symbol: str | None = None,
        **options: Unpack[RowOptions],
    ) -> Rows:
        """Return the left dataset's rows in `[start, end)`, each with the last right row at or before it.

        The rule is that of `pandas.merge_asof`, backward and with exact matches. The right row may be from before
        `start`. Right columns whose names the left side has are prefixed: `quote_timestamp`. They are null without
        a right row. lag, tolerance: a right row counts only if it is at least and at most this old; `lag="1ns"`
        excludes rows of the same instant. right_symbol: by default `symbol`. columns: by their names in the answer.
        """
        left_set, right_set, as_of = dataset_named(left), dataset_named(right), options.get("as_of")
        lag_ns, tolerance_ns = age_ns(lag), None if tolerance is None else age_ns(tolerance)
        if tolerance_ns is not None and tolerance_ns < lag_ns:
            raise InvalidInterval("tolerance must not be shorter than lag")
        rows = self._view(left_set, symbol, as_of).rows(exact_window(start, end))
        right_name = self._log_name(right_set, right_symbol or symbol)
        others = self._existing([right_set], right_name, as_of).get(right_set)
        others = others or empty_view(self._store.log(right_set, right_name))
        table = joined_rows(left_set, rows, others, lag_ns, tolerance_ns)
        return _read(joined_dataset(left_set, right_set), table, options)

    def symbol(self, name: str, *, as_of: InstantArgument | None = None) -> str:
        """Return the symbol that a name meant at an instant; by default now.

        An alias gives the symbol of the instrument that had it; any other name is unchanged. Names are those of the
        newest declarations. Raises `UnknownSymbol` for a name that is an alias now, but was none at `as_of`.
        """
        on_ns = None if as_of is None else instant_ns(as_of)
        return self._store.canonical(canonical_symbol(name), on_ns)

    def symbols(self, dataset: str = "trades") -> list[str]:
        """Return the symbols with commits, sorted."""
        return self._store.symbols(dataset_named(dataset))

    def version(
        self,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        *,
        dataset: str = "trades",
        as_of: InstantArgument | None = None,
    ) -> str:
        """Return the newest commit that touches the window's event dates, in the form `17-9f3a2c`."""
        declared = dataset_named(dataset)
        name = self._log_name(declared, symbol)
        return self._snapshot(declared, name, as_of).version(exact_window(start, end)).token

    def coverage(self, symbol: str, dataset: str = "trades") -> Coverage:
        """Return a summary of a symbol's stored rows."""
        declared = dataset_named(dataset)
        return log_coverage(view_of(self._store.log(declared, self._log_name(declared, symbol)).at()))

    def _named(self, symbol: str) -> str:
        """Return the symbol for a spelling or an alias. Raises `InvalidSymbol`, `StoreUnavailable`."""
        return self._store.canonical(canonical_symbol(symbol))

    def _log_name(self, dataset: Dataset, symbol: str) -> str:
        """Return the name of a dataset's log. A universe has no aliases."""
        return canonical_symbol(symbol) if dataset in WITHOUT_INSTRUMENTS else self._named(symbol)

    def _view(self, dataset: Dataset, symbol: str, as_of: InstantArgument | None) -> LogView:
        """Return a log as of its newest commit or `as_of`."""
        return self._view_of_log(dataset, self._log_name(dataset, symbol), as_of)

    def _view_of_log(self, dataset: Dataset, name: str, as_of: InstantArgument | None) -> LogView:
        self._derive_at_first_use(dataset, name)
        return view_of(self._snapshot(dataset, name, as_of))

    def _existing(
        self, datasets: Iterable[Dataset], name: str, as_of: InstantArgument | None
    ) -> dict[Dataset, LogView]:
        """Return the logs with a name that exist. name: no alias."""
        found = {}
        for dataset in datasets:
            with suppress(UnknownSymbol):
                found[dataset] = self._view_of_log(dataset, name, as_of)
        return found

    def _universe(
        self, symbols: Sequence[str] | str | None, window: Window, as_of: InstantArgument | None
    ) -> tuple[str, ...]:
        """Return the symbols: all for None; for `@NAME` the members at any time of the window that have trades or bars.

        Changes of members after now do not count.
        """
        if isinstance(symbols, str):
            return self._members_within(symbols, window, as_of)
        universe = tuple(self._with_bars() if symbols is None else map(self._named, symbols))
        if len(set(universe)) < len(universe):
            raise InvalidUniverse("symbols must differ, and one is given twice")
        return universe

    def _members_within(self, text: str, window: Window, as_of: InstantArgument | None) -> tuple[str, ...]:
        if not text.startswith("@"):
            raise InvalidUniverse(f"a list of symbols is needed: give [{text!r}], or a universe, as '@SP500'")
        known = set(self._with_bars())
        end_ns = min(window.end_ns, _now_ns(as_of) + 1)
        past = Window(min(window.start_ns, end_ns), end_ns)
        members = members_within(self._view(UNIVERSE_CHANGES, text[1:], as_of), past)
        return tuple(dict.fromkeys(name for name in map(self._named, members) if name in known))

    def _with_bars(self) -> list[str]:
        return sorted({*self.symbols("trades"), *self.symbols("bars")})

    def _snapshot(self, dataset: Dataset, symbol: str, as_of: InstantArgument | None) -> Snapshot:
        """Return a log as of an instant; None means the newest commit."""
        log = self._store.log(dataset, symbol)
        return log.at() if as_of is None else log.as_of(instant_ns(as_of))


def _read(dataset: Dataset, table: pa.Table, options: RowOptions) -> Rows:
    """Return a table's columns that the options ask for. Raises `UnknownColumn`."""
    names = options.get("columns")
    columns = Columns(dataset, table if names is None else table.select(select(dataset, names)))
    return columns.frame() if options.get("frame") else columns


def _now_ns(as_of: InstantArgument | None) -> int:
    """Return now, or `as_of` if that is earlier, in nanoseconds UTC."""
    return time.time_ns() if as_of is None else min(time.time_ns(), instant_ns(as_of))


def dataset_named(name: str) -> Dataset:
    """Return the dataset's declaration. Raises `UnknownDataset`."""
    try:
        return DATASETS[name]
    except KeyError:
        raise UnknownDataset("dataset", name, DATASETS) from None
