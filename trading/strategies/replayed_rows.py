"""The rows of a replay as columns. Only those that are asked for become values of the core."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np

from store.arrays import Integers, Mask
from store.cached_property import cached_property
from store.datasets import BARS, CORPORATE_ACTIONS, DATASETS, QUOTES, TRADES
from store.instruments import Instrument
from store.reading.replay import MarketReplay
from store.reading.replay_log import CANCEL, ROW
from store.reading.replay_part import LogRows, ReplayPart, StoredName
from store.rows.knowledge import event_ends_ns
from store.timestamps import EARLIEST_NS, LATEST_NS
from trading.core.amounts import price_of
from trading.core.events import RowRef
from trading.core.rows import MarketRow, Quote, RowCorrection, StoredRow
from trading.market.prices import RowPrice
from trading.market.rows import VALUE_COLUMNS, eligible_bars, eligible_rows, rate_quotes, values_of

# The quotes of a pair of currencies as rates, in the place of the dataset's name.
_RATES = "rates"


class LogPart:
    """The rows of one log in a part, in the order of the part. symbol, dataset: of the log; see `_RATES`."""

    def __init__(
        self,
        part: ReplayPart,
        log: int,
        instrument: Instrument,
        before: "LogPart | None",
        *,
        bars_until_ns: int,
        end_ns: int,
        is_rate: bool = False,
    ) -> None:
        """before: the log's rows in the last part that had any. bars_until_ns, end_ns: see `ReplayedRows`.

        is_rate: whether the eligible quotes are those that are a rate, see `rate_quotes`.
        """
        self.dataset, self.symbol = part.logs[log]
        self.is_rate = is_rate
        # Once the replay is beyond the part, all of its rows are before any index.
        self.is_passed = False
        is_alone = len(part.present) == 1
        self.at: Integers = np.arange(len(part)) if is_alone else np.flatnonzero(part.log == log)
        self._instrument, self._bars_until_ns, self._end_ns = instrument, bars_until_ns, end_ns
        self._rows: LogRows = part.of(log)
        own: Integers | slice = slice(None) if is_alone else self.at
        self._row: Integers = part.row[own]
        self._known_ns: Integers = part.known_ns[own]
        self._change = self._rows.change[self._row]
        self._ends_ns: Integers = event_ends_ns(DATASETS[self.dataset], self._rows.table)[self._row]
        self._before_ns = EARLIEST_NS if before is None else before.newest_ns
        self._end_before_ns = EARLIEST_NS if before is None else before.last_end_ns
        self._newest_before = None if before is None else before.newest(len(before.at))
        self._bar_before = None if before is None else before.last_bar(len(before.at))

    def index_of(self, place: int) -> int:
        """Return the index of the first of the rows that are at a place of the part, or behind it."""
        return len(self.at) if self.is_passed else int(self.at.searchsorted(place))

    def first(self, begin: int, end: int, *, has_ineligible: bool) -> int | None:
        """Return the first of the rows [begin, end) that may fill orders, or of all; None if there is none."""
        rows = self._rows_as_they_came if has_ineligible else self._rows_that_count
        place = int(rows.searchsorted(begin))
        return rows.item(place) if place < len(rows) and rows[place] < end else None

    def newest(self, before: int) -> Quote | RowPrice | None:
        """Return the newest eligible row before an index, of trades and bars its price; None if there is none."""
        place = int(self._newest_so_far.searchsorted(before))
        return self._at(self._newest_so_far.item(place - 1)) if place else self._newest_before

    def dated(self, until_ns: int) -> Quote | RowPrice | None:
        """Return the last eligible row of the part that is dated up to an instant, of bars the last that ended by then."""
        rows, event_ns = self._by_event
        place = int(event_ns.searchsorted(until_ns, side="right"))
        return self._at(rows.item(place - 1)) if place else None

    def last_bar(self, before: int) -> RowPrice | None:
        """Return the price of the last bar before an index, also of one outside of sessions, if it ended before the first trade."""
        index = before - 1
        if self.dataset != BARS.name:
            return None
        if index < 0 or self._change[index] != ROW or self._ends_ns[index] > self._bars_until_ns:
            return self._bar_before
        return self._price(index)

    def value(self, index: int) -> MarketRow:
        """Return a row as a value of the core."""
        row = self._row.item(index)
        ref = self._ref(self._rows.stored_name(row), row)
        change = self._change[index]
        if change == ROW:
            return self._value(index, ref)
        before = self._value(index, self._ref(self._rows.target(row), row))
        return RowCorrection(
            ref=ref,
            action="cancel" if change == CANCEL else "correct",
            before=before,
            after=None if change == CANCEL else before,
            known_ns=int(self._known_ns[index]),
        )

    def _at(self, index: int) -> Quote | RowPrice | None:
        if self.dataset != QUOTES.name:
            return self._price(index)
        value = self.value(index)
        return value if isinstance(value, Quote) else None

    def _price(self, index: int) -> RowPrice:
        row = self._row.item(index)
        price = self._rows["price" if self.dataset == TRADES.name else "close"].item(row)
        ref = self._ref(self._rows.stored_name(row), row)
        return RowPrice(ref, price_of(price), self._ends_ns.item(index))

    def _ref(self, name: StoredName, row: int) -> RowRef:
        return RowRef(
            dataset=self.dataset,
            symbol=self.symbol,
            commit=name.commit,
            ordinal=name.ordinal,
            timestamp_ns=self._rows.time_ns.item(row),
        )

    def _value(self, index: int, ref: RowRef) -> StoredRow:
        row = self._row.item(index)
        cells = [(_value_in(self._rows[name].item(row)),) for name in VALUE_COLUMNS[self.dataset]]
        if self.dataset == BARS.name:
            cells.append((self._ends_ns.item(index),))
        values = values_of(
            self.dataset,
            self._instrument,
            (ref,),
            cells,
            known_ns=(self._known_ns.item(index),),
            is_eligible=(self._is_eligible.item(index),),
        )
        return next(values)

    @cached_property
    def _is_eligible(self) -> Mask:
        """Whether each row may fill orders and be a mark; see `trading.market.rows`."""
        # The rules take rows in the order of the table.
        rows, in_table = self._rows.table, np.empty_like(self._known_ns)
        if self.dataset == BARS.name:
            ends_ns = np.append(self._end_before_ns, self._ends_ns)
            in_table[self._row] = np.maximum.accumulate(ends_ns)[:-1]
            return eligible_bars(self._instrument, rows, in_table, self._bars_until_ns)[self._row]
        if self.is_rate:
            return rate_quotes(rows)[self._row]
        in_table[self._row] = self._known_ns
        return eligible_rows(DATASETS[self.dataset], self._instrument, rows, in_table)[self._row]

    @property
    def last_end_ns(self) -> int:
        """The largest end of the bars until the end of the part."""
        return max(int(self._ends_ns.max()), self._end_before_ns)

    @property
    def newest_ns(self) -> int:
        """The largest event time of the eligible rows until the end of the part, of bars their end."""
        newest = self._newest_so_far
        return int(self._ends_ns[newest[-1]]) if len(newest) else self._before_ns

    @cached_property
    def _rows_as_they_came(self) -> Integers:
        """The indices of the rows that are no corrections; of corporate actions all. Those after the end are left out."""
        came = (self._change == ROW) | (self.dataset == CORPORATE_ACTIONS.name)
        return np.flatnonzero(came & ((self._known_ns < self._end_ns) | (self.dataset == BARS.name)))

    @cached_property
    def _rows_that_count(self) -> Integers:
        """The indices of the rows that are eligible, and no corrections; of corporate actions all."""
        rows = self._rows_as_they_came
        return rows[self._is_eligible[rows]]

    @cached_property
    def _by_event(self) -> tuple[Integers, Integers]:
        """The indices of the rows that count by their event times, and these times."""
        rows = self._rows_that_count[self._ends_ns[self._rows_that_count].argsort(kind="stable")]
        return rows, self._ends_ns[rows]

    @cached_property
    def _newest_so_far(self) -> Integers:
        """The indices of the rows that count and are not older than any before them, also of earlier parts."""
        rows = self._rows_that_count
        time_ns = self._ends_ns[rows]
        return rows[time_ns >= np.maximum.accumulate(np.append(self._before_ns, time_ns))[1:]]


def _value_in(cell: Any) -> Any:
    """Return what a column has in a row; None for a null."""
    return None if isinstance(cell, float) and isnan(cell) else cell


@dataclass(slots=True)
class ReplayedRows:
    """The rows of a replay, from the first to the last.

    instruments: by symbol. logs: those that count, as (dataset, symbol). bars_until_ns: by symbol, see `eligible_bars`.
    end_ns: leaves out rows that become known then or later, except bars that end then. rates: the symbols that
    `newest_rate` may be asked for.
    """

    replay: MarketReplay
    instruments: Mapping[str, Instrument]
    logs: Collection[tuple[str, str]]
    bars_until_ns: Mapping[str, int]
    end_ns: int = LATEST_NS
    rates: Collection[str] = ()
    _parts: Iterator[ReplayPart] = field(init=False)
    _part: ReplayPart | None = None
    # All rows of the part before it were passed.
    _place: int = 0
    _logs: dict[tuple[str, str], LogPart] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parts = iter(self.replay)
        self._begin_part()

    def next(
        self,
        symbols: Collection[str],
        before_ns: int,
        *,
        quoted: Collection[str] | None = None,
        has_ineligible: bool = False,
    ) -> MarketRow | None:
        """Return the next row of some symbols that is known before an instant; None if there is none.

        Corporate actions of all symbols are returned, because they may take effect on a position that is opened later.
        quoted: the symbols whose quotes are returned; None for all of `symbols`.
        has_ineligible: whether rows are returned that cannot fill orders, too. All rows before the returned one are passed;
        without one, all that are known before the instant.
        """
        while self._part is not None:
            end = self._place_of(self._part, before_ns)
            found = self._first(symbols, quoted, end, has_ineligible) if end > self._place else None
            if found is not None:
                place, log, index = found
                self._place = place + 1
                return log.value(index)
            self._place = end
            if end < len(self._part):
                return None
            self._begin_part()
        return None

    def newest(self, symbol: str) -> tuple[Quote | None, RowPrice | None]:
        """Return the newest quote and the last price of a symbol by the rows that were passed."""
        return self._newest_in(QUOTES.name, symbol, self._place), self._last_price(symbol, self._place)

    def newest_rate(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        """Return the newest quote of a pair of currencies, which may be locked, and its last price.

        All rows count that are known at the instant: bars of a symbol and of a pair become known at once, in the order
        of their names.
        """
        place = self._place if self._part is None else self._place_of(self._part, now_ns + 1)
        return self._newest_in(_RATES, symbol, place), self._last_price(symbol, place)

    def past_rate(self, symbol: str, at_ns: int) -> tuple[Quote | None, RowPrice | None] | None:
        """Return what `newest_rate` does, by the rows that are dated up to an instant of the past.

        None if a row of an earlier part may be one of them.
        """
        is_before_trades = at_ns < self.bars_until_ns.get(symbol, at_ns)
        prices = BARS.name if is_before_trades else TRADES.name
        found: list[Any] = []
        for dataset, key in ((QUOTES.name, _RATES), (prices, prices)):
            log = self._logs.get((key, symbol))
            found.append(None if log is None else log.dated(at_ns))
            if found[-1] is None and (dataset, symbol) in self.logs:
                return None
        return found[0], found[1]

    def price_before_last(self, symbol: str) -> RowPrice | None:
        """Return the last price of a symbol before the row that `next` returned last."""
        return self._last_price(symbol, self._place - 1)

    def _place_of(self, part: ReplayPart, before_ns: int) -> int:
        """Return the place of the next row that is known at an instant or later; behind the part if it has none."""
        known_ns, place = part.known_ns, self._place
        # Mostly it is the next row.
        if place < len(known_ns) and known_ns.item(place) >= before_ns:
            return place
        return max(int(known_ns.searchsorted(before_ns)), place)

    def _first(
        self, symbols: Collection[str], quoted: Collection[str] | None, end: int, has_ineligible: bool
    ) -> tuple[int, LogPart, int] | None:
        """Return the first row before a place to return: its place, its log, and its index there."""
        found = None
        for log in self._logs.values():
            wanted = symbols if quoted is None or log.dataset != QUOTES.name else quoted
            is_action = log.dataset == CORPORATE_ACTIONS.name
            if log.is_passed or log.is_rate or not (is_action or log.symbol in wanted):
                continue
            begin, behind = log.index_of(self._place), log.index_of(end)
            index = log.first(begin, behind, has_ineligible=has_ineligible) if begin < behind else None
            if index is not None:
                end = log.at.item(index)
                found = end, log, index
        return found

    def _last_price(self, symbol: str, place: int) -> RowPrice | None:
        bars = self._logs.get((BARS.name, symbol))
        newest: RowPrice | None = self._newest_in(TRADES.name, symbol, place)
        newest = newest or self._newest_in(BARS.name, symbol, place)
        if newest is None and bars is not None:
            newest = bars.last_bar(bars.index_of(place))
        return newest

    def _newest_in(self, dataset: str, symbol: str, place: int) -> Any:
        """Return the newest eligible row of a log before a place: a quote, or a price; None if there is none."""
        log = self._logs.get((dataset, symbol))
        return None if log is None else log.newest(log.index_of(place))

    def _begin_part(self) -> None:
        """Go on to the next part."""
        part = self._part = next(self._parts, None)
        self._place = 0
        for passed in self._logs.values():
            passed.is_passed = True
        if part is None:
            return
        for log in part.present:
            dataset, symbol = part.logs[log]
            if (dataset, symbol) in self.logs:
                self._begin_log(part, log, (dataset, symbol))
            if dataset == QUOTES.name and symbol in self.rates:
                self._begin_log(part, log, (_RATES, symbol))

    def _begin_log(self, part: ReplayPart, log: int, key: tuple[str, str]) -> None:
        symbol, before = key[1], self._logs.get(key)
        self._logs[key] = LogPart(
            part,
            log,
            self.instruments[symbol],
            before,
            bars_until_ns=self.bars_until_ns[symbol],
            end_ns=self.end_ns,
            is_rate=key[0] == _RATES,
        )
