"""The events of an account. They are the source of everything; `trading.core.account` says what follows from them.

An event carries every number that was used, so that a replay asks no calendar and no store. Prices are in the
instrument's currency; `rate` converts it to the account's. `ref`s name rows of the store by log, commit token and
ordinal.
"""

from decimal import Decimal
from typing import TypeAlias

import msgspec

from trading.core.configuration import RiskConfig, Zone
from trading.core.orders import Contingency, OrderTerms
from trading.core.terms import AccountKind, Terms

# The names of the engine's clocks.


class _TradingEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """An event. Its tag is its name in the database and on the wire."""


class StrategyChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A strategy by its name, its parameters as texts, and the canonical symbols that it trades.

    sha256: of its file at the assignment; None if it is shipped.
    """

    name: str
    parameters: dict[str, str]
    symbols: tuple[str, ...]
    sha256: str | None = None


class RowRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the store. commit: the commit's token, such as `17-9f3a2c`; ordinal: the row's index in it."""

    dataset: str
    symbol: str
    commit: str
    ordinal: int
    timestamp_ns: int


class Print(msgspec.Struct, frozen=True, omit_defaults=True, tag="print"):
    """A trade of the market. known_ns: when the store had it. is_eligible: whether it may fill and trigger orders."""

    ref: RowRef
    price: Decimal
    volume: Decimal
    known_ns: int
    is_eligible: bool = True


class BarPrint(msgspec.Struct, frozen=True, omit_defaults=True, tag="bar"):
    """A stored bar, for symbols without trades.

    volume: None if unknown. end_ns: the end of its interval. is_eligible: whether it may be a price. split: the ratio of
    the splits since the bar began, by which its prices were divided.
    """

    ref: RowRef
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    end_ns: int
    known_ns: int
    is_eligible: bool = True
    split: Decimal = Decimal(1)


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the market looked like when a decision was made, for one symbol.

    price: the mark: the bid for what is sold, the ask for what is bought, otherwise the last price. rate: to the
    account's currency. refs: the rows of quote, trade and rate.
    """

    symbol: str
    price: Decimal
    rate: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    at_ns: int = 0
    refs: tuple[RowRef, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A check of an order before it is accepted. value, limit: what was compared; None if it could not be evaluated."""

    name: str
    is_passed: bool
    value: Decimal | None = None
    limit: Decimal | None = None
    unit: str = ""
    message: str = ""


class AccountOpened(_TradingEvent, frozen=True, tag="account_opened"):
    """The account exists."""

    kind: AccountKind
    currency: str


class Transferred(_TradingEvent, frozen=True, tag="transferred"):
    """Money came in (positive) or went out (negative). equity: before it."""

    transfer: str
    amount: Decimal
    equity: Decimal


class RiskConfigured(_TradingEvent, frozen=True, tag="risk_configured"):
    """The account's limits are these from now on. version: from 1."""

    version: int
    config: RiskConfig
    by: str


class TradingStarted(_TradingEvent, frozen=True, tag="trading_started"):
    """Opening orders are accepted from now on."""

    by: str


class StopRequested(_TradingEvent, frozen=True, tag="stop_requested"):
    """All orders are to be cancelled and all positions closed. Opening orders are refused from now on."""

    by: str
    reason: str = ""


class CloseQueued(_TradingEvent, frozen=True, tag="close_queued"):
    """A position cannot be closed now: its market opens at `opens_ns`, or it is unknown when."""

    symbol: str
    strategy: str
    opens_ns: int | None = None


class Stopped(_TradingEvent, frozen=True, tag="stopped"):
    """The account has no orders and no positions, as a stop asked for."""


class OrderAccepted(_TradingEvent, frozen=True, tag="order_accepted"):
    """An order passed all checks.

    submitted_ns: when it came. matches_after_ns: with the latency. expires_ns: the end of its session; None for gtc.
    reference, checks, risk_version: what it was judged by. worth, margin, fee: see `Order`. commits: the heads of the
    logs that it is matched with, by dataset. leg_of, leg: of a leg. contingency: see `Order`. replaces: the order in whose
    place it comes. correlation_id: of the call that placed it.
    """

    order_id: str
    order: OrderTerms
    terms: Terms
    submitted_ns: int
    matches_after_ns: int
    reference: Reference
    checks: tuple[Check, ...]
    risk_version: int
    worth: Decimal
    margin: Decimal
    fee: Decimal
    expires_ns: int | None = None
    collar: Decimal | None = None
    is_taking: bool = False
    commits: dict[str, str] = {}
    leg_of: str | None = None
    leg: str | None = None
    contingency: Contingency | None = None
    replaces: str | None = None
    by: str = ""
    correlation_id: str = ""


class OrderRejected(_TradingEvent, frozen=True, tag="order_rejected"):
    """An order of a strategy did not pass its checks: there never was an order. Clients are refused without an event.

    submitted_ns: when it came. reference, checks: what it was judged by; None and none without a price. reason: in
    words.
    """

    order_id: str
    order: OrderTerms
    terms: Terms
    submitted_ns: int
    reason: str
    reference: Reference | None = None
    checks: tuple[Check, ...] = ()
    by: str = ""


class OrderWorking(_TradingEvent, frozen=True, tag="order_working"):
    """The engine matches the order from now on. expires_ns: of a day order whose session is that of its first bar."""

    order_id: str
    expires_ns: int | None = None


class OrderRested(_TradingEvent, frozen=True, tag="order_rested"):
    """The market moved beyond a limit that was marketable: the order rests, and fills at its limit from now on."""

    order_id: str


class CancelRequested(_TradingEvent, frozen=True, tag="cancel_requested"):
    """Orders are to be cancelled. The engine does it, because what was printed before still fills."""

    order_ids: tuple[str, ...]
    reason: str
    by: str


class OrderEnded(_TradingEvent, frozen=True, tag="order_ended"):
    """The order ended without being filled whole. state: cancelled, replaced or expired."""

    order_id: str
    state: str
    reason: str


class OrderReduced(_TradingEvent, frozen=True, tag="order_reduced"):
    """A leg cannot fill its whole quantity any more. quantity: its new one, with what it filled."""

    order_id: str
    quantity: Decimal


class OrderTriggered(_TradingEvent, frozen=True, tag="order_triggered"):
    """A print reached the order's stop price."""

    order_id: str
    print: Print | BarPrint
    price: Decimal
    matches_after_ns: int


class Executed(_TradingEvent, frozen=True, tag="executed"):
    """A part of an order was filled.

    slippage: what the price is worse than the print's. capacity: how much of the print was left for this account
    before; None for a bar without a volume. is_ambiguous: a bar does not tell the order of its prices. began_ns: when the bar began, from which on the
    fill counts; 0 for one that counts from its event on. position: the units of the symbol that all strategies hold after
    it, below zero if short.
    """

    execution_id: str
    order_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    slippage: Decimal
    rate: Decimal
    print: Print | BarPrint
    capacity: Decimal | None
    position: Decimal
    rate_ref: RowRef | None = None
    is_ambiguous: bool = False
    began_ns: int = 0


class SplitApplied(_TradingEvent, frozen=True, tag="split_applied"):
    """A split took effect at `effective_ns`.

    It multiplies what was opened and ordered before. ratio: new units per old unit.
    """

    symbol: str
    ratio: Decimal
    effective_ns: int
    action: RowRef


class DividendPaid(_TradingEvent, frozen=True, tag="dividend_paid"):
    """A dividend per unit, or the value of a spin-off, for what was opened before `effective_ns`; shorts owe it.

    kind: of the action. amount: 0 for all other kinds of actions, and if there is no rate. currency: of the amount. rate:
    from it to the account's. instrument_rate: likewise from the instrument's currency, if the amount's is another; None if
    it is not known. date: the ex-date, days since 1970.
    """

    symbol: str
    amount: Decimal
    rate: Decimal
    effective_ns: int
    action: RowRef
    currency: str
    kind: str
    date: int
    instrument_rate: Decimal | None = None


class Settled(_TradingEvent, frozen=True, tag="settled"):
    """The gains and losses of a future since the last settlement were paid. date: the UTC date of the session's end.

    is_final: whether it was the contract's last session, so that its positions were closed at the price.
    """

    symbol: str
    price: Decimal
    rate: Decimal
    date: str
    is_final: bool = False


class BorrowCharged(_TradingEvent, frozen=True, tag="borrow_charged"):
    """A day's fee for a short, in the account's currency. rate: to it from the instrument's."""

    symbol: str
    amount: Decimal
    date: str
    strategy: str = ""
    rate: Decimal = Decimal(1)


class Marked(_TradingEvent, frozen=True, tag="marked"):
    """The account's equity was computed: a new high-water mark, another zone, or the day's first.

    zone: after it. day: the UTC date if it begins with this event.
    """

    equity: Decimal
    marks: tuple[Reference, ...]
    zone: Zone
    day: str | None = None


class HaltLatched(_TradingEvent, frozen=True, tag="halt_latched"):
    """Trading is halted until a person leaves it. symbol: of a log that was restored."""

    reason: str
    symbol: str | None = None


class HaltReleased(_TradingEvent, frozen=True, tag="halt_released"):
    """A person ended the halt."""

    reason: str
    by: str


class RiskOverridden(_TradingEvent, frozen=True, tag="risk_overridden"):
    """A person set the risk level until an instant."""

    risk_level: Decimal
    until_ns: int
    reason: str
    by: str


class OverrideEnded(_TradingEvent, frozen=True, tag="override_ended"):
    """The risk level is the configured one again. reason, by: empty if its time was over."""

    reason: str = ""
    by: str = ""


class Preferences(_TradingEvent, frozen=True, tag="preferences_set"):
    """The account's preferences.

    heartbeat_seconds: cancel all if no heartbeat comes for so long; None for never. model: the name of the model that
    a rebalance follows; None for none.
    """

    name: str = ""
    requires_signature: bool = False
    heartbeat_seconds: int | None = None
    model: str | None = None


class StrategyAssigned(_TradingEvent, frozen=True, tag="strategy_assigned"):
    """This strategy decides for the account from now on; none does without one. failure: why it failed; it decides no more."""

    strategy: StrategyChoice | None
    by: str
    failure: str = ""


class Alert(_TradingEvent, frozen=True, tag="alert"):
    """Something that a person should know. kind: such as `margin_call`."""

    kind: str
    message: str
    symbol: str | None = None


MARGIN_CALL, MARGIN_RESTORED, HALT_ALERT, ZONE_ALERT = "margin_call", "margin_restored", "halt", "zone"
CLOSE_ALERT, ACTION_ALERT = "close_queued", "corporate_action"
STRATEGY_ALERT = "strategy"

Event: TypeAlias = (
    AccountOpened
    | Transferred
    | RiskConfigured
    | TradingStarted
    | StopRequested
    | CloseQueued
    | Stopped
    | OrderAccepted
    | OrderRejected
    | OrderWorking
    | OrderRested
    | CancelRequested
    | OrderEnded
    | OrderReduced
    | OrderTriggered
    | Executed
    | SplitApplied
    | DividendPaid
    | Settled
    | BorrowCharged
    | Marked
    | HaltLatched
    | HaltReleased
    | RiskOverridden
    | OverrideEnded
    | Preferences
    | StrategyAssigned
    | Alert
)

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encoded(event: Event) -> str:
    """Return an event as JSON text. The same event gives the same text."""
    return _encoder.encode(event).decode()


def decoded(text: str) -> Event:
    """Return the event of a JSON text."""
    return _decoder.decode(text)


def name_of(event: Event) -> str:
    """Return the name of an event, such as `order_accepted`."""
    return str(type(event).__struct_config__.tag)
