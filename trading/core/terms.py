"""What may be traded, and on which terms: a row for each instrument class, fees and slippage."""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from trading.core.amounts import ONE, ZERO, average, exact, money, to_step

_BASIS_POINT = Decimal("0.0001")


class Side(StrEnum):
    """The side of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class AccountKind(StrEnum):
    """cash: no shorts, no borrowing. margin: by Regulation T."""

    CASH = "cash"
    MARGIN = "margin"


class Fee(msgspec.Struct, frozen=True, kw_only=True):
    """The fee of an order in the instrument's currency: per unit, plus basis points of the value; at least `minimum`."""

    per_unit: Decimal = ZERO
    basis_points: Decimal = ZERO
    minimum: Decimal = ZERO

    def of(self, quantity: Decimal, value: Decimal) -> Decimal:
        """Return the fee of a quantity above zero with this value."""
        by_unit, by_value = money(self.per_unit, quantity), money(self.basis_points, _BASIS_POINT, abs(value))
        return max(by_unit + by_value, self.minimum)


class Slippage(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse than the print an order fills that takes liquidity, in basis points of its price."""

    basis_points: Decimal = ZERO

    def price(self, side: Side, price: Decimal, on_tick: Callable[[Decimal, str], Decimal]) -> Decimal:
        """Return the price of the fill, on the tick next to it that is not better. on_tick: see `Terms.on_tick`."""
        moved = price + side.sign * exact(abs(price), self.basis_points, _BASIS_POINT)
        return on_tick(moved, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms on which an instrument is traded.

    instrument_class: one of `TRADABLE`. currency: of its prices. tick, lot: steps of price and quantity;
    without a tick any price may be had. tick_below_one: the step of prices below 1, if it is another (rule 612 of the SEC); see `tick_at`. multiplier:
    units of the underlying per contract. is_margined: gains and losses are settled daily, and the value is not paid
    (futures). initial_margin: the part of the value that must be paid in for a long; short_margin: for a short;
    maintenance_margin, short_maintenance: below which a person is warned. contract_margin: instead of these, money per
    contract. shortable: whether it may be sold short. borrow_rate: a year's fee for a short, as a fraction of its
    value.
    """

    instrument_class: str
    currency: str
    lot: Decimal
    tick: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    is_margined: bool = False
    initial_margin: Decimal = Decimal(1)
    maintenance_margin: Decimal = Decimal(1)
    short_maintenance: Decimal = Decimal(1)
    contract_margin: Decimal | None = None
    shortable: bool = False
    borrow_rate: Decimal = ZERO
    fee: Fee = Fee()
    slippage: Slippage = Slippage()
    tick_below_one: Decimal | None = None

    def tick_at(self, price: Decimal) -> Decimal | None:
        """Return the step of prices at a price; None if there is none."""
        return self.tick if self.tick_below_one is None or abs(price) >= 1 else self.tick_below_one

    def on_tick(self, price: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
        """Return the price on the tick next to it; without a tick with 15 digits."""
        tick = self.tick_at(price)
        return average(price, ONE) if tick is None else to_step(price, tick, rounding)


class _Changes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields of `Terms` that an installation may change for a class."""

    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    short_maintenance: Decimal | None = None
    contract_margin: Decimal | None = None
    borrow_rate: Decimal | None = None
    shortable: bool = False
    fee: Fee = Fee()
    slippage: Slippage = Slippage()


def shared(terms: Terms) -> Terms:
    """Return equal terms that are one object: without it each of 1,000 orders has its own, of a kilobyte.

    Equal to the digits: 1.0 is not 1.
    """
    return _terms_of(msgspec.json.encode(terms))


@lru_cache(maxsize=1_000)
def _terms_of(text: bytes) -> Terms:
    return msgspec.json.decode(text, type=Terms)


_CENT, _WHOLE, _TINY = Decimal("0.01"), Decimal(1), Decimal("0.00000001")

# Regulation T: 50 % initial margin, 25 % maintenance for longs and 30 % for shorts.
TRADABLE: dict[str, Terms] = {
    "equity": Terms(
        instrument_class="equity",
        currency="USD",
        tick=_CENT,
        lot=_WHOLE,
        initial_margin=Decimal("0.50"),
        maintenance_margin=Decimal("0.25"),
        short_maintenance=Decimal("0.30"),
        shortable=True,
        borrow_rate=Decimal("0.003"),
        fee=Fee(per_unit=Decimal("0.005"), minimum=Decimal(1)),
        slippage=Slippage(basis_points=Decimal(1)),
        tick_below_one=Decimal("0.0001"),
    ),
    "fx": Terms(
        instrument_class="fx",
        currency="USD",
        lot=Decimal("0.01"),
        initial_margin=Decimal("0.02"),
        maintenance_margin=Decimal("0.02"),
        short_maintenance=Decimal("0.02"),
        shortable=True,
        fee=Fee(basis_points=Decimal("0.2")),
        slippage=Slippage(basis_points=Decimal("0.2")),
    ),
    "crypto": Terms(
        instrument_class="crypto",
        currency="USD",
        lot=_TINY,
        fee=Fee(basis_points=Decimal(10)),
        slippage=Slippage(basis_points=Decimal(2)),
    ),
    "future": Terms(
        instrument_class="future",
        currency="USD",
        lot=_WHOLE,
        is_margined=True,
        initial_margin=Decimal("0.10"),
        maintenance_margin=Decimal("0.08"),
        short_maintenance=Decimal("0.08"),
        shortable=True,
        fee=Fee(per_unit=Decimal("2.25")),
        slippage=Slippage(basis_points=Decimal("0.5")),
    ),
}


def terms_by_class(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Terms]:
    """Return `TRADABLE` with some fields changed, by class. Raises ValueError if a class or a field is unknown or unfit."""
    found = dict(TRADABLE)
    for name, fields in changes.items():
        if name not in TRADABLE:
            raise ValueError(f"{name} is not traded here; these classes are: {', '.join(TRADABLE)}")
        try:
            values = msgspec.convert(fields, _Changes)
        except msgspec.ValidationError as error:
            raise ValueError(f"{name}: {error}") from error
        found[name] = msgspec.structs.replace(
            TRADABLE[name], **{each: getattr(values, each) for each in fields}
        )
    return found


def margin_rate(kind: AccountKind, terms: Terms) -> Decimal:
    """Return the part of an order's value that must be paid in.

    A cash account pays all of it, but for a future's margin.
    """
    return terms.initial_margin if terms.is_margined or kind is AccountKind.MARGIN else Decimal(1)


def maintenance_rate(terms: Terms, *, is_long: bool) -> Decimal:
    """Return the part of a position's value that the equity must cover."""
    return terms.maintenance_margin if is_long else terms.short_maintenance
