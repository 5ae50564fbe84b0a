"""Orders: what a client asks for, the states of an order, and the moves between them."""

from decimal import Decimal
from enum import StrEnum
from hashlib import sha1

import msgspec

from trading.core.amounts import ZERO, exact, unit_price
from trading.core.terms import Side, Terms

# Of a quantity, and of a price in size.
MOST = Decimal(10) ** 12


class OrderType(StrEnum):
    """How an order's price is limited."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"

    @property
    def has_limit(self) -> bool:
        return self in {OrderType.LIMIT, OrderType.STOP_LIMIT}

    @property
    def has_stop(self) -> bool:
        return self in {OrderType.STOP, OrderType.STOP_LIMIT}


class TimeInForce(StrEnum):
    """For how long an order may fill.

    day: until its trading date's session ends. gtc: until it is cancelled. ioc: what does not fill at the first print
    is cancelled. fok: it fills whole at the first print, or not at all.
    """

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"

    @property
    def is_immediate(self) -> bool:
        return self in {TimeInForce.IOC, TimeInForce.FOK}


class OrderState(StrEnum):
    """The state of an order. `MOVES` has the states that may follow."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether no state follows."""
        return not MOVES[self]


_ENDS = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REPLACED, OrderState.EXPIRED})
MOVES: dict[OrderState, frozenset[OrderState]] = {
    OrderState.PENDING_NEW: frozenset({OrderState.ACCEPTED, OrderState.REJECTED}),
    OrderState.ACCEPTED: frozenset({OrderState.WORKING, OrderState.PENDING_CANCEL, *_ENDS})
    - {OrderState.FILLED},
    OrderState.WORKING: frozenset({OrderState.PARTIALLY_FILLED, OrderState.PENDING_CANCEL, *_ENDS}),
    OrderState.PARTIALLY_FILLED: frozenset({OrderState.PARTIALLY_FILLED, OrderState.PENDING_CANCEL, *_ENDS}),
    # What was printed before the cancel was known still fills.
    OrderState.PENDING_CANCEL: _ENDS,
    **dict.fromkeys(
        (*sorted(_ENDS), OrderState.REJECTED),
        frozenset[OrderState](),
    ),
}


class Contingency(StrEnum):
    """How an order and its legs depend on one another.

    oto: a leg works once the order fills. bracket: two legs do, and a fill of one reduces the other. oco: the order and
    its leg close a position. Both work at once, a fill of one reduces the other, and both end together.
    """

    OTO = "oto"
    BRACKET = "bracket"
    OCO = "oco"


class IllegalMove(ValueError):
    """The order cannot move to this state. Look up its state."""


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks for.

    quantity: in units or contracts, above zero. limit_price, stop_price: in the instrument's currency, where the type
    has them. reduce_only: it never opens or turns a position. take_profit, stop_loss: the prices of its legs. strategy:
    positions and trades of different strategies are kept apart.
    """

    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    client_order_id: str | None = None
    strategy: str = ""

    @property
    def contingency(self) -> Contingency | None:
        """How it depends on its legs; None without legs."""
        if self.take_profit is None and self.stop_loss is None:
            return None
        if self.reduce_only:
            return Contingency.OCO
        return Contingency.OTO if None in (self.take_profit, self.stop_loss) else Contingency.BRACKET

    def is_marketable(self, price: Decimal) -> bool:
        """Return whether it is a limit order that could fill at once if the market is at a price."""
        if self.limit_price is None or self.type.has_stop:
            return False
        return (price - self.limit_price) * self.side.sign <= 0


class Leg(StrEnum):
    """Which leg an order is."""

    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


class Order(msgspec.Struct, kw_only=True):
    """An order of an account, as its events left it.

    id: a UUID. instrument: the terms of its instrument when it was accepted. states: the instant of each state,
    nanoseconds UTC. matches_after_ns: only what is printed and known after this instant fills it. expires_ns: when it
    ends; None for gtc. collar: the worst price of a market order or stop; None for one that only reduces. is_taking:
    whether it fills at the print's price and not at its limit, because it was marketable. worth: the value of a unit
    at limit or collar, in the account's currency. margin: the money that must be paid in for a unit. fee: what was
    expected for the whole. filled_offset: see `units_filled`. filled_value, fees: of its fills, in the instrument's currency. parent_id, leg: of a leg.
    contingency: of a leg and of its parent. is_held: whether it is a leg whose parent has filled nothing. replaces,
    replaced_by: ids of orders. reason: why it ended. by: the caller. correlation_id: of its call. first_event: the number of the event that accepted
    it.
    """

    id: str
    terms: OrderTerms
    instrument: Terms
    state: OrderState
    states: dict[str, int]
    matches_after_ns: int
    expires_ns: int | None = None
    collar: Decimal | None = None
    is_taking: bool = False
    is_triggered: bool = False
    worth: Decimal = ZERO
    margin: Decimal = ZERO
    fee: Decimal = ZERO
    filled: Decimal = ZERO
    filled_offset: Decimal = ZERO
    filled_value: Decimal = ZERO
    fees: Decimal = ZERO
    parent_id: str | None = None
    leg: Leg | None = None
    contingency: Contingency | None = None
    is_held: bool = False
    replaces: str | None = None
    replaced_by: str | None = None
    reason: str | None = None
    by: str = ""
    correlation_id: str = ""
    first_event: int = 0

    @property
    def submitted_ns(self) -> int:
        """When it came."""
        return self.states[OrderState.PENDING_NEW]

    @property
    def is_undated(self) -> bool:
        """Whether it is a day order that waits for its first bar, whose session is its own."""
        is_day = self.terms.time_in_force is TimeInForce.DAY
        return is_day and self.expires_ns is None and self.state is OrderState.ACCEPTED

    @property
    def may_be_cancelled(self) -> bool:
        """Whether a cancel may be asked for, and was not."""
        return OrderState.PENDING_CANCEL in MOVES[self.state]

    @property
    def covered_by(self) -> str | None:
        """The parent whose `AccountState.covered` limits what it may fill: a leg's, and of an oco itself; None without one."""
        is_parent = self.contingency is Contingency.OCO and self.parent_id is None
        return self.id if is_parent else self.parent_id

    @property
    def units_filled(self) -> Decimal:
        """How many units its fills had when they filled. `filled` is in units of now, which splits change."""
        return self.filled + self.filled_offset

    @property
    def remaining(self) -> Decimal:
        return self.terms.quantity - self.filled

    @property
    def average_price(self) -> Decimal | None:
        """The average price of what was filled; None if nothing was."""
        units = exact(self.filled, self.instrument.multiplier)
        return unit_price(self.filled_value, units) if units else None

    @property
    def is_stop_waiting(self) -> bool:
        """Whether its stop has not been triggered yet."""
        return self.terms.type.has_stop and not self.is_triggered

    @property
    def is_market(self) -> bool:
        """Whether it fills at any price, up to its collar."""
        return not self.terms.type.has_limit

    @property
    def worst_price(self) -> Decimal | None:
        """The worst price at which it may fill: its limit or collar; None for none."""
        return self.terms.limit_price if self.terms.type.has_limit else self.collar

    def move(self, state: OrderState, at_ns: int) -> None:
        """Move to a state, whose instant is the first one. Raises IllegalMove.

        An engine that is behind has an earlier time than who accepted the order: no instant is before that.
        """
        if state not in MOVES[self.state]:
            raise IllegalMove(f"an order that is {self.state} cannot become {state}")
        self.state = state
        self.states.setdefault(state, max(at_ns, self.submitted_ns))


def id_in(namespace: bytes, name: str) -> str:
    """Return the UUID (version 5) of a name as text. The same events give the same ids.

    namespace: the bytes of the UUID that the name is of.
    """
    # As `uuid.uuid5`, which takes four times as long.
    digest = bytearray(sha1(namespace + name.encode(), usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
