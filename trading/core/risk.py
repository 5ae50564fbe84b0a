"""The checks that an order must pass before it is accepted. All of them are here.

They count positions plus all working orders at their limit or collar. An order that only reduces is checked for its
form alone, so that a position can be left in every zone.
"""

from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_UP, Decimal

import msgspec

from trading.core.account import RUNNING, AccountState, loss_percent
from trading.core.amounts import HUNDRED, NS_PER_SECOND, ONE, ZERO, exact, is_multiple, money, percent
from trading.core.configuration import RiskConfig, Zone
from trading.core.events import Check, Reference
from trading.core.orders import OrderTerms
from trading.core.terms import AccountKind, Side, Terms
from trading.core.valuation import (
    Load,
    Marks,
    UnknownMark,
    committed,
    equity_of,
    loads_of,
    margin_of_unit,
    opening_orders,
)

_MINUTE_NS = 60 * NS_PER_SECOND
_HUNDREDTH = Decimal("0.01")
_OVER_LIMIT = "{name} {value} percent of equity would be over the limit of {limit}"
_LOST = "the {name} of {value} percent has reached the limit of {limit}"
# What is wrong if a check with numbers fails. The message of all others is it already.
_FAULTS = {
    "open_orders": "{value} open orders would be over the limit of {limit}",
    "lot": "the quantity {value} must be above zero and a multiple of the lot {limit}",
    "tick": "{message} of {limit}, and is {value}",
    "collar": "the limit is {value} percent beyond the market, over the collar of {limit}",
    "take_profit": "{message} of {limit}, and is {value}",
    "stop_loss": "{message} of {limit}, and is {value}",
    "position": "there is no position that the order reduces",
    "order_rate": "{value} orders within a minute would be over the limit of {limit}",
    "price_age": "the market's price is {value} old, over the limit of {limit}",
    "symbol_exposure": _OVER_LIMIT,
    "gross_exposure": _OVER_LIMIT,
    "trade_risk": _OVER_LIMIT,
    "buying_power": "{value} {unit} would be needed for all positions and orders, and {limit} are there",
    "daily_loss": _LOST,
    "total_loss": _LOST,
}
# The limit of `RiskConfig` by which a check judges, by the check's name.
LIMIT_OF_CHECK = {
    "order_rate": "orders_per_minute",
    "symbol_exposure": "max_symbol_exposure",
    "gross_exposure": "max_gross_exposure",
    "trade_risk": "risk_level",
    "daily_loss": "daily_loss",
    "total_loss": "total_loss",
}
# Each decision works on a copy of the account's state, and looks at each open order.
MOST_OPEN_ORDERS = 1_000


class Proposal(msgspec.Struct, frozen=True):
    """An order that may be accepted, with what was computed for it.

    worth, margin: of a unit, in the account's currency. collar: the worst price of a market order or stop that may
    open a position. is_taking: whether its limit is marketable now. fee: of the whole at the worst price, in the
    account's currency.
    """

    order: OrderTerms
    terms: Terms
    reference: Reference
    worth: Decimal
    margin: Decimal
    collar: Decimal | None
    is_taking: bool
    fee: Decimal


class RiskVerdict(msgspec.Struct, frozen=True):
    """What the checks found. exposure, gross, equity: after the order, in the account's currency; None if unknown."""

    proposal: Proposal
    checks: tuple[Check, ...]
    equity: Decimal | None = None
    exposure: Decimal | None = None
    gross: Decimal | None = None
    needed: Decimal | None = None

    @property
    def is_passed(self) -> bool:
        return all(check.is_passed for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.is_passed]


def propose(state: AccountState, order: OrderTerms, terms: Terms, reference: Reference) -> Proposal:
    """Return what an order would be worth at its limit or collar."""
    worst = worst_price(state, order, terms, reference)
    # It may also fill at the market's price, or for a sale up to the collar above it. Below zero that is worth more.
    is_buy = order.side is Side.BUY
    other = (
        min(worst, reference.price) if is_buy else collar_at(state.config, Side.BUY, reference.price, terms)
    )
    at_most = max(worst, other, key=abs)
    is_market = not order.type.has_limit
    return Proposal(
        order=order,
        terms=terms,
        reference=reference,
        worth=exact(abs(at_most), terms.multiplier, reference.rate),
        margin=margin_of_unit(state, terms, at_most, reference.rate),
        collar=worst if is_market and not order.reduce_only else None,
        is_taking=is_market or order.is_marketable(reference.price),
        fee=_fee(order, terms, reference, at_most),
    )


def expected_cost(proposal: Proposal) -> tuple[Decimal, Decimal]:
    """Return what an order costs with its fee, at its limit or the market's price, and this fee.

    Both are in the account's currency. The cost of a sale is its value with the fee.
    """
    order, terms, reference = proposal.order, proposal.terms, proposal.reference
    price = _expected_price(order, reference)
    fee = _fee(order, terms, reference, price)
    return money(order.quantity, abs(price), terms.multiplier, reference.rate) + fee, fee


def worst_cost(proposal: Proposal) -> Decimal:
    """Return what an order costs at most with its fee: at its limit or collar, in the account's currency."""
    return money(proposal.order.quantity, proposal.worth) + proposal.fee


def _fee(order: OrderTerms, terms: Terms, reference: Reference, price: Decimal) -> Decimal:
    """Return the fee of a whole order at a price, in the account's currency."""
    fee = terms.fee.of(order.quantity, money(order.quantity, price, terms.multiplier))
    return money(fee, reference.rate)


def worst_price(state: AccountState, order: OrderTerms, terms: Terms, reference: Reference) -> Decimal:
    """Return the worst price at which an order may fill: its limit, or the collar around `_expected_price`."""
    if order.limit_price is not None:
        return order.limit_price
    return collar_at(state.config, order.side, _expected_price(order, reference), terms)


def _expected_price(order: OrderTerms, reference: Reference) -> Decimal:
    """Return the limit, or the price at which a market order would fill now, or a stop once it is triggered."""
    if order.limit_price is not None:
        return order.limit_price
    if order.stop_price is None:
        return reference.price
    # A stop that the market is beyond already is triggered at the market's price.
    return max(order.stop_price * order.side.sign, reference.price * order.side.sign) * order.side.sign


def collar_at(config: RiskConfig, side: Side, price: Decimal, terms: Terms) -> Decimal:
    """Return the collar of a market order, from the price at which it came."""
    collar = price + side.sign * abs(price) * config.collar / HUNDRED
    return terms.on_tick(collar)


def verdict(
    state: AccountState,
    proposal: Proposal,
    marks: Marks,
    *,
    now_ns: int,
    fresh_from_ns: int | None = None,
) -> RiskVerdict:
    """Check an order.

    marks: of all symbols that are held. fresh_from_ns: the instant at which the age of the price is measured; None for
    `now_ns`.
    """
    checks = [*_form(state, proposal)]
    if proposal.order.reduce_only:
        return RiskVerdict(proposal, _explained(state, [*checks, _reduces(state, proposal)]))
    checks += [*_prices(state, proposal), *_legs(proposal), *_states(state, proposal, now_ns, fresh_from_ns)]
    try:
        equity, loads = equity_of(state, marks), loads_of(state, marks)
    except UnknownMark as error:
        message = f"{error}, so that the exposure is unknown"
        checks.append(Check(name="marks", is_passed=False, message=message))
        return RiskVerdict(proposal, _explained(state, checks))
    order = proposal.order
    load = loads.setdefault(order.symbol, Load())
    load.add(order.side, money(order.quantity, proposal.worth), money(order.quantity, proposal.margin))
    gross = sum((each.exposure for each in loads.values()), ZERO)
    fees = sum((each.fee for each in opening_orders(state.orders.values())), proposal.fee)
    needed = sum((each.margin for each in loads.values()), fees)
    checks += _exposures(state, proposal, equity, load.exposure, gross)
    checks.append(_buying_power(state, proposal, equity, needed))
    checks += _losses(state, equity)
    return RiskVerdict(proposal, _explained(state, checks), equity, load.exposure, gross, needed)


def _explained(state: AccountState, checks: list[Check]) -> tuple[Check, ...]:
    """Return the checks whose limits hold. The message of each that failed says what is wrong."""
    unlimited = state.config.unlimited
    if unlimited:
        checks = [each for each in checks if LIMIT_OF_CHECK.get(each.name) not in unlimited]
    return tuple(
        [
            each
            if each.is_passed or each.name not in _FAULTS
            else msgspec.structs.replace(each, message=_fault(each))
            for each in checks
        ]
    )


def _fault(check: Check) -> str:
    if check.value is None or check.limit is None:
        return "the equity is not above zero" if "equity" in check.unit else "the market's price is zero"
    return _FAULTS[check.name].format(
        name=check.name.replace("_", " "),
        value=_rounded(check.value, check.unit, ROUND_UP),
        limit=_rounded(check.limit, check.unit, ROUND_DOWN),
        unit=check.unit,
        message=check.message,
    )


def _rounded(number: Decimal, unit: str, rounding: str) -> str:
    """Return a number for people to read: prices and quantities, which have no unit, are exact, and so is what is below 1."""
    if unit == "seconds":
        return f"{number.quantize(ONE, rounding):,f} s"
    if unit and abs(number) >= 1:
        number = number.quantize(_HUNDREDTH, rounding)
    return f"{number.normalize():,f}"


def _form(state: AccountState, proposal: Proposal) -> Iterator[Check]:
    order, terms = proposal.order, proposal.terms
    yield Check(
        name="open_orders",
        is_passed=len(state.orders) < MOST_OPEN_ORDERS,
        value=Decimal(len(state.orders) + 1),
        limit=Decimal(MOST_OPEN_ORDERS),
        unit="orders",
        message=f"at most {MOST_OPEN_ORDERS:,} orders may be open",
    )
    yield Check(
        name="lot",
        is_passed=order.quantity > 0 and (order.reduce_only or is_multiple(order.quantity, terms.lot)),
        value=order.quantity,
        limit=terms.lot,
        message="the quantity must be above zero and a multiple of the lot",
    )
    for name in ("limit_price", "stop_price", "take_profit", "stop_loss"):
        price: Decimal | None = getattr(order, name)
        tick = None if price is None else terms.tick_at(price)
        if price is not None and tick is not None:
            yield Check(
                name="tick",
                is_passed=is_multiple(price, tick),
                value=price,
                limit=tick,
                message=f"{name} must be a multiple of the tick",
            )


def _prices(state: AccountState, proposal: Proposal) -> Iterator[Check]:
    order, price = proposal.order, proposal.reference.price
    cost = money(order.quantity, proposal.worth)
    yield Check(
        name="cost",
        is_passed=cost > 0 or not price,
        value=cost,
        limit=ZERO,
        unit=state.currency,
        message="the cost, rounded to six decimals, must be above zero",
    )
    if order.limit_price is not None and not order.type.has_stop:
        beyond = percent((order.limit_price - price) * order.side.sign, abs(price)) if price else None
        yield Check(
            name="collar",
            is_passed=beyond is not None and beyond <= state.config.collar,
            value=beyond,
            limit=state.config.collar,
            unit="percent",
            message="the limit must not be further beyond the market than the collar",
        )


def _legs(proposal: Proposal) -> Iterator[Check]:
    """The legs of a bracket are on the two sides of the price at which its parent is expected to fill."""
    order = proposal.order
    expected = _expected_price(order, proposal.reference)
    for name, price, gain in (("take_profit", order.take_profit, 1), ("stop_loss", order.stop_loss, -1)):
        if price is not None:
            yield Check(
                name=name,
                is_passed=(price - expected) * order.side.sign * gain > 0,
                value=price,
                limit=expected,
                message=f"{name} must be {'above' if order.side.sign * gain > 0 else 'below'} the order's price",
            )


def _reduces(state: AccountState, proposal: Proposal) -> Check:
    order = proposal.order
    position = state.position(order.symbol, order.strategy)
    held = ZERO if position is None else -position.quantity * order.side.sign
    return Check(
        name="position",
        is_passed=held > 0,
        value=order.quantity,
        limit=max(held, ZERO),
        message="there must be a position that the order reduces",
    )


def _states(
    state: AccountState, proposal: Proposal, now_ns: int, fresh_from_ns: int | None
) -> Iterator[Check]:
    yield Check(
        name="trading",
        is_passed=state.status == RUNNING,
        message=f"trading is {state.status}",
    )
    yield Check(name="zone", is_passed=state.zone is not Zone.HALT, message=f"the zone is {state.zone}")
    recent = [each for each in state.accepted_ns if each > now_ns - _MINUTE_NS]
    yield Check(
        name="order_rate",
        is_passed=len(recent) < state.config.orders_per_minute,
        value=Decimal(len(recent) + 1),
        limit=Decimal(state.config.orders_per_minute),
        unit="orders a minute",
        message="the account may place only so many orders within a minute",
    )
    old_from_ns = now_ns if fresh_from_ns is None else fresh_from_ns
    age = Decimal(max(old_from_ns - proposal.reference.at_ns, 0)) / NS_PER_SECOND
    yield Check(
        name="price_age",
        is_passed=age <= state.config.stale_after_seconds,
        value=age,
        limit=Decimal(state.config.stale_after_seconds),
        unit="seconds",
        message="the market's price must not be older than the limit",
    )
    if proposal.order.side is Side.SELL:
        can_be_short = state.kind is AccountKind.MARGIN and proposal.terms.shortable
        yield Check(
            name="short",
            is_passed=can_be_short,
            message="selling short needs a margin account and an instrument that may be shorted",
        )
    if proposal.terms.is_margined:
        yield Check(
            name="margin_account",
            is_passed=state.kind is AccountKind.MARGIN,
            message="futures need a margin account",
        )


def _exposures(
    state: AccountState, proposal: Proposal, equity: Decimal, exposure: Decimal, gross: Decimal
) -> Iterator[Check]:
    config, factor = state.config, state.zone.factor
    for name, value, limit in (
        ("symbol_exposure", exposure, config.max_symbol_exposure),
        ("gross_exposure", gross, config.max_gross_exposure),
    ):
        yield _of_equity(name, value, limit * factor, equity)
    if proposal.order.stop_loss is not None:
        at_risk = money(
            abs(_expected_price(proposal.order, proposal.reference) - proposal.order.stop_loss),
            proposal.order.quantity,
            proposal.terms.multiplier,
            proposal.reference.rate,
        )
        yield _of_equity("trade_risk", at_risk, state.risk_level, equity)


def _of_equity(name: str, value: Decimal, limit: Decimal, equity: Decimal) -> Check:
    used = percent(value, equity) if equity > 0 else None
    return Check(
        name=name,
        is_passed=used is not None and used <= limit,
        value=used,
        limit=limit,
        unit="percent of equity",
        message=name.replace("_", " ") + " must be within its limit",
    )


def _buying_power(state: AccountState, proposal: Proposal, equity: Decimal, needed: Decimal) -> Check:
    """A cash account pays for everything; what it holds is paid for already.

    A margin account covers the initial margin.
    """
    available = equity
    if state.kind is AccountKind.CASH:
        added = money(proposal.order.quantity, proposal.worth) + proposal.fee
        needed = committed(state.orders.values()) + added
        available = state.cash
    return Check(
        name="buying_power",
        is_passed=needed <= available,
        value=needed,
        limit=available,
        unit=state.currency,
        message="there must be money for all positions and orders",
    )


def _losses(state: AccountState, equity: Decimal) -> Iterator[Check]:
    config = state.config
    for name, before, limit in (
        ("daily_loss", state.day_equity, config.daily_loss),
        ("total_loss", state.start_equity, config.total_loss),
    ):
        lost = loss_percent(before, equity)
        yield Check(
            name=name,
            is_passed=lost < limit,
            value=lost,
            limit=limit,
            unit="percent",
            message=name.replace("_", " ") + " must be below its limit",
        )
