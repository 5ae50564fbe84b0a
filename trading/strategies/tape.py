"""A tape: the rows of a replay, of which only those that may matter become values of the core."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf, isnan, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from store.arrays import Floats, Integers, Mask
from store.cached_property import cached_property
from store.datasets import BARS, CORPORATE_ACTIONS, DATASETS, QUOTES, TRADES
from store.instruments import Instrument
from store.reading.replay import MarketReplay
from store.reading.replay_log import CANCEL, ROW, Codes
from store.reading.replay_part import LogRows, ReplayPart, StoredName
from store.rows.knowledge import event_ends_ns
from store.timestamps import EARLIEST_NS
from trading.core.amounts import finest_step, price_of
from trading.core.events import BarPrint, Print, RowRef
from trading.core.rows import MarketRow, Quote, RowCorrection, StoredRow
from trading.market.newest_rows import PRICE_COLUMNS, ROWS_WITH_DIGITS, RowPrice
from trading.market.rows import VALUE_COLUMNS, eligible_bars, eligible_rows, rate_quotes, values_of

# The quotes of a pair of currencies as rates, in the place of the dataset's name.
_RATES = "rates"
# So many rows are compared with a band at first; then twice as many, because a price that stayed inside may stay.
_FIRST_ROWS = 256
# So many rows ahead are looked through for the next that may matter.
_ROWS_AHEAD = 4_096


@dataclass(frozen=True, slots=True)
class Band:
    """The prices between which a row of a symbol changes nothing, both exclusive.

    has_ineligible: whether rows matter that are not eligible, too.
    """

    low: float = -inf
    high: float = inf
    has_ineligible: bool = False


EVERY_ELIGIBLE_ROW, NO_PRICE = Band(inf, -inf), Band()
EVERY_ROW = Band(inf, -inf, has_ineligible=True)


class LogPart:
    """The rows of one log in a part, in the order of the part. at: their indices in the part."""

    def __init__(
        self,
        part: ReplayPart,
        log: int,
        instrument: Instrument,
        before: "LogPart | None",
        bars_until_ns: int,
        *,
        is_rate: bool = False,
    ) -> None:
        """before: the log's rows in the last part that had any. bars_until_ns: see `eligible_bars`.

        is_rate: whether the eligible quotes are those that are a rate, see `rate_quotes`.
        """
        self.is_rate = is_rate
        self._is_whole = len(part.present) == 1
        self.at: Integers = np.arange(len(part)) if self._is_whole else np.flatnonzero(part.log == log)
        self.dataset, self.symbol = part.logs[log]
        self._instrument, self._bars_until_ns = instrument, bars_until_ns
        self._end_before_ns = EARLIEST_NS if before is None else before.last_end_ns
        self._newest_before_ns = EARLIEST_NS if before is None else before.newest_ns
        self._last_prices_before = [] if before is None else before.last_prices(len(before.at))
        self._known_ns = part.known_ns if self._is_whole else part.known_ns[self.at]
        self._rows: LogRows = part.of(log)
        self._row: Integers = part.row if self._is_whole else part.row[self.at]
        self._priced: tuple[int, RowPrice] | None = None

    def index_of(self, place: int) -> int:
        """Return the index of the first of the rows that are at a place of the part, or behind it."""
        return min(place, len(self.at)) if self._is_whole else int(self.at.searchsorted(place))

    def first(self, begin: int, end: int, band: Band) -> int | None:
        """Return the first of the rows [begin, end) that may matter; None if none does."""
        if begin < end and (band.has_ineligible or (band is EVERY_ELIGIBLE_ROW and self._is_plain)):
            return begin
        count = _FIRST_ROWS
        low, high = self._lows_and_highs
        if begin < end and (low[begin] <= band.low or high[begin] >= band.high):
            return begin
        while begin < end:
            part = slice(begin, min(begin + count, end))
            matters = low[part] <= band.low
            matters |= high[part] >= band.high
            place = int(matters.argmax())
            if matters[place]:
                return begin + place
            begin, count = part.stop, 2 * count
        return None

    def newest(self, before: int) -> int | None:
        """Return the newest eligible row before a row; None if it is in an earlier part, or there is none."""
        newest = self._newest_so_far
        # Mostly each row is newer than those before it.
        place = before if len(newest) == len(self.at) else int(newest.searchsorted(before))
        return newest.item(place - 1) if place else None

    def dated(self, until_ns: int) -> int | None:
        """Return the last eligible row that is dated up to an instant, of bars the last that ended by then."""
        rows, event_ns = self._by_event
        place = int(event_ns.searchsorted(until_ns, side="right"))
        return rows.item(place - 1) if place else None

    def event_ns(self, index: int) -> int:
        """Return the event time of a row, of a bar its end."""
        return self._event_ns.item(index)

    def last_bar(self, place: int | None) -> int | None:
        """Return the last bar before a place of the part, or of the whole part, if it ended before the first trade."""
        index = (len(self.at) if place is None else self.index_of(place)) - 1
        if index < 0 or self._is_special[index] or self._ends_ns[index] > self._bars_until_ns:
            return None
        return index

    def value(self, index: int) -> MarketRow:
        """Return a row as a value of the core."""
        row, ref = self._row.item(index), self._stored_ref(index)
        change = self._change[row]
        if change == ROW:
            value = self._value(index, ref)
            # The row that matters is asked for again, as the newest price.
            if isinstance(value, Print):
                self._priced = index, RowPrice(ref, value.price, ref.timestamp_ns)
            elif isinstance(value, BarPrint):
                self._priced = index, RowPrice(ref, value.close, value.end_ns)
            return value
        before = self._value(index, self._ref(self._rows.target(row), row))
        return RowCorrection(
            ref=ref,
            action="cancel" if change == CANCEL else "correct",
            before=before,
            after=None if change == CANCEL else before,
            known_ns=int(self._known_ns[index]),
        )

    def price(self, index: int) -> RowPrice:
        """Return the price of a trade or a stored bar."""
        if self._priced is not None and self._priced[0] == index:
            return self._priced[1]
        row, ref = self._row.item(index), self._stored_ref(index)
        if self.dataset == TRADES.name:
            return RowPrice(ref, price_of(self._rows["price"][row]), ref.timestamp_ns)
        return RowPrice(ref, price_of(self._rows["close"][row]), int(self._ends_ns[index]))

    def last_prices(self, end: int) -> list[tuple[float, ...]]:
        """Return the prices of the last ROWS_WITH_DIGITS rows before a row, row by row. They may be of earlier parts."""
        if self.dataset not in PRICE_COLUMNS:
            return []
        rows = self._row[max(end - ROWS_WITH_DIGITS, 0) : end]
        prices = zip(*(self._rows[name][rows].tolist() for name in PRICE_COLUMNS[self.dataset]), strict=True)
        return [*self._last_prices_before, *prices][-ROWS_WITH_DIGITS:]

    def _stored_ref(self, index: int) -> RowRef:
        row = self._row.item(index)
        return self._ref(self._rows.stored_name(row), row)

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
        cells = [(_value_in(column.item(row)),) for column in self._value_columns]
        if self.dataset == BARS.name:
            cells.append((self._ends_ns.item(index),))
        values = values_of(
            self.dataset,
            self._instrument,
            (ref,),
            cells,
            known_ns=(self._known_ns.item(index),),
            is_eligible=(self.is_eligible.item(index),),
        )
        return next(values)

    @cached_property
    def is_eligible(self) -> Mask:
        """Whether each row may fill orders and be a mark; see `trading.market.rows`."""
        # The rules take rows in the order of the table.
        rows, in_table = self._rows.table, np.empty_like(self._known_ns)
        if self.dataset == BARS.name:
            ends_ns = np.append(self._end_before_ns, self._ends_ns)
            in_table[self._row] = np.maximum.accumulate(ends_ns)[:-1]
            return eligible_bars(self._instrument, rows, in_table, self._bars_until_ns)[self._row]
        in_table[self._row] = self._known_ns
        if self.is_rate:
            return rate_quotes(rows)[self._row]
        return eligible_rows(DATASETS[self.dataset], self._instrument, rows, in_table)[self._row]

    @property
    def last_end_ns(self) -> int:
        """The largest end of the bars until the end of the part."""
        before_ns = self._end_before_ns
        return max(int(self._ends_ns.max()), before_ns) if self.dataset == BARS.name else before_ns

    @property
    def newest_ns(self) -> int:
        """The largest event time of the eligible rows until the end of the part, of bars their end."""
        newest = self._newest_so_far
        return int(self._event_ns[newest[-1]]) if len(newest) else self._newest_before_ns

    @cached_property
    def _value_columns(self) -> list[npt.NDArray[Any]]:
        return [self._rows[name] for name in VALUE_COLUMNS[self.dataset]]

    @cached_property
    def _change(self) -> Codes:
        return self._rows.change

    @cached_property
    def _is_special(self) -> Mask:
        if self.dataset == CORPORATE_ACTIONS.name:
            return np.ones(len(self.at), np.bool_)
        changes: Mask = self._change[self._row] != ROW
        return changes

    @cached_property
    def _is_plain(self) -> bool:
        """Whether each row is eligible, and none is a correction or an action."""
        return bool(self.is_eligible.all()) and not self.has_special

    @cached_property
    def has_special(self) -> bool:
        """Whether a row is a correction or an action."""
        return bool(self._is_special.any())

    @cached_property
    def _ends_ns(self) -> Integers:
        batch = self._rows.table.combine_chunks().to_batches()[0]
        return event_ends_ns(DATASETS[self.dataset], batch)[self._row]

    @cached_property
    def _lows_and_highs(self) -> tuple[Floats, Floats]:
        """The lowest and the highest price of each row. Corrections and actions match every band: their low is -inf.

        Rows that are not eligible match none: theirs are NaN.
        """
        names = {TRADES.name: ("price",), QUOTES.name: ("bid", "ask"), BARS.name: ("low", "high")}
        if self.dataset not in names:
            return np.full(len(self.at), -inf), np.full(len(self.at), inf)
        columns = [self._rows[name][self._row] for name in names[self.dataset]]
        low, high = columns[0], columns[-1]
        if self.dataset == QUOTES.name:
            # Without one side, the last price may be the mark: such a quote matches every band.
            least = -inf if self._instrument.allow_nonpositive_price else 0.0
            low[~((low > least) & (high > least))] = -inf
        if self._is_plain:
            return low, high
        high = high.copy()
        low[~self.is_eligible], high[~self.is_eligible] = nan, nan
        low[self._is_special] = -inf
        return low, high

    @cached_property
    def _event_ns(self) -> Integers:
        """The event time of each row, of a bar its end."""
        return self._ends_ns if self.dataset == BARS.name else self._rows.time_ns[self._row]

    @cached_property
    def _by_event(self) -> tuple[Integers, Integers]:
        """The indices of the eligible rows by their event times, and these times."""
        rows = np.flatnonzero(self.is_eligible & ~self._is_special)
        rows = rows[self._event_ns[rows].argsort(kind="stable")]
        return rows, self._event_ns[rows]

    @cached_property
    def _newest_so_far(self) -> Integers:
        """The indices of the eligible rows that are newer than all eligible rows before them, also of earlier parts."""
        time_ns, before_ns = self._event_ns, self._newest_before_ns
        if self._is_plain and time_ns[0] >= before_ns and (time_ns[1:] >= time_ns[:-1]).all():
            return np.arange(len(time_ns))
        times = np.where(self.is_eligible & ~self._is_special, time_ns, np.iinfo(np.int64).min)
        return np.flatnonzero(times >= np.maximum(np.maximum.accumulate(times), before_ns))


def _value_in(cell: Any) -> Any:
    """Return what a column has in a row; None for a null."""
    return None if isinstance(cell, float) and isnan(cell) else cell


@dataclass(slots=True)
class Tape:
    """The rows of a replay, from the first to the last.

    instruments: by symbol. logs: those that count, as (dataset, symbol). bars_until_ns: by symbol, see `eligible_bars`.
    rates: the symbols that `newest_rate` may be asked for.
    Rows that are known before `_matters_ns` and were not returned change nothing.
    """

    replay: MarketReplay
    instruments: Mapping[str, Instrument]
    logs: Collection[tuple[str, str]]
    bars_until_ns: Mapping[str, int]
    rates: Collection[str] = ()
    _parts: Iterator[ReplayPart] = field(init=False)
    _part: ReplayPart | None = None
    _place: int = 0
    _matters_ns: int = 0
    # Between these bands no row of the part matters up to a place.
    _searched: tuple[Mapping[str, Band] | None, int] = None, 0
    _logs: dict[tuple[str, str], LogPart] = field(default_factory=dict)
    # Of each log the last part before that has rows, and the last one that has its newest eligible row.
    _before: dict[tuple[str, str], LogPart] = field(default_factory=dict)
    _with_newest: dict[tuple[str, str], LogPart] = field(default_factory=dict)
    _newest: dict[str, tuple[int, tuple[Quote | None, RowPrice | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parts = iter(self.replay)
        self._turn()

    def next(self, bands: Mapping[str, Band], before_ns: int) -> MarketRow | None:
        """Return the next row that may matter and is known before an instant; None if there is none.

        bands: of the symbols whose rows may matter; corporate actions always do. All rows before the returned one are passed over; without one, all
        that are known before the instant.
        """
        self._matters_ns = before_ns
        while self._part is not None:
            known_ns = self._part.known_ns
            end = self._place_of(known_ns, before_ns)
            found = self._first(bands, end) if end > self._place else None
            if found is not None:
                place, log, index = found
                self._place, self._matters_ns = place + 1, known_ns.item(place)
                return log.value(index)
            self._place = end
            if end < len(known_ns):
                return None
            self._turn()
        return None

    def next_ns(self, bands: Mapping[str, Band]) -> int | None:
        """Return an instant until which no row that may matter is known; None if there are no rows any more."""
        if self._part is None:
            return None
        end = min(self._place + _ROWS_AHEAD, len(self._part))
        found = self._first(bands, end)
        self._matters_ns = self._part.known_ns.item(end - 1 if found is None else found[0])
        return self._matters_ns

    def newest(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        """Return the newest quote and the last price of a symbol at an instant. Rows that may matter are not passed."""
        self._pass(min(now_ns + 1, self._matters_ns))
        found = self._newest.get(symbol)
        if found is None or found[0] != self._place:
            found = self._newest[symbol] = self._place, self._newest_of(symbol, self._place)
        return found[1]

    def newest_rate(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        """Return the newest quote of a pair of currencies, which may be locked, and its last price.

        All rows count that are known at the instant: bars of a symbol and of a pair become known at once, in the order
        of their names.
        """
        self._pass(min(now_ns + 1, self._matters_ns))
        place = self._place if self._part is None else self._place_of(self._part.known_ns, now_ns + 1)
        return self._newest_of(symbol, place, _RATES)

    def past_rate(self, symbol: str, at_ns: int) -> tuple[Quote | None, RowPrice | None] | None:
        """Return what `newest_rate` does, by the rows that are dated up to an instant of the past.

        None if these are of a part that is no longer kept.
        """
        is_before_trades = at_ns < self.bars_until_ns.get(symbol, at_ns)
        prices = BARS.name if is_before_trades else TRADES.name
        found = {}
        for dataset, key in ((QUOTES.name, _RATES), (prices, prices)):
            if (dataset, symbol) in self.logs:
                found[key] = self._dated(key, symbol, at_ns)
        if None in found.values():
            return None
        quote, last = found.get(_RATES), found.get(prices)
        value = None if quote is None else quote[0].value(quote[1])
        return (
            value if isinstance(value, Quote) else None,
            None if last is None else last[0].price(last[1]),
        )

    def _dated(self, dataset: str, symbol: str, until_ns: int) -> tuple[LogPart, int] | None:
        """Return the last eligible row that is dated up to an instant, of this part and the last one before it."""
        found = None
        for logs in (self._with_newest, self._logs):
            log = logs.get((dataset, symbol))
            index = None if log is None else log.dated(until_ns)
            if log is None or index is None:
                continue
            if found is None or log.event_ns(index) >= found[0].event_ns(found[1]):
                found = log, index
        return found

    def price_step(self, symbol: str, now_ns: int) -> Decimal | None:
        """See `Market.price_step`."""
        self._pass(min(now_ns + 1, self._matters_ns))
        prices = self._last_prices(TRADES.name, symbol) or self._last_prices(BARS.name, symbol)
        rows = self._last_prices(QUOTES.name, symbol) + prices
        return finest_step(price for row in rows for price in row)

    def _last_prices(self, dataset: str, symbol: str) -> list[tuple[float, ...]]:
        """Return the prices of the last rows that were passed, row by row."""
        log, log_before = self._logs.get((dataset, symbol)), self._before.get((dataset, symbol))
        if log is not None:
            return log.last_prices(log.index_of(self._place))
        return [] if log_before is None else log_before.last_prices(len(log_before.at))

    def price_before_last(self, symbol: str) -> RowPrice | None:
        """Return the last price of a symbol before the row that `next` returned last."""
        return self._last_price(symbol, self._place - 1)

    def _last_price(self, symbol: str, place: int) -> RowPrice | None:
        last = self._newest_in(TRADES.name, symbol, place) or self._newest_in(BARS.name, symbol, place)
        if last is None:
            last = self._last_bar(symbol, place)
        return None if last is None else last[0].price(last[1])

    def _pass(self, before_ns: int) -> None:
        while self._part is not None:
            known_ns = self._part.known_ns
            if self._place and known_ns.item(self._place - 1) >= before_ns:
                # All is passed. The next part is not begun, because `price_before_last` looks into this one.
                return
            self._place = self._place_of(known_ns, before_ns)
            if self._place < len(known_ns):
                return
            self._turn()

    def _place_of(self, known_ns: Integers, before_ns: int) -> int:
        """Return the place of the next row that is known at an instant or later; behind the part if it has none."""
        # Mostly it is the next row or the one behind it.
        for place in (self._place, self._place + 1):
            if place >= len(known_ns) or known_ns.item(place) >= before_ns:
                return min(place, len(known_ns))
        return int(known_ns.searchsorted(before_ns))

    def _newest_of(
        self, symbol: str, place: int, quotes: str = QUOTES.name
    ) -> tuple[Quote | None, RowPrice | None]:
        quote = self._newest_in(quotes, symbol, place)
        value = None if quote is None else quote[0].value(quote[1])
        return value if isinstance(value, Quote) else None, self._last_price(symbol, place)

    def _newest_in(self, dataset: str, symbol: str, place: int) -> tuple[LogPart, int] | None:
        key = dataset, symbol
        log = self._logs.get(key)
        index = None if log is None else log.newest(log.index_of(place))
        if log is not None and index is not None:
            return log, index
        log_before = self._with_newest.get(key)
        index = None if log_before is None else log_before.newest(len(log_before.at))
        return None if log_before is None or index is None else (log_before, index)

    def _last_bar(self, symbol: str, place: int) -> tuple[LogPart, int] | None:
        """Return the last bar that was passed, also one outside of sessions; see `last_price`."""
        key = BARS.name, symbol
        for log, end in ((self._logs.get(key), place), (self._before.get(key), None)):
            if log is not None and (index := log.last_bar(end)) is not None:
                return log, index
        return None

    def _first(self, bands: Mapping[str, Band], end: int) -> tuple[int, LogPart, int] | None:
        """Return the first row from the place on that may matter: its index in the part, its log, its index there."""
        found, place = None, self._place
        if bands is self._searched[0]:
            place = max(place, self._searched[1])
        for log in self._logs.values():
            # What is announced may take effect on a position that is opened later.
            band = NO_PRICE if log.dataset == CORPORATE_ACTIONS.name else bands.get(log.symbol)
            if band is None or log.is_rate or (band is NO_PRICE and not log.has_special):
                continue
            index = log.first(log.index_of(place), log.index_of(end), band)
            if index is not None:
                end = log.at.item(index)
                found = end, log, index
        self._searched = bands, max(place, end)
        return found

    def _turn(self) -> None:
        """Go on to the next part."""
        self._before |= self._logs
        self._with_newest |= {
            key: log for key, log in self._logs.items() if log.newest(len(log.at)) is not None
        }
        self._newest, self._searched = {}, (None, 0)
        part = self._part = next(self._parts, None)
        self._place = 0
        self._logs = {}
        if part is None:
            return
        for log in part.present:
            dataset, symbol = part.logs[log]
            if (dataset, symbol) in self.logs:
                self._begin_log(part, log, (dataset, symbol))
            if dataset == QUOTES.name and symbol in self.rates:
                self._begin_log(part, log, (_RATES, symbol))

    def _begin_log(self, part: ReplayPart, log: int, key: tuple[str, str]) -> None:
        symbol, before = key[1], self._before.get(key)
        self._logs[key] = LogPart(
            part, log, self.instruments[symbol], before, self.bars_until_ns[symbol], is_rate=key[0] == _RATES
        )
