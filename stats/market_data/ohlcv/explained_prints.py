"""Which prints made one bar: what set its prices, what counts in its volume, what was left out, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Floats, Integers, Mask
from store.bar_policies import BarPolicy
from store.bars.prints import Prints, prints_of
from store.bars.session_bars import SessionPrints, session_prints_of
from store.log_views.session_spans import OUTSIDE
from store.rows.stored_rows import ArrivalRun, stored_rows
from store.timestamps import LATEST_NS


@dataclass(frozen=True, slots=True)
class ExplainedPrints:
    """The prints that one bar could be made of, in order, and their part in it.

    rows: ordered rows that stand, in the dataset's schema, of the bar's interval and after it. prints: how each counts
    under the policy, in this bar. own: of the interval and its hours. credited: volume of a later interval without a
    price, which the bar gets. sets: the index of the row that sets `open`, `high`, `low` and `close`; empty if no
    print sets a price.
    """

    rows: pa.Table
    prints: Prints
    own: Mask
    credited: Mask
    sets: dict[str, int]

    @property
    def in_volume(self) -> Mask:
        """Whether each print counts in the bar's volume; none does if there is no bar."""
        return (self.own & self.prints.counts_volume & bool(self.sets)) | self.credited


def explained_prints(
    rows: pa.Table,
    policy: BarPolicy,
    own: Mask,
    *,
    by_daily_table: bool,
    labels: Integers,
) -> ExplainedPrints:
    """Explain the bar whose interval has the rows `own`.

    rows: as in `ExplainedPrints`; those after the interval are of its trading date. by_daily_table: whether the
    policy's daily table makes the bar. labels: of each row's interval.
    """
    stored = stored_rows(rows, [ArrivalRun(0, 1, rows.num_rows)])
    prints = prints_of(stored, policy)
    session = None
    if by_daily_table and policy.daily is not None:
        session = session_prints_of(stored, prints, policy.daily)
        prints = session.prints
    sets = _setters(prints, own, session)
    credited = np.zeros(len(prints), np.bool_)
    if sets and not by_daily_table:
        credited = _credited(prints, own, labels)
    return ExplainedPrints(rows, prints, own, credited, sets)


def _credited(prints: Prints, own: Mask, labels: Integers) -> Mask:
    """Return which prints after the interval have volume that is credited to it: those before the next price."""
    after = np.flatnonzero(~own & (prints.time > prints.time[own].max(initial=prints.time.min(initial=0))))
    credited = np.zeros(len(prints), np.bool_)
    if not len(after):
        return credited
    labels = labels[after]
    is_inside = labels != OUTSIDE
    priced = labels[is_inside & prints.sets_open_close[after]]
    is_before = is_inside & (labels < (priced[0] if len(priced) else LATEST_NS + 1))
    credited[after[is_before & prints.counts_volume[after]]] = True
    return credited


def _setters(prints: Prints, own: Mask, session: SessionPrints | None) -> dict[str, int]:
    """Return the indices of the prints that set the bar's prices; empty if none sets open and close."""
    priced = np.flatnonzero(own & prints.sets_open_close)
    if not len(priced):
        return {}
    first, last = int(priced[0]), int(priced[-1])
    if session is not None:
        first = _largest(prints, own & session.opening, first)
        last = _largest(prints, own & session.closing, _largest(prints, own & session.official_close, last))
    ranged = np.flatnonzero(own & prints.sets_high_low)
    candidates = ranged if len(ranged) and session is None else np.append(ranged, [first, last])
    prices: Floats = prints.price[candidates]
    high, low = candidates[int(prices.argmax())], candidates[int(prices.argmin())]
    return {"open": first, "high": int(high), "low": int(low), "close": last}


def _largest(prints: Prints, chosen: Mask, otherwise: int) -> int:
    """Return the first of the largest chosen prints; `otherwise` if none is chosen."""
    rows = np.flatnonzero(chosen)
    return int(rows[int(prints.volume[rows].argmax())]) if len(rows) else otherwise
