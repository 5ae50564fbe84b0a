"""Stored rows as values of the core, and which of them count: eligible prints and eligible quotes."""

from collections.abc import Callable, Iterable, Iterator
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


def quoted(instrument: Instrument, side: float | None) -> Decimal | None:
    """Return a side of a quote. Zero and less mean that nobody quotes, unless the instrument has such prices."""
    if side is None or (side <= 0 and not instrument.allow_nonpositive_price):
        return None
    return price_of(side)


def market_values(batch: FollowedRows) -> Iterator[StoredRow]:
    """Yield each row as a value of the core. The dataset must be one of those that trading follows."""
    return _MAKERS[batch.dataset.name](batch)


def _prints(batch: FollowedRows) -> Iterator[StoredRow]:
    rows = pa.Table.from_batches([batch.rows])
    time_ns = rows.column("timestamp").to_numpy()
    is_eligible = ordinary_prints(rows, batch.instrument) & (batch.known_ns - time_ns <= LATE_NS)
    if batch.is_filled:
        is_eligible = np.zeros(len(time_ns), np.bool_)
    values = (batch.refs, *_columns(batch, "price", "volume"), batch.known_ns.tolist(), is_eligible.tolist())
    for ref, price, volume, known_ns, eligible in zip(*values, strict=True):
        yield Print(
            ref=ref,
            price=price_of(price),
            volume=price_of(volume),
            known_ns=known_ns,
            is_eligible=eligible,
        )


def _quotes(batch: FollowedRows) -> Iterator[StoredRow]:
    is_eligible = firm_quotes(pa.Table.from_batches([batch.rows]))
    values = (batch.refs, *_columns(batch, "bid", "ask"), batch.known_ns.tolist(), is_eligible.tolist())
    for ref, bid, ask, known_ns, eligible in zip(*values, strict=True):
        yield Quote(
            ref=ref,
            bid=quoted(batch.instrument, bid),
            ask=quoted(batch.instrument, ask),
            known_ns=known_ns,
            is_eligible=eligible,
        )


def _bars(batch: FollowedRows) -> Iterator[StoredRow]:
    """Yield bars.

    Only one that begins after all bars before it counts, so that of several resolutions the first does.
    """
    ends, names = event_ends_ns(BARS, batch.rows), ("open", "high", "low", "close", "volume")
    is_eligible = (batch.rows.column("timestamp").to_numpy() >= batch.before_ns) & (not batch.is_filled)
    instants = (batch.refs, ends.tolist(), batch.known_ns.tolist(), is_eligible.tolist())
    for ref, end_ns, known_ns, eligible, *prices in zip(*instants, *_columns(batch, *names), strict=True):
        amounts = dict(zip(names, map(price_of, prices), strict=True))
        yield BarPrint(ref=ref, end_ns=end_ns, known_ns=known_ns, is_eligible=eligible, **amounts)


def _actions(batch: FollowedRows) -> Iterator[StoredRow]:
    columns = _columns(batch, "kind", "ratio", "amount", "currency")
    ex = (each.tolist() for each in ex_dates(batch.instrument, batch.rows.column("timestamp").to_numpy()))
    for ref, date, effect_ns, known_ns, kind, ratio, amount, currency in zip(
        batch.refs, *ex, batch.known_ns.tolist(), *columns, strict=True
    ):
        yield CorporateAction(
            ref=ref,
            date=date,
            effective_ns=effect_ns,
            kind=kind,
            ratio=None if ratio is None else price_of(ratio),
            amount=None if amount is None else price_of(amount),
            currency=currency,
            known_ns=known_ns,
        )


def _changes(batch: FollowedRows) -> Iterator[StoredRow]:
    columns = _columns(batch, "status", "reason")
    for ref, known_ns, status, reason in zip(batch.refs, batch.known_ns.tolist(), *columns, strict=True):
        yield StatusChange(ref=ref, status=status, reason=reason, known_ns=known_ns)


def _columns(batch: FollowedRows, *names: str) -> list[list[Any]]:
    return [batch.rows.column(name).to_pylist() for name in names]


_MAKERS: dict[str, Callable[[FollowedRows], Iterator[StoredRow]]] = {
    TRADES.name: _prints,
    QUOTES.name: _quotes,
    BARS.name: _bars,
    CORPORATE_ACTIONS.name: _actions,
    TRADING_STATUS.name: _changes,
}
