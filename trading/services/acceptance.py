"""From an order that a client asks for to its acceptance: what the market says, the checks, and the event."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec

from store.walk import ALL_ROWS
from trades.stores import market_store
from trading.core.account import AccountState
from trading.core.amounts import NS_PER_SECOND, ZERO
from trading.core.configuration import latency_ns
from trading.core.events import OrderAccepted, Reference
from trading.core.matching import Record
from trading.core.orders import Leg, OrderTerms, OrderType, TimeInForce
from trading.core.positions import Position
from trading.core.risk import Proposal, RiskVerdict, propose, verdict
from trading.core.terms import Terms
from trading.documents import check_document
from trading.exceptions import (
    NoRate,
    NoReferencePrice,
    NotTradable,
    RiskRefused,
    TradingHalted,
    TradingStopped,
)
from trading.market.hours import session_end_ns
from trading.market.symbols import heads_of, mark_of, reference_of, terms_of
from trading.models import LogProgress

# An immediate order that no print came for ends after so many seconds.
IMMEDIATE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class MarketView:
    """What the store says for a decision about one order.

    marks: of the symbols that the account holds. expires_ns: when the order ends; None for gtc.
    """

    terms: Terms
    reference: Reference
    marks: dict[str, Reference]
    heads: dict[str, str]
    expires_ns: int | None


def market_view(state: AccountState, order: OrderTerms, *, now_ns: int) -> MarketView:
    """Read what is needed to judge an order.

    Raises NotTradable, NoReferencePrice, NoRate, and the errors of the store.
    """
    expires_ns = None
    if order.time_in_force is TimeInForce.DAY:
        expires_ns = session_end_ns(market_store().instrument(order.symbol), now_ns)
    elif order.time_in_force.is_immediate:
        expires_ns = now_ns + latency_ns(state.config) + IMMEDIATE_SECONDS * NS_PER_SECOND
    return MarketView(
        terms=terms_of(order.symbol),
        reference=reference_of(order.symbol, state.currency, side=order.side, now_ns=now_ns),
        marks=marks_of(state, now_ns=now_ns),
        heads=heads_of(order.symbol, state.currency),
        expires_ns=expires_ns,
    )


def closing_view(
    state: AccountState, position: Position, mark: Reference | None, marks: dict[str, Reference]
) -> MarketView:
    """Return what is needed to close a position.

    Without a mark, because it has no price or no rate, it is closed all the same.
    """
    price = position.average_price or ZERO
    reference = mark or Reference(symbol=position.symbol, price=price, rate=Decimal(1))
    heads = heads_of(position.symbol, state.currency)
    return MarketView(position.terms, reference, marks=marks, heads=heads, expires_ns=None)


def marks_of(state: AccountState, *, now_ns: int, known: Iterable[str] = ()) -> dict[str, Reference]:
    """Return the marks of the symbols that an account holds, but for known ones. A symbol without a price has none."""
    marks: dict[str, Reference] = {}
    for position in state.positions.values():
        if position.symbol in known or position.symbol in marks:
            continue
        mark = mark_of_position(position, state.currency, now_ns=now_ns)
        if mark is not None:
            marks[position.symbol] = mark
    return marks


def mark_of_position(position: Position, currency: str, *, now_ns: int) -> Reference | None:
    """Return what closing a position would get, for an account in a currency; None without a price or a rate."""
    with suppress(NoReferencePrice, NoRate, NotTradable):
        return mark_of(position.symbol, currency, is_long=position.quantity > 0, now_ns=now_ns)
    return None


def closing_terms(state: AccountState, order: OrderTerms) -> OrderTerms:
    """Return the order, marked as reducing if it and the working orders of its side close no more than is held.

    Legs of brackets do not count: they end with the position.
    """
    position = state.position(order.symbol, order.strategy)
    if order.reduce_only or order.has_legs or position is None:
        return order
    working = sum(
        (
            each.remaining
            for each in state.orders_of(order.symbol)
            if each.terms.side is order.side
            and each.terms.strategy == order.strategy
            and each.parent_id is None
        ),
        ZERO,
    )
    if order.quantity + working > -position.quantity * order.side.sign:
        return order
    return msgspec.structs.replace(order, reduce_only=True)


def judge(state: AccountState, order: OrderTerms, view: MarketView, *, now_ns: int) -> RiskVerdict:
    """Check an order in the account's state. Marks that the view lacks are read."""
    missing = marks_of(state, now_ns=now_ns, known=view.marks)
    order = closing_terms(state, order)
    proposal = propose(state, order, view.terms, view.reference)
    return verdict(state, proposal, {**view.marks, **missing}, now_ns=now_ns)


def raise_if_refused(found: RiskVerdict) -> None:
    """Raise TradingStopped, TradingHalted or RiskRefused if a check failed."""
    failed = {check.name: check for check in found.failed}
    if not failed:
        return
    extra: dict[str, Any] = {"checks": [check_document(check) for check in found.checks]}
    if "trading" in failed:
        raise TradingStopped(f"{failed['trading'].message}; start it to open positions", **extra)
    if "zone" in failed:
        raise TradingHalted("the account is halted; a person must leave the halt", **extra)
    first = next(iter(failed.values()))
    raise RiskRefused(f"the check {first.name} failed: {first.message}", **extra)


def accept(
    state: AccountState,
    record: Record,
    found: RiskVerdict,
    view: MarketView,
    *,
    now_ns: int,
    by: str,
    replaces: str | None = None,
) -> str:
    """Record an order that passed its checks, and the legs of its bracket, and have the engine follow its logs.

    Return its id.
    """
    order_id = str(uuid4())
    proposal = found.proposal
    event = OrderAccepted(
        order_id=order_id,
        order=proposal.order,
        terms=proposal.terms,
        submitted_ns=now_ns,
        matches_after_ns=now_ns + latency_ns(state.config),
        reference=proposal.reference,
        checks=found.checks,
        risk_version=state.risk_version,
        worth=proposal.worth,
        margin=proposal.margin,
        fee=proposal.fee,
        expires_ns=view.expires_ns,
        collar=proposal.collar,
        is_taking=proposal.is_taking,
        commits=view.heads,
        replaces=replaces,
        by=by,
    )
    record(event)
    follow(view.heads)
    for leg, terms in _legs(proposal):
        record(
            msgspec.structs.replace(
                event, order_id=str(uuid4()), order=terms, worth=ZERO, margin=ZERO, fee=ZERO, expires_ns=None,
                collar=None, is_taking=False, checks=(), leg_of=order_id, leg=leg, replaces=None,
            )
        )  # fmt: skip
    return order_id


def follow(heads: Mapping[str, str]) -> None:
    """Have the engine follow logs from these commits on, unless it follows them already."""
    rows = []
    for log, token in heads.items():
        dataset, _, symbol = log.partition(":")
        number, _, hash_ = token.partition("-")
        rows.append(
            LogProgress(dataset=dataset, symbol=symbol, commit=int(number), hash=hash_, ordinal=ALL_ROWS)
        )
    LogProgress.objects.bulk_create(rows, ignore_conflicts=True)


def _legs(proposal: Proposal) -> list[tuple[Leg, OrderTerms]]:
    order = proposal.order
    base = OrderTerms(
        symbol=order.symbol,
        side=order.side.opposite,
        quantity=order.quantity,
        time_in_force=TimeInForce.GTC,
        reduce_only=True,
        strategy=order.strategy,
    )
    legs = []
    if order.take_profit is not None:
        terms = msgspec.structs.replace(base, type=OrderType.LIMIT, limit_price=order.take_profit)
        legs.append((Leg.TAKE_PROFIT, terms))
    if order.stop_loss is not None:
        terms = msgspec.structs.replace(base, type=OrderType.STOP, stop_price=order.stop_loss)
        legs.append((Leg.STOP_LOSS, terms))
    return legs
