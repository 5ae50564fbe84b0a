"""From an order to its acceptance: the checks, by what the market says, and the events."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from uuid import UUID

import msgspec

from trading.core.account import AccountState
from trading.core.amounts import NS_PER_SECOND, ZERO
from trading.core.configuration import RiskConfig, latency_ns
from trading.core.events import Check, OrderAccepted, OrderRejected, Reference
from trading.core.matching import Record
from trading.core.orders import Contingency, Leg, Order, OrderTerms, OrderType, TimeInForce, id_in
from trading.core.positions import Position
from trading.core.risk import RiskVerdict, propose, verdict
from trading.core.terms import Side, Terms

# An immediate order that no print came for ends after so many seconds.
IMMEDIATE_SECONDS = 1
_MICROSECOND_NS = 1_000
_ORDER_IDS = UUID("7a4c3f0e-52a1-5d39-9c57-1e0f7d6b2a90").bytes


class MarketView(msgspec.Struct, frozen=True):
    """What the market says for a decision about one order.

    marks: of the symbols that the account holds. heads: see `OrderAccepted.commits`. expires_ns: when the order ends;
    None for gtc, and if it is matched with bars. bars_from_ns: bars that begin from then on fill it; None if it is
    matched with prints, which fill it after the latency. halt: says that trading in the symbol is halted; None if it is
    not.
    """

    terms: Terms
    reference: Reference
    marks: Mapping[str, Reference]
    heads: Mapping[str, str]
    expires_ns: int | None
    bars_from_ns: int | None = None
    halt: str | None = None


def end_of(
    order: OrderTerms, config: RiskConfig, *, now_ns: int, session_end_ns: Callable[[], int | None]
) -> int | None:
    """Return when an order ends that comes now; None for gtc. session_end_ns: asked for a day order."""
    if order.time_in_force is TimeInForce.DAY:
        return session_end_ns()
    if order.time_in_force.is_immediate:
        return now_ns + latency_ns(config) + IMMEDIATE_SECONDS * NS_PER_SECOND
    return None


def closing_view(
    position: Position,
    terms: Terms,
    mark: Reference | None,
    heads: Mapping[str, str],
    bars_from_ns: int | None,
) -> MarketView:
    """Return what is needed to close a position. An order that only reduces is judged without marks.

    terms: the position's, with the tick of now. mark: None if there is no price or no rate; the position is closed all
    the same.
    """
    price = position.average_price or ZERO
    reference = mark or Reference(symbol=position.symbol, price=price, rate=Decimal(1))
    return MarketView(terms, reference, {}, heads, None, bars_from_ns)


def closing_order(position: Position, part: Decimal | None = None) -> OrderTerms:
    """Return the market order that closes a position. part: the quantity, if it is not the whole one."""
    return OrderTerms(
        symbol=position.symbol,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        quantity=abs(position.quantity) if part is None else part,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        reduce_only=True,
        strategy=position.strategy,
    )


def closing_terms(state: AccountState, order: OrderTerms) -> OrderTerms:
    """Return the order, marked as reducing if it and the working orders of its side close no more than is held.

    Legs of brackets do not count: they end with the position.
    """
    position = state.position(order.symbol, order.strategy)
    if order.reduce_only or order.contingency is not None or position is None:
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


def judge(
    state: AccountState, order: OrderTerms, view: MarketView, *, now_ns: int, fresh_from_ns: int | None = None
) -> RiskVerdict:
    """Check an order in the account's state. fresh_from_ns: see `verdict`.

    A halt refuses no order; it is named among the checks.
    """
    proposal = propose(state, closing_terms(state, order), view.terms, view.reference)
    found = verdict(state, proposal, view.marks, now_ns=now_ns, fresh_from_ns=fresh_from_ns)
    if view.halt is None:
        return found
    check = Check(name="halted", is_passed=True, message=view.halt)
    return msgspec.structs.replace(found, checks=(*found.checks, check))


def accept(
    state: AccountState,
    record: Record,
    found: RiskVerdict,
    view: MarketView,
    *,
    now_ns: int,
    by: str,
    replaces: Order | None = None,
) -> str:
    """Record an order that passed its checks, and its legs. Return its id.

    replaces: the order in whose place it comes. If it is one of an oco, the other one of the oco stays.
    """
    order_id = next_order_id(state)
    proposal, matches_after_ns = found.proposal, view.bars_from_ns
    if matches_after_ns is None:
        matches_after_ns = now_ns + latency_ns(state.config)
    oco = replaces if replaces is not None and replaces.contingency is Contingency.OCO else None
    event = OrderAccepted(
        order_id=order_id,
        order=proposal.order,
        terms=proposal.terms,
        submitted_ns=_submitted_ns(state, now_ns),
        matches_after_ns=matches_after_ns,
        reference=proposal.reference,
        checks=found.checks,
        risk_version=state.risk_version,
        worth=proposal.worth,
        margin=proposal.margin,
        fee=proposal.fee,
        expires_ns=view.expires_ns,
        collar=proposal.collar,
        is_taking=proposal.is_taking,
        commits=dict(view.heads),
        leg_of=None if oco is None else oco.covered_by,
        leg=None if oco is None else oco.leg or Leg.TAKE_PROFIT,
        contingency=proposal.order.contingency if oco is None else oco.contingency,
        replaces=None if replaces is None else replaces.id,
        by=by,
    )
    record(event)
    for leg, terms in leg_terms(proposal.order):
        record(
            msgspec.structs.replace(
                event, order_id=next_order_id(state), submitted_ns=_submitted_ns(state, now_ns), order=terms, worth=ZERO, margin=ZERO, fee=ZERO, expires_ns=None,
                collar=None, is_taking=False, checks=(), leg_of=order_id, leg=leg, replaces=None,
            )
        )  # fmt: skip
    return order_id


def _submitted_ns(state: AccountState, now_ns: int) -> int:
    """Return when an order comes: a microsecond after the last at least, because clients page by this time."""
    last = next(reversed(state.orders.values()), None)
    return now_ns if last is None else max(now_ns, last.submitted_ns + _MICROSECOND_NS)


def reject(
    state: AccountState,
    record: Record,
    order: OrderTerms,
    terms: Terms,
    *,
    now_ns: int,
    by: str,
    found: RiskVerdict | None = None,
    reason: str = "",
) -> None:
    """Record an order that was not accepted. found: the checks, if it could be judged; else the reason is given."""
    failed = [each.message for each in found.failed] if found else [reason]
    record(
        OrderRejected(
            order_id=next_order_id(state),
            order=order,
            terms=terms,
            submitted_ns=now_ns,
            reason="; ".join(failed),
            reference=None if found is None else found.proposal.reference,
            checks=() if found is None else found.checks,
            by=by,
        )
    )


def accept_closing(
    state: AccountState,
    record: Record,
    position: Position,
    view: MarketView,
    *,
    now_ns: int,
    by: str,
    part: Decimal | None = None,
) -> str:
    """Accept a market order that closes a position, whatever the state of the account. Return its id.

    part: see `closing_order`.
    """
    found = judge(state, closing_order(position, part), view, now_ns=now_ns)
    return accept(state, record, found, view, now_ns=now_ns, by=by)


def next_order_id(state: AccountState) -> str:
    """Return the id of the order that the next event accepts or rejects. The same events give the same ids."""
    return order_id_of(state.id, state.number + 1)


def order_id_of(account: str, number: int) -> str:
    """Return the id of the order that an event of an account accepts or rejects. number: of the event."""
    return id_in(_ORDER_IDS, f"{account} {number}")


def leg_terms(order: OrderTerms) -> list[tuple[Leg, OrderTerms]]:
    """Return the terms of an order's legs."""
    if order.contingency is None:
        return []
    base = OrderTerms(
        symbol=order.symbol,
        side=order.side if order.contingency is Contingency.OCO else order.side.opposite,
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
