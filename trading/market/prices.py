"""The newest quote and the last price of a symbol: where the store has them, per unit of now, and as a reference."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from stats.live.tokens import head_of
from store.arrays import Mask
from store.bars.prints import standing
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.log_views.log_view import first_row, view_of
from store.market_store import MarketStore
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Window
from store.resolutions import Resolution
from store.rows.knowledge import event_ends_ns
from store.timestamps import DAY_NS, SECOND_NS
from store.walk import ALL_ROWS, LogPosition
from trading.core.amounts import ONE, ZERO, average, exact, price_of, quantity, scaled
from trading.core.events import BarPrint, Reference, RowRef
from trading.core.matching import Rate
from trading.core.positions import ExDividend
from trading.core.rows import Quote
from trading.core.terms import Side
from trading.exceptions import NoReferencePrice
from trading.market.hours import bars_of_sessions, dates_end_ns
from trading.market.rows import VALUE_COLUMNS, firm_quotes, ordinary_prints, rate_quotes, values_of

# So many rows are searched at a time, the last ones first. Few are read at first, because right after many small
# commits that takes a fraction of the time.
_ROWS_SEARCHED = (8, 128, 2_048, 32_768, 65_536)
MAX_LOGS = 2_048
# A quote this much older than the last price is no mark.
_OUTDATED_NS = 3_600 * SECOND_NS

_Found = tuple[Mapping[str, Any], RowRef] | None
_T = TypeVar("_T")
# By log, and what is asked of it: the commit and the declaration at which it was found.
_newest: dict[Hashable, tuple[CommitId, Instrument, Any]] = {}


class Split(NamedTuple):
    """A split. effect_ns: when it takes effect. date: its trading date, days since 1970. ratio: new units per old unit."""

    effect_ns: int
    date: int
    ratio: Decimal


class RowPrice(NamedTuple):
    """A price, the row that it comes from, and its time: of a stored bar its end."""

    ref: RowRef
    price: Decimal
    at_ns: int


def newest_quote(
    store: MarketStore,
    instrument: Instrument,
    now_ns: int,
    place: LogPosition | None = None,
    *,
    is_rate: bool = False,
) -> Quote | None:
    """Return the last firm quote that is dated up to an instant; None if there is none. Raises `StorageError`s.

    place: rows after it are not read, nor is what is corrected after it; None for all. is_rate: see `rate_quotes`.
    """
    is_wanted, what = (rate_quotes, "rate") if is_rate else (firm_quotes, "row")
    found = _newest_row(store, QUOTES, instrument, now_ns, is_wanted=is_wanted, place=place, what=what)
    if found is None:
        return None
    row, ref = found
    sides = [(row[name],) for name in VALUE_COLUMNS[QUOTES.name]]
    quote = next(values_of(QUOTES.name, instrument, (ref,), sides, known_ns=(now_ns,)))
    assert isinstance(quote, Quote)  # noqa: S101 it is of the log of quotes
    return quote


def bars_until_ns(store: MarketStore, symbol: str, trades: CommitId) -> int:
    """Return the time of a symbol's first trade: the bars that end by then fill orders and are prices.

    `ALL_TIME.end_ns` without trades. trades: the commit that is read. Raises `StorageError`s.
    """
    if trades == NO_COMMIT:
        return ALL_TIME.end_ns
    first = first_row(view_of(store.log(TRADES, symbol).at(trades.number)))
    return ALL_TIME.end_ns if first is None else int(first.column("timestamp")[0].as_py())


def last_price(
    store: MarketStore,
    instrument: Instrument,
    now_ns: int,
    place: LogPosition | None = None,
    bars: LogPosition | None = None,
) -> RowPrice | None:
    """Return the price of the last ordinary print that is dated up to an instant.

    Without one it is the close of the last stored bar of sessions that has ended, see `bars_until_ns` and
    `bars_of_sessions`; before the first of these the close of the last bar; None without bars. place: in the log of
    trades, see `newest_quote`; bars: in that of bars. Raises `StorageError`s.
    """
    is_wanted = partial(ordinary_prints, instrument=instrument)
    found = _newest_row(store, TRADES, instrument, now_ns, is_wanted=is_wanted, place=place)
    if found is not None:
        return RowPrice(found[1], price_of(found[0]["price"]), found[1].timestamp_ns)
    trades = head_of(store, TRADES, instrument.symbol) if place is None else place.commit
    return _last_close(store, instrument, now_ns, trades, bars)


class _Close(NamedTuple):
    """The close of the last bar that had ended by an instant in `[from_ns, until_ns)`."""

    price: RowPrice | None
    from_ns: int
    until_ns: int


def _last_close(
    store: MarketStore, instrument: Instrument, now_ns: int, trades: CommitId, place: LogPosition | None
) -> RowPrice | None:
    symbol = instrument.symbol
    if NO_COMMIT in (head_of(store, BARS, symbol), place and place.commit):
        return None
    over_ns = min(now_ns, bars_until_ns(store, symbol, trades))
    close = _kept(
        "close",
        store,
        BARS,
        instrument,
        now_ns=over_ns,
        search=partial(_searched_close, store, instrument, over_ns, place),
        place=place,
        is_of_now=lambda kept: kept.from_ns <= over_ns < kept.until_ns,
    )
    return None if close is None else close.price


def _searched_close(
    store: MarketStore, instrument: Instrument, over_ns: int, place: LogPosition | None
) -> _Close:
    """Return the close of the last bar that had ended by an instant; see `last_price`."""
    from_ns, until_ns = ALL_TIME.start_ns, ALL_TIME.end_ns

    def is_over(rows: pa.Table) -> Mask:
        nonlocal from_ns, until_ns
        ends_ns = event_ends_ns(BARS, rows)
        of_past: Mask = ends_ns <= over_ns
        from_ns = int(ends_ns[of_past].max(initial=from_ns))
        until_ns = int(ends_ns[~of_past].min(initial=until_ns))
        return of_past

    def is_of_session(rows: pa.Table) -> Mask:
        starts_ns, ends_ns = rows.column("timestamp").to_numpy(), event_ends_ns(BARS, rows)
        return is_over(rows) & bars_of_sessions(instrument, starts_ns, ends_ns)

    found = _searched_row(
        store, BARS, instrument.symbol, over_ns, is_wanted=is_of_session, place=place, otherwise=is_over
    )
    if found is None:
        return _Close(None, from_ns, until_ns)
    row, ref = found
    end_ns = ref.timestamp_ns + Resolution.parse(row["resolution"]).length_ns
    return _Close(RowPrice(ref, price_of(row["close"]), end_ns), from_ns, until_ns)


def _newest_row(
    store: MarketStore,
    dataset: Dataset,
    instrument: Instrument,
    now_ns: int,
    *,
    is_wanted: Callable[[pa.Table], Mask],
    place: LogPosition | None,
    what: str = "row",
) -> _Found:
    """Return the last wanted row that is dated up to an instant, and where it is stored; None if there is none.

    what: the name under which it is kept.
    """
    search = partial(
        _searched_row, store, dataset, instrument.symbol, now_ns, is_wanted=is_wanted, place=place
    )
    return _kept(what, store, dataset, instrument, now_ns=now_ns, search=search, place=place)


def _kept(
    what: str,
    store: MarketStore,
    dataset: Dataset,
    instrument: Instrument,
    *,
    now_ns: int,
    search: Callable[[], _T],
    place: LogPosition | None,
    is_of_now: Callable[[_T], bool] = lambda _: True,
) -> _T | None:
    """Return what a search of a log finds; None without a log.

    It is kept until the next commit, unless the log has rows that are dated after `now_ns`. is_of_now: returns whether
    what was found at another instant is also found at this one.
    """
    symbol = instrument.symbol
    head = head_of(store, dataset, symbol)
    if NO_COMMIT in (head, place and place.commit):
        return None
    if place is not None or store.log(dataset, symbol).at().first_commit_from(now_ns + 1) is not None:
        return search()
    key = (what, store, dataset.name, symbol)
    kept = _newest.get(key)
    if kept is not None and kept[:2] == (head, instrument) and is_of_now(kept[2]):
        found: _T = kept[2]
        return found
    found = search()
    if len(_newest) >= MAX_LOGS:
        _newest.clear()
    _newest[key] = head, instrument, found
    return found


def _searched_row(
    store: MarketStore,
    dataset: Dataset,
    symbol: str,
    now_ns: int,
    *,
    is_wanted: Callable[[pa.Table], Mask],
    place: LogPosition | None = None,
    otherwise: Callable[[pa.Table], Mask] | None = None,
) -> _Found:
    """Return the last wanted row that is dated up to an instant; without one the last row of `otherwise`."""
    window = Window(ALL_TIME.start_ns, now_ns + 1)
    commit = None if place is None else place.commit.number
    found: _Found = None
    for count in _ROWS_SEARCHED:
        part = store.log(dataset, symbol).at(commit).take_window(window, count, from_end=True)
        rows = store.log(dataset, symbol).at(commit).versions(part)
        is_read = standing(rows, None) & _is_before(store, place, dataset, symbol, rows)
        wanted = np.flatnonzero(is_read & is_wanted(rows))
        if len(wanted):
            return _found_row(store, dataset, symbol, rows, int(wanted[-1]))
        if found is None and otherwise is not None:
            others = np.flatnonzero(is_read & otherwise(rows))
            found = _found_row(store, dataset, symbol, rows, int(others[-1])) if len(others) else None
        if part.start_ns <= window.start_ns:
            break
        window = Window(window.start_ns, part.start_ns)
    return found


def _found_row(store: MarketStore, dataset: Dataset, symbol: str, rows: pa.Table, index: int) -> _Found:
    (row,) = rows.slice(index, 1).to_pylist()
    return row, _ref_of(store, dataset, symbol, row)


def _is_before(
    store: MarketStore, place: LogPosition | None, dataset: Dataset, symbol: str, versions: pa.Table
) -> Mask:
    """Return which versions are before a place.

    versions: up to its commit. Corrections of its commit count as before it.
    """
    is_before = np.ones(versions.num_rows, np.bool_)
    if place is None or place.ordinal == ALL_ROWS:
        return is_before
    time_ns, arrival, commit = (
        versions.column(name).to_numpy() for name in ("timestamp", "arrival", "commit")
    )
    own = np.flatnonzero(commit == place.commit.number)
    if len(own):
        timestamp_ns, number = int(time_ns[own[0]]), int(arrival[own[0]])
        stored_by, ordinal = (
            store.log(dataset, symbol).at().row_origin(timestamp_ns=timestamp_ns, arrival=number)
        )
        if stored_by == place.commit:
            is_before[own] = arrival[own] - number + ordinal < place.ordinal
    return is_before


def _ref_of(store: MarketStore, dataset: Dataset, symbol: str, version: Mapping[str, Any]) -> RowRef:
    time_ns = version["timestamp"]
    commit, ordinal = (
        store.log(dataset, symbol).at().row_origin(timestamp_ns=time_ns, arrival=version["arrival"])
    )
    return RowRef(
        dataset=dataset.name, symbol=symbol, commit=commit.token, ordinal=ordinal, timestamp_ns=time_ns
    )


def per_unit_now(
    quote: Quote | None, last: RowPrice | None, splits: Sequence[Split], *, now_ns: int
) -> tuple[Quote | None, RowPrice | None]:
    """Return a quote and a price in the units of now: those from before a split are divided by its ratio."""
    for split in splits:
        if split.effect_ns > now_ns:
            break
        if quote is not None and quote.ref.timestamp_ns < split.effect_ns:
            sides = {
                name: side and scaled(side, ONE, split.ratio)
                for name, side in (("bid", quote.bid), ("ask", quote.ask))
            }
            quote = msgspec.structs.replace(quote, **sides)
        if last is not None and _is_from_before(last, split.effect_ns, split.date):
            last = last._replace(price=scaled(last.price, ONE, split.ratio))
    return quote, last


def bar_per_unit_now(bar: BarPrint, began_ns: int, splits: Sequence[Split], *, now_ns: int) -> BarPrint:
    """Return a bar per unit of now: orders were split with the splits that took effect since the bar began."""
    return split_bar(bar, exact(ONE, *(each.ratio for each in splits if began_ns < each.effect_ns <= now_ns)))


def split_bar(bar: BarPrint, ratio: Decimal) -> BarPrint:
    """Return a bar as it would be after a split."""
    if ratio == ONE:
        return bar
    prices = {name: average(getattr(bar, name), ratio) for name in ("open", "high", "low", "close")}
    volume = None if bar.volume is None else quantity(bar.volume, ratio)
    return msgspec.structs.replace(bar, **prices, volume=volume, split=ratio)


def without_dividend(
    quote: Quote | None, last: RowPrice | None, dividend: ExDividend, *, may_be_negative: bool
) -> tuple[Quote | None, RowPrice | None]:
    """Return a quote and a price as they are after a dividend: its amount is subtracted from those that are older.

    A liquidation may pay more than the last price. may_be_negative: whether the rest may be below zero.
    """

    def without(price: Decimal) -> Decimal:
        rest = price - dividend.amount
        return rest if may_be_negative else max(rest, ZERO)

    if quote is not None and quote.ref.timestamp_ns < dividend.effective_ns:
        sides = {
            name: None if side is None else without(side)
            for name, side in (("bid", quote.bid), ("ask", quote.ask))
        }
        quote = msgspec.structs.replace(quote, **sides)
    if last is not None and _is_from_before(last, dividend.effective_ns, dividend.date):
        last = last._replace(price=without(last.price))
    return quote, last


def _is_from_before(last: RowPrice, effect_ns: int, date: int) -> bool:
    """Return whether a price is from before a corporate action. date: its trading date, days since 1970.

    A bar of days has midnights UTC for its trading dates, wherever its exchange is.
    """
    length_ns = last.at_ns - last.ref.timestamp_ns
    if length_ns >= DAY_NS:
        return (dates_end_ns(last.ref.timestamp_ns, last.at_ns) - 1) // DAY_NS < date
    return last.at_ns - (length_ns > 0) < effect_ns


def is_outdated(quote: Quote, last: RowPrice | None) -> bool:
    """Return whether a quote is much older than the last price."""
    return last is not None and last.at_ns - quote.ref.timestamp_ns > _OUTDATED_NS


def reference_from(
    symbol: str, quote: Quote | None, last: RowPrice | None, *, side: Side, rate: Rate
) -> Reference:
    """Return what the market looks like by its newest rows; see `Market.reference`. Raises `NoReferencePrice`."""
    if quote is not None and is_outdated(quote, last):
        quote = None
    bid, ask = (None, None) if quote is None else (quote.bid, quote.ask)
    asked = ask if side is Side.BUY else bid
    priced = last if quote is None or asked is None else RowPrice(quote.ref, asked, quote.ref.timestamp_ns)
    if priced is None:
        raise NoReferencePrice(symbol)
    refs = [] if quote is None else [quote.ref]
    if last is not None:
        refs.append(last.ref)
    if rate[1] is not None:
        refs.append(rate[1])
    return Reference(
        symbol=symbol,
        price=priced.price,
        rate=rate[0],
        bid=bid,
        ask=ask,
        last=None if last is None else last.price,
        at_ns=priced.at_ns,
        refs=tuple(refs),
    )
