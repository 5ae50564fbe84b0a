"""The rows of an account's period, made a report."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge
from operator import itemgetter
from typing import Any

import msgspec
from django.db.models import QuerySet

from store.timestamps import DAY_NS
from trading.core.events import RiskConfigured, decoded
from trading.core.report import EquityPoint, FillResult, Grouping, TradeResult
from trading.core.valuation import UnknownMark, equity_of
from trading.documents import Document
from trading.journal import state_of
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account, EventRow
from trading.reading.report import PerformanceReport

MOST_DAYS = 3_660
_POINT = ("number", "at_ns", "equity", "high_water", "start_equity", "exposure")
_FILL = ("number", "at_ns", "symbol", "order__strategy", "value", "fee", "exposure")
_TRADE = ("closed_ns", "symbol", "strategy", "document")


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


def performance_document(account: Account, period: Period, by: Grouping | None = None) -> Document:
    """Return the figures of a period; with `by`, those of each day, symbol or strategy, too."""
    return {
        "account": account.name,
        "period_days": period.days,
        **account_report(account, period, by).document(),
        "currency": state_of(account).currency,
        "fill_rules": _fill_rules(account, period),
    }


def account_report(account: Account, period: Period, by: Grouping | None = None) -> PerformanceReport:
    """Return the report of a period. Only the rows of the period are read, and the last ones before it.

    A period that lasts until now ends with the equity of now: the engine records it only when it has moved.
    """
    report = PerformanceReport(period.since_ns, period.until_ns, by)
    points = (_point(*row) for row in _in_order(account.equities.values_list(*_POINT), period))
    fills = (_fill(*row) for row in _in_order(account.executions.values_list(*_FILL), period))
    marked = 0
    for number, each in merge(points, fills, key=itemgetter(0)):
        report.steps.append(each)
        marked = number if isinstance(each, EquityPoint) else marked
    closed = account.trades.filter(closed_ns__gte=period.since_ns, closed_ns__lt=period.until_ns)
    decoder = msgspec.json.Decoder(_Gain)
    for at_ns, symbol, strategy, document in closed.values_list(*_TRADE).iterator():
        gain = decoder.decode(document)
        report.trades.append(TradeResult(at_ns, symbol, strategy, gain.pnl_base, gain.r))
    if period.is_until_now and marked:
        report.steps += _points_of_now(account, marked, period.until_ns - 1)
    return report


def _points_of_now(account: Account, marked: int, now_ns: int) -> list[EquityPoint]:
    """Return the point of now if it may differ from the last one, which the event `marked` made."""
    state = state_of(account)
    if not state.positions and state.traded <= marked:
        return []
    try:
        equity = equity_of(state, market().marks(state, now_ns=now_ns))
    except UnknownMark:
        return []
    return [EquityPoint(now_ns, equity, max(state.high_water, equity), state.start_equity, state.exposure)]


class _Gain(msgspec.Struct):
    """What counts of the document of a `TradeRow`."""

    pnl_base: Decimal
    r: Decimal | None


def _in_order(rows: QuerySet[Any, tuple[Any, ...]], period: Period) -> Iterator[tuple[Any, ...]]:
    """Yield the last row before a period, and those in it, in the order of their events."""
    before = rows.filter(at_ns__lt=period.since_ns).order_by("-at_ns", "-id")[:1]
    within = rows.filter(at_ns__gte=period.since_ns, at_ns__lt=period.until_ns).order_by("number")
    yield from before
    yield from within.iterator()


def _point(number: int, at_ns: int, *amounts: str) -> tuple[int, EquityPoint | FillResult]:
    return number, EquityPoint(at_ns, *map(Decimal, amounts))


def _fill(
    number: int, at_ns: int, symbol: str, strategy: str, *amounts: str
) -> tuple[int, EquityPoint | FillResult]:
    return number, FillResult(at_ns, symbol, strategy, *map(Decimal, amounts))


def _fill_rules(account: Account, period: Period) -> list[str]:
    """Return the rules by which limit orders filled in a period, in the order of time."""
    configured = EventRow.objects.filter(account=account, name="risk_configured", at_ns__lt=period.until_ns)
    before = configured.filter(at_ns__lt=period.since_ns).order_by("-number").first()
    within = configured.filter(at_ns__gte=period.since_ns).order_by("number")
    rows = within if before is None else [before, *within.filter(number__gt=before.number)]
    rules = []
    for row in rows:
        event = decoded(row.body)
        assert isinstance(event, RiskConfigured)  # noqa: S101 its name says so
        rules.append(event.config.fill.value)
    return list(dict.fromkeys(rules))
