"""Reads of accounts. Nothing here writes.

Prices are those of now: the bid for what is long, the ask for what is short, else the last price.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec
from django.db.models import Q

from ratelimit.callers import Caller
from stats.live.accounts import ALERTS_KIND, ORDERS_KIND, EventRows
from store.timestamps import SECOND_NS
from trading.core.acceptance import order_id_of
from trading.core.account import RUNNING, STOPPING, AccountState, loss_percent
from trading.core.amounts import NS_PER_SECOND, ZERO, money, percent
from trading.core.configuration import Zone
from trading.core.events import Alert, Executed, Reference, decoded
from trading.core.orders import Contingency, Order
from trading.core.positions import Position
from trading.core.valuation import UnknownMark, equity_of, loads_of, risk_of
from trading.documents.accounts import (
    AccountDocument,
    AccountStatusDocument,
    ExposureDocument,
    HaltDocument,
    PortfolioDocument,
    PositionDocument,
    QueuedCloseDocument,
    RiskDocument,
    RiskLimitDocument,
    RiskLimitsDocument,
    RiskOverrideDocument,
    Status,
    SymbolExposureDocument,
)
from trading.documents.ledger import ExecutionDocument
from trading.documents.orders import OrderDocument
from trading.exceptions import UnknownOrder
from trading.journal import state_of
from trading.lease import EngineStatus, engine_status
from trading.market.symbols import market
from trading.models import Account, EventRow, ExecutionRow, OrderRow
from trading.services.accounts import account_find, accounts_of
from trading.services.orders import order_in
from web.documents import instant_or_null, number, number_or_null

_MINUTE_NS = 60 * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class ValuedAccount:
    """An account at the prices of now. equity: in its currency; None if a symbol that it holds has no price."""

    state: AccountState
    now_ns: int
    marks: Mapping[str, Reference]
    equity: Decimal | None

    @property
    def drawdown(self) -> Decimal:
        """Per cent below the high-water mark; that of the last mark if the equity is unknown."""
        if self.equity is None:
            return self.state.drawdown
        return loss_percent(self.state.high_water, self.equity)

    def share(self, value: Decimal | None) -> float | None:
        """Return a value in per cent of the equity; None if one of them is unknown, or the equity is not above zero."""
        if value is None or self.equity is None or self.equity <= 0:
            return None
        return number(percent(value, self.equity))

    def loss(self, before: Decimal) -> float | None:
        """Return how many per cent the equity is below an earlier one."""
        return None if self.equity is None else number(loss_percent(before, self.equity))

    def exposures(self) -> dict[str, Decimal] | None:
        """Return the exposure by symbol, as the checks of orders count it; None if a mark is missing."""
        try:
            return {symbol: load.exposure for symbol, load in loads_of(self.state, self.marks).items()}
        except UnknownMark:
            return None

    def is_stale(self, mark: Reference | None) -> bool:
        """Return whether a mark is missing, or older than the account's `stale_after_seconds`."""
        most_ns = self.state.config.stale_after_seconds * NS_PER_SECOND
        return mark is None or self.now_ns - mark.at_ns > most_ns


def account_valued(account: Account) -> ValuedAccount:
    """Return an account at the prices of now. Raises the errors of the store."""
    state, now_ns = state_of(account), engine_status().now_ns
    marks = market().marks(state, now_ns=now_ns)
    try:
        equity = equity_of(state, marks)
    except UnknownMark:
        equity = None
    return ValuedAccount(state, now_ns, marks, equity)


def account_document(account: Account) -> AccountDocument:
    """Return an account with its equity at the prices of now. Raises the errors of the store."""
    valued = account_valued(account)
    return AccountDocument.of(account, valued.state, valued.equity, valued.now_ns)


def positions_documents(valued: ValuedAccount) -> list[PositionDocument]:
    """Return the positions, by symbol and strategy."""
    return [
        PositionDocument.of(position, mark, is_stale=valued.is_stale(mark))
        for position, mark in _marked_positions(valued)
    ]


def _marked_positions(valued: ValuedAccount) -> list[tuple[Position, Reference | None]]:
    positions = (position for _, position in sorted(valued.state.positions.items()))
    return [(position, valued.marks.get(position.symbol)) for position in positions]


def portfolio_document(account: Account) -> PortfolioDocument:
    """Return positions, what they gain or lose, and the account's drawdown and exposure.

    total_pnl: in R, of the positions whose `pnl_r` is known; without_r: the number of the others. total_pnl_money,
    total_unrealized_pnl: in the account's currency.
    """
    valued = account_valued(account)
    state, exposures = valued.state, valued.exposures()
    marked = [(position, mark) for position, mark in _marked_positions(valued) if mark is not None]
    gains = [risk_of(position, mark) for position, mark in marked]
    unrealized = (money(position.unrealized(mark.price), mark.rate) for position, mark in marked)
    in_r = [gain for _, _, gain in gains if gain is not None]
    gross = None if exposures is None else sum(exposures.values(), ZERO)
    return PortfolioDocument(
        account=account.name,
        positions=positions_documents(valued),
        total_pnl=number(sum(in_r, ZERO)),
        total_pnl_money=number(sum((gain for _, gain, _ in gains), ZERO)),
        total_unrealized_pnl=number(sum(unrealized, ZERO)),
        without_r=len(state.positions) - len(in_r),
        high_water=number(state.high_water),
        drawdown_pct=number(valued.drawdown),
        dd_zone=state.zone,
        risk_level=number(state.risk_level),
        equity=number_or_null(valued.equity),
        cash=number(state.cash),
        currency=state.currency,
        exposure=ExposureDocument(
            gross=number_or_null(gross),
            gross_pct=valued.share(gross),
            by_symbol=[
                SymbolExposureDocument(
                    symbol=symbol, exposure=number(value), exposure_pct=valued.share(value)
                )
                for symbol, value in sorted((exposures or {}).items())
            ],
        ),
    )


def risk_document(account: Account) -> RiskDocument:
    """Return the zone, the risk level, and of each limit how much is used. used: null if it cannot be computed."""
    valued = account_valued(account)
    state = valued.state
    limits = {
        name: RiskLimitDocument(number(limit), used, unit) for name, limit, used, unit in _limits(valued)
    }
    return RiskDocument(
        account=account.name,
        dd_zone=state.zone,
        drawdown_pct=number(valued.drawdown),
        risk_level=number(state.risk_level),
        limits=RiskLimitsDocument(**limits),
        override=RiskOverrideDocument.of(state),
        halt=HaltDocument.of(state),
        version=state.risk_version,
    )


def _limits(valued: ValuedAccount) -> Iterator[tuple[str, Decimal, float | None, str]]:
    """Yield the limits: name, limit, what is used of it, unit. Those of exposure are the smaller the worse the zone."""
    state, config, exposures = valued.state, valued.state.config, valued.exposures()
    of_symbol = None if exposures is None else max(exposures.values(), default=ZERO)
    gross = None if exposures is None else sum(exposures.values(), ZERO)
    yield "daily_loss", config.daily_loss, valued.loss(state.day_equity), "percent of the day's first equity"
    yield "total_loss", config.total_loss, valued.loss(state.start_equity), "percent of the first equity"
    for name, limit, value in (
        ("symbol_exposure", config.max_symbol_exposure, of_symbol),
        ("gross_exposure", config.max_gross_exposure, gross),
    ):
        yield name, limit * state.zone.factor, valued.share(value), "percent of the equity"
    recent = sum(at_ns > valued.now_ns - _MINUTE_NS for at_ns in state.accepted_ns)
    yield "orders_per_minute", Decimal(config.orders_per_minute), recent, "orders"


def order_find(*, caller: Caller, name: str | None, order_id: str) -> OrderRow:
    """Return an order with its account: the named one, or any that the caller may see.

    Raises NoSuchAccount, UnknownOrder.
    """
    accounts = accounts_of(caller) if name is None else [account_find(caller=caller, name=name)]
    rows = OrderRow.objects.select_related("account").filter(account__in=accounts)
    try:
        row = rows.filter(uuid=UUID(order_id)).first()
    except ValueError:
        row = None
    if row is None:
        raise UnknownOrder(f"there is no order {order_id[:64]}")
    return row


def legs_of(account: Account, orders: Iterable[Order]) -> dict[str, list[Order]]:
    """Return the legs of those of an account's orders that have legs, by the parent's id."""
    parents = {order.id: order for order in orders if order.terms.contingency}
    # The events after the parent's accepted its legs. Those of an oco may have been replaced since.
    ids = [
        order_id_of(account.name, each.first_event + after) for each in parents.values() for after in (1, 2)
    ]
    ocos = {each.terms.symbol for each in parents.values() if each.contingency is Contingency.OCO}
    replaced = account.orders.filter(is_open=True, symbol__in=ocos)
    rows = OrderRow.objects.filter(uuid__in=ids).union(replaced)
    legs: dict[str, list[Order]] = {}
    for leg in map(order_in, rows.order_by("pk")):
        if leg.parent_id in parents:
            legs.setdefault(leg.parent_id, []).append(leg)
    return legs


def execution_documents(rows: Iterable[ExecutionRow], *, account: Account) -> list[ExecutionDocument]:
    """Return executions of an account's orders."""
    rows = list(rows)
    numbers = [row.number for row in rows]
    events = EventRow.objects.filter(account=account, number__in=numbers).values_list("number", "body")
    bodies = {number: msgspec.json.decode(body, type=Executed) for number, body in events}
    orders = {uuid: order_in(order) for uuid, order in {row.order.uuid: row.order for row in rows}.items()}
    return [
        ExecutionDocument.of(row, bodies[row.number], orders[row.order.uuid], account=account.name)
        for row in rows
    ]


def status_document(account: Account) -> AccountStatusDocument:
    """Return an account's status."""
    state, engine = state_of(account), engine_status()
    is_connected = is_connected_to_market(state, engine)
    return AccountStatusDocument(
        account=account.name,
        engine="running" if engine.is_alive else "away",
        status=status_of(state, is_connected=is_connected),
        connected=is_connected,
        open_positions=len(state.positions),
        dd_zone=state.zone,
        uptime_seconds=(time.time_ns() - engine.started_ns) // SECOND_NS if engine.is_alive else None,
        halt=HaltDocument.of(state),
        queued=[_queued(key, opens_ns) for key, opens_ns in sorted(state.queued.items())],
    )


def status_of(state: AccountState, *, is_connected: bool) -> Status:
    """Return the status. A running account is degraded while it is not connected."""
    if state.status != STOPPING and (state.halt is not None or state.zone is Zone.HALT):
        return "halted"
    if state.status == RUNNING and not is_connected:
        return "degraded"
    return cast("Status", state.status)


def is_connected_to_market(state: AccountState, engine: EngineStatus) -> bool:
    """Return whether the engine works for the account, and can read its symbols' logs."""
    broken = {log.partition(":")[2] for log in engine.document.get("broken", ())}
    is_failed = state.id in engine.document.get("failed_accounts", ())
    return engine.is_alive and not is_failed and not state.symbols() & broken


def _queued(key: str, opens_ns: int | None) -> QueuedCloseDocument:
    symbol, _, strategy = key.partition("|")
    return QueuedCloseDocument(symbol, strategy or None, instant_or_null(opens_ns))


_OF_KIND = {ORDERS_KIND: ~Q(orders=""), ALERTS_KIND: Q(name="alert")}


class LiveAccounts:
    """Reads the events in the database. See `stats.live.accounts.AccountFeeds`."""

    def head(self, account: str) -> int | None:
        """See `AccountFeeds`."""
        return Account.objects.filter(name=account).values_list("number", flat=True).first()

    def last(self, account: str, kind: str, upto: int) -> int:
        """See `AccountFeeds`."""
        numbers = EventRow.objects.filter(_OF_KIND[kind], account__name=account, number__lte=upto)
        return numbers.order_by("-number").values_list("number", flat=True).first() or 0

    def events(self, account: str, kind: str, *, after: int, upto: int, limit: int) -> Sequence[EventRows]:
        """See `AccountFeeds`."""
        found = EventRow.objects.filter(
            _OF_KIND[kind], account__name=account, number__gt=after, number__lte=upto
        )
        rows_of = _alerts if kind == ALERTS_KIND else _orders
        return [
            EventRows(row.number, row.at_ns, rows_of(row, account), row)
            for row in found.order_by("number")[:limit]
        ]

    def portfolio(self, account: str) -> tuple[int, Mapping[str, Any]]:
        """See `AccountFeeds`."""
        found = Account.objects.get(name=account)
        return found.number, portfolio_document(found).as_json()


def _orders(row: EventRow, account: str) -> list[Mapping[str, Any]]:
    """Return the orders that an event changed, as they were after it."""
    orders = msgspec.json.decode(row.orders, type=list[Order])
    return [OrderDocument.of(order, account=account).as_json() for order in orders]


def _alerts(row: EventRow, _account: str) -> list[Mapping[str, Any]]:
    alert = decoded(row.body)
    assert isinstance(alert, Alert)  # noqa: S101 its name says so
    return [{"kind": alert.kind, "message": alert.message, "symbol": alert.symbol}]
