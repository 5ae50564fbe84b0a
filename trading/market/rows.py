"""Stored rows as values of the core, and which of them count: eligible prints and eligible quotes."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from store.arrays import Integers, Mask
from store.bars.prints import has_condition, masks_of
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS
from store.declarations import Dataset
from store.instruments import Instrument
from store.quote_conditions import INELIGIBLE
from store.rows.knowledge import event_ends_ns
from store.timestamps import SECOND_NS
from trading.core.amounts import price_of
from trading.core.events import BarPrint, Print, RowRef
from trading.core.rows import CorporateAction, Quote, StatusChange, StoredRow
from trading.market.hours import ex_dates, is_in_session

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

    before_ns: the largest event time in the log before each row. is_filled: whether a backfill stored them, while the
    wall clock goes on: they fill nothing.
    """

    dataset: Dataset
    instrument: Instrument
    rows: pa.RecordBatch
    refs: Iterable[RowRef]
    known_ns: Integers
    before_ns: Integers
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
    """Return which quotes are firm, and neither locked nor crossed."""
    bid, ask = (rows.column(name).to_numpy() for name in ("bid", "ask"))
    is_firm: Mask = ~(bid >= ask) & ~has_condition(rows, *INELIGIBLE)
    return is_firm


def _quoted(instrument: Instrument, side: float | None) -> Decimal | None:
    """Return a side of a quote. Zero and less mean that nobody quotes, unless the instrument has such prices."""
    if side is None or (side <= 0 and not instrument.allow_nonpositive_price):
        return None
    return price_of(side)


def market_values(batch: FollowedRows) -> Iterator[StoredRow]:
    """Yield each row as a value of the core. The dataset must be one of those that trading follows."""
    names = VALUE_COLUMNS[batch.dataset.name]
    columns = [batch.rows.column(name).to_pylist() for name in names]
    if batch.dataset is BARS:
        names, columns = [*names, "end_ns"], [*columns, event_ends_ns(BARS, batch.rows).tolist()]
    rows = (dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True))
    known_ns, is_eligible = batch.known_ns.tolist(), _eligible(batch).tolist()
    for ref, row, known, eligible in zip(batch.refs, rows, known_ns, is_eligible, strict=True):
        yield market_value(batch.instrument, ref, row, known_ns=known, is_eligible=eligible)


def market_value(
    instrument: Instrument, ref: RowRef, row: Mapping[str, Any], *, known_ns: int, is_eligible: bool = True
) -> StoredRow:
    """Return a stored row as a value of the core. row: its VALUE_COLUMNS, and `end_ns` of a bar."""
    if ref.dataset == TRADES.name:
        price, volume = price_of(row["price"]), price_of(row["volume"])
        return Print(ref=ref, price=price, volume=volume, known_ns=known_ns, is_eligible=is_eligible)
    if ref.dataset == QUOTES.name:
        bid, ask = _quoted(instrument, row["bid"]), _quoted(instrument, row["ask"])
        return Quote(ref=ref, bid=bid, ask=ask, known_ns=known_ns, is_eligible=is_eligible)
    if ref.dataset == BARS.name:
        amounts = {name: price_of(row[name]) for name in VALUE_COLUMNS[BARS.name]}
        return BarPrint(ref=ref, end_ns=row["end_ns"], known_ns=known_ns, is_eligible=is_eligible, **amounts)
    if ref.dataset == TRADING_STATUS.name:
        return StatusChange(ref=ref, status=row["status"], reason=row["reason"], known_ns=known_ns)
    ratio, amount = (None if row[name] is None else price_of(row[name]) for name in ("ratio", "amount"))
    (date,), (effective_ns,) = ex_dates(instrument, np.array([ref.timestamp_ns]))
    return CorporateAction(
        ref=ref,
        date=int(date),
        effective_ns=int(effective_ns),
        kind=row["kind"],
        ratio=ratio,
        amount=amount,
        currency=row["currency"],
        known_ns=known_ns,
    )


def _eligible(batch: FollowedRows) -> Mask:
    """Return which rows may fill orders and be a price.

    Of bars only one that begins after all bars before it, so that of several resolutions the first does.
    """
    time_ns = batch.rows.column("timestamp").to_numpy()
    if batch.dataset is QUOTES:
        return firm_quotes(pa.Table.from_batches([batch.rows]))
    is_eligible: Mask = np.full(len(time_ns), not batch.is_filled)
    if batch.dataset is TRADES:
        rows = pa.Table.from_batches([batch.rows])
        is_eligible &= ordinary_prints(rows, batch.instrument) & (batch.known_ns - time_ns <= LATE_NS)
    elif batch.dataset is BARS:
        is_eligible &= time_ns >= batch.before_ns
    return is_eligible
