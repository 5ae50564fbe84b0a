"""Stored rows as values of the core, and which of them count: eligible prints and eligible quotes."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from store.arrays import Integers, Mask
from store.bars.prints import has_condition, masks_of
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.quote_conditions import INELIGIBLE
from store.rows.knowledge import event_ends_ns
from store.timestamps import SECOND_NS
from trading.core.amounts import price_of
from trading.core.events import BarPrint, Print, RowRef
from trading.core.rows import CorporateAction, Quote, StatusChange, StoredRow
from trading.market.hours import bars_of_sessions, ex_dates, is_in_session

# FINRA rules 6282, 6380A and 6622: trades are reported within ten seconds.
LATE_NS = 10 * SECOND_NS
# Prints whose price is not that of the market when they are reported.
_NOT_OF_THE_MOMENT = (
    *("out_of_sequence", "odd_lot", "average_price", "opening_print", "closing_print", "reopening_print"),
    *("cross", "official_open", "official_close", "corrected_close", "prior_reference_price"),
    *("sold_last", "bunched_sold"),
)

VALUE_COLUMNS = {
    TRADES.name: ["price", "volume"],
    QUOTES.name: ["bid", "ask"],
    BARS.name: ["open", "high", "low", "close", "volume"],
    CORPORATE_ACTIONS.name: ["kind", "ratio", "amount", "currency"],
    TRADING_STATUS.name: ["status", "reason"],
}
"""What of a stored row is of its value."""


class FollowedRows(NamedTuple):
    """Rows of a log. rows: in the dataset's schema. known_ns: when each was known.

    before_ns: the largest event time in the log before each row. bars_until_ns: the time of the symbol's first trade.
    is_filled: whether a backfill stored them, while the wall clock goes on: they fill nothing.
    """

    dataset: Dataset
    instrument: Instrument
    rows: pa.RecordBatch
    refs: Iterable[RowRef]
    known_ns: Integers
    before_ns: Integers
    bars_until_ns: int = ALL_TIME.end_ns
    is_filled: bool = False


def ordinary_prints(rows: pa.Table, instrument: Instrument) -> Mask:
    """Return which trades are of the market at their time: their price may be that of the instrument.

    They have volume, are in a regular session, set open and close by the instrument's bar policy, and have no word
    such as `odd_lot`.
    """
    sets_open_close, _, _ = masks_of(rows, instrument.policy)
    has_volume = rows.column("volume").to_numpy() > 0
    is_inside = is_in_session(instrument, rows.column("timestamp").to_numpy())
    is_ordinary: Mask = sets_open_close & has_volume & is_inside & ~has_condition(rows, *_NOT_OF_THE_MOMENT)
    return is_ordinary


def firm_quotes(rows: pa.Table) -> Mask:
    """Return which quotes are firm and have both sides. Locked and crossed quotes count."""
    bid, ask = (rows.column(name).to_numpy() for name in ("bid", "ask"))
    is_firm: Mask = ~np.isnan(bid) & ~np.isnan(ask) & ~has_condition(rows, *INELIGIBLE)
    return is_firm


def rate_quotes(rows: pa.Table) -> Mask:
    """Return which quotes of a pair of currencies are a rate: firm, with both sides, not crossed. A fixing is a locked quote."""
    bid, ask = (rows.column(name).to_numpy() for name in ("bid", "ask"))
    is_rate: Mask = (bid <= ask) & ~has_condition(rows, *INELIGIBLE)
    return is_rate


def market_values(batch: FollowedRows) -> Iterator[StoredRow]:
    """Yield each row as a value of the core. The dataset must be one of those that trading follows."""
    columns = [batch.rows.column(name).to_pylist() for name in VALUE_COLUMNS[batch.dataset.name]]
    if batch.dataset is BARS:
        columns.append(event_ends_ns(BARS, batch.rows).tolist())
    rows = pa.Table.from_batches([batch.rows])
    if batch.dataset is BARS:
        is_eligible = eligible_bars(batch.instrument, rows, batch.before_ns, batch.bars_until_ns)
    else:
        is_eligible = eligible_rows(batch.dataset, batch.instrument, rows, batch.known_ns)
    if batch.is_filled and batch.dataset is not QUOTES:
        is_eligible &= False
    known_ns, eligible = batch.known_ns.tolist(), is_eligible.tolist()
    name, instrument = batch.dataset.name, batch.instrument
    return values_of(name, instrument, batch.refs, columns, known_ns=known_ns, is_eligible=eligible)


def values_of(
    dataset: str,
    instrument: Instrument,
    refs: Iterable[RowRef],
    columns: Sequence[Iterable[Any]],
    *,
    known_ns: Iterable[int],
    is_eligible: Iterable[bool] = (True,),
) -> Iterator[StoredRow]:
    """Yield rows as values of the core. columns: their VALUE_COLUMNS, and the ends of bars.

    No Python runs for a row but for its prices: a trade takes half a microsecond.
    """
    if dataset == TRADES.name:
        return map(Print, refs, *(map(price_of, each) for each in columns), known_ns, is_eligible)
    if dataset == QUOTES.name:
        sides = (map(partial(_quoted, instrument), each) for each in columns)
        return map(Quote, refs, *sides, known_ns, is_eligible)
    if dataset == BARS.name:
        *prices, volume, ends_ns = columns
        amounts: tuple[Iterator[Any], ...] = (*(map(price_of, each) for each in prices), map(_amount, volume))
        return map(BarPrint, refs, *amounts, ends_ns, known_ns, is_eligible)
    if dataset == TRADING_STATUS.name:
        return map(StatusChange, refs, *columns, known_ns)
    (kind, ratio, amount, currency), refs = columns, list(refs)
    ex = (each.tolist() for each in ex_dates(instrument, np.array([each.timestamp_ns for each in refs])))
    return map(
        CorporateAction, refs, *ex, kind, map(_amount, ratio), map(_amount, amount), currency, known_ns
    )


def _amount(stored: float | None) -> Decimal | None:
    return None if stored is None else price_of(stored)


def _quoted(instrument: Instrument, side: float | None) -> Decimal | None:
    """Return a side of a quote. Zero and less mean that nobody quotes, unless the instrument has such prices."""
    if side is None or (side <= 0 and not instrument.allow_nonpositive_price):
        return None
    return price_of(side)


def eligible_rows(dataset: Dataset, instrument: Instrument, rows: pa.Table, known_ns: Integers) -> Mask:
    """Return which rows may fill orders and be a price. known_ns: see `FollowedRows`. For bars see `eligible_bars`."""
    if dataset is QUOTES:
        return firm_quotes(rows)
    if dataset is TRADES:
        is_in_time: Mask = known_ns - rows.column("timestamp").to_numpy() <= LATE_NS
        return ordinary_prints(rows, instrument) & is_in_time
    return np.ones(len(rows), np.bool_)


def eligible_bars(instrument: Instrument, rows: pa.Table, before_ns: Integers, until_ns: int) -> Mask:
    """Return which stored bars may be a price. before_ns, until_ns: see `FollowedRows`, `bars_until_ns`.

    A bar counts if it begins after all bars before it, so that of several resolutions the first does, ends before the
    symbol has trades, and is of sessions: see `bars_of_sessions`. It fills orders if it also begins in a session: see
    `bar_begins_in_session`.
    """
    starts_ns: Integers = rows.column("timestamp").to_numpy()
    ends_ns = event_ends_ns(BARS, rows)
    is_eligible: Mask = (starts_ns >= before_ns) & (ends_ns <= until_ns)
    return is_eligible & bars_of_sessions(instrument, starts_ns, ends_ns)
