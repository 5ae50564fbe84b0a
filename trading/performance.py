"""How an account did in a period, and its equity at instants of the past, by its rows."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from heapq import merge
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
from django.db.models import Q, QuerySet

from store.arrays import Floats, Integers
from store.timestamps import DAY_NS
from trading.core.configuration import FillRule
from trading.core.events import RiskConfigured, decoded
from trading.core.positions import ClosedTrade
from trading.core.valuation import FillResult, Grouping, UnknownMark, equity_of, exposure_of
from trading.documents.figures import PerformanceDocument
from trading.journal import state_of
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account, EventRow
from trading.report import AccountHistory, figures_of, return_days_of, value_end_ns

MOST_DAYS = 3_660
_POINT = ("number", "at_ns", "equity", "high_water", "start_equity", "exposure")
_FILL = ("number", "at_ns", "symbol", "order__strategy", "value", "fee", "exposure")


@dataclass(frozen=True, slots=True)
class Period:
    """The time `since_ns` <= time < `until_ns`, which does not go beyond the engine's now. is_until_now: whether it lasts until then."""

    since_ns: int
    until_ns: int
    is_until_now: bool = False

    @property
    def days(self) -> int:
        """Its length in days, rounded up."""
        return -((self.since_ns - self.until_ns) // DAY_NS)


def last_days(days: int) -> Period:
    """Return the last `days` times 24 hours, by the engine's clock."""
    until_ns = engine_status().now_ns + 1
    return Period(until_ns - days * DAY_NS, until_ns, is_until_now=True)


def period_between(account: Account, since_ns: int | None, until_ns: int | None) -> Period:
    """Return a period. since_ns: None for all that was. until_ns: None for now, at which any period ends."""
    now_ns = engine_status().now_ns + 1
    until_ns = now_ns if until_ns is None else min(until_ns, now_ns)
    since_ns = min(account.created_ns if since_ns is None else since_ns, until_ns)
    return Period(since_ns, until_ns, is_until_now=until_ns == now_ns)


def performance_document(account: Account, period: Period, by: Grouping | None = None) -> PerformanceDocument:
    """Return the figures of a period; with `by`, those of each day, symbol or strategy, too."""
    history = account_history(account, period)
    return_days = return_days_of(map(market().instrument, _held_symbols(account, period)))
    figures = figures_of(history, period.since_ns, period.until_ns, by, return_days)
    return PerformanceDocument(
        **msgspec.structs.asdict(figures),
        account=account.name,
        period_days=period.days,
        currency=state_of(account).currency,
        fill_rules=_fill_rules(account, period),
    )


def _held_symbols(account: Account, period: Period) -> set[str]:
    """Return the symbols that an account held in a period."""
    trades = account.trades.filter(opened_ns__lt=period.until_ns, closed_ns__gte=period.since_ns)
    positions = state_of(account).positions.values()
    return {
        *trades.values_list("symbol", flat=True).distinct(),
        *(each.symbol for each in positions if each.trade is None or each.trade.opened_ns < period.until_ns),
    }


def account_history(account: Account, period: Period) -> AccountHistory:
    """Return what happened in a period. Only its rows are read, and the last ones before it.

    A period that lasts until now ends with the equity of now: the engine records it only when it has moved.
    """
    history, marked = AccountHistory(), 0
    # One more second: see `value_end_ns`.
    points = _in_order(
        account.equities.values_list(*_POINT), replace(period, until_ns=value_end_ns(period.until_ns))
    )
    fills = _in_order(account.executions.values_list(*_FILL), period)
    for number, at_ns, *amounts in merge(points, fills, key=itemgetter(0)):
        if len(amounts) == len(_POINT) - 2:
            history.add_point(at_ns, *amounts)
            marked = number
        else:
            symbol, strategy, *texts = amounts
            history.add_fill(FillResult(at_ns, symbol, strategy, *map(Decimal, texts)))
    decoder = msgspec.json.Decoder(ClosedTrade)
    closed = account.trades.filter(closed_ns__gte=period.since_ns, closed_ns__lt=period.until_ns)
    history.trades += map(decoder.decode, closed.values_list("document", flat=True).iterator())
    if period.is_until_now and marked:
        _add_point_of_now(history, account, marked, period.until_ns - 1)
    return history


def _add_point_of_now(history: AccountHistory, account: Account, marked: int, now_ns: int) -> None:
    """Add the point of now if it may differ from the last one, which the event `marked` made."""
    state = state_of(account)
    if state.positions or state.traded > marked:
        with suppress(UnknownMark):
            marks = market().marks(state, now_ns=now_ns)
            amounts = equity_of(state, marks), state.high_water, state.start_equity, exposure_of(state, marks)
            history.add_point(now_ns, *amounts)


def _in_order(rows: QuerySet[Any, tuple[Any, ...]], period: Period) -> Iterator[tuple[Any, ...]]:
    """Yield the last row before a period, and those in it, in the order of their events."""
    yield from rows.filter(at_ns__lt=period.since_ns).order_by("-at_ns", "-id")[:1]
    within = rows.filter(at_ns__gte=period.since_ns, at_ns__lt=period.until_ns)
    yield from within.order_by("number").iterator()


def _fill_rules(account: Account, period: Period) -> list[FillRule]:
    """Return the rules by which limit orders filled in a period, in the order of time."""
    configured = EventRow.objects.filter(account=account, name="risk_configured", at_ns__lt=period.until_ns)
    before = configured.filter(at_ns__lt=period.since_ns).order_by("-number").first()
    first = 0 if before is None else before.number
    within = configured.filter(Q(number=first) | Q(at_ns__gte=period.since_ns, number__gt=first))
    events = (decoded(row.body) for row in within.order_by("number"))
    return list(dict.fromkeys(event.config.fill for event in events if isinstance(event, RiskConfigured)))


def equities_at(account: Account, instants: Integers) -> Floats:
    """Return the equity, `AccountState.start_equity`, and what was paid in less what was paid out: three columns.

    Each row has the last recorded point up to its instant, one before the first point has that point. Without points all
    are 0. instants: ascending.
    """
    found = np.zeros((len(instants), 3))
    if not len(instants):
        return found
    before = account.equities.filter(at_ns__lte=int(instants[0])).order_by("-at_ns", "-id")
    first = before.values_list("number", flat=True).first() or 0
    rows = account.equities.filter(number__gte=first).order_by("number")
    points = list(rows.values_list("number", "at_ns", "equity", "start_equity"))
    if not points:
        return found
    numbers, at_ns = (np.array(column, np.int64) for column in list(zip(*points, strict=True))[:2])
    # A point that is earlier than the one before it counts at that one's instant.
    places = np.searchsorted(np.maximum.accumulate(at_ns), instants, side="right") - 1
    places = np.maximum(places, 0)
    values = np.array([(float(equity), float(begun)) for _, _, equity, begun in points])
    found[:, :2] = values[places]
    found[:, 2] = _paid_in(account, numbers[places])
    return found


def _paid_in(account: Account, numbers: Integers) -> Floats:
    """Return what was paid in less what was paid out up to each event."""
    transfers = account.transactions.filter(kind="transferred").order_by("number")
    paid = [(number, Decimal(amount)) for number, amount in transfers.values_list("number", "amount")]
    sums = np.cumsum([0.0, *(float(amount) for _, amount in paid)])
    places = np.searchsorted(np.array([number for number, _ in paid], np.int64), numbers, side="right")
    found: Floats = sums[places]
    return found
