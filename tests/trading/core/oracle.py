"""What fills, splits, dividends and settlements make of an account, in fractions, without the code of trading.

Rounding is only that of the design: each amount of money half-even to six decimals, each quantity to nine.
"""

from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from typing import NamedTuple

BASE = "USD"


def money(value: Fraction) -> Fraction:
    return Fraction(round(value * 10**6), 10**6)


def quantity(value: Fraction) -> Fraction:
    return Fraction(round(value * 10**9), 10**9)


class Instrument(NamedTuple):
    symbol: str
    currency: str
    multiplier: Fraction
    is_margined: bool


class Fill(NamedTuple):
    signed: Fraction
    price: Fraction
    fee: Fraction
    rate: Fraction
    stop: Fraction | None = None


def fifteen_digits(value: Fraction) -> Fraction:
    """A value with 15 significant digits, half-even."""
    return Fraction(Context(prec=15).divide(Decimal(value.numerator), Decimal(value.denominator)))


def unit_price(cost: Fraction, units: Fraction) -> Fraction:
    """The price of a unit: the first with few decimals that gives the rounded cost, otherwise with 15 digits."""
    exact = fifteen_digits(cost / units)
    prices = (Fraction(round(exact * 10**places), 10**places) for places in range(16))
    # Of the costs of millionths only these decimals of a price can be known.
    known = [each for places, each in enumerate(prices) if abs(units) * 10**6 >= 10**places]
    return next((each for each in known if money(each * units) == cost), exact)


@dataclass
class OracleTrade:
    """A trade from flat to flat. Amounts are in the instrument's currency, but for pnl_base, which is cash."""

    direction: str
    entered: Fraction = Fraction(0)
    left: Fraction = Fraction(0)
    entry_value: Fraction = Fraction(0)
    exit_value: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    gained: Fraction = Fraction(0)
    pnl_base: Fraction = Fraction(0)
    risks: list[Fraction | None] = field(default_factory=list)

    def figures(self, multiplier: Fraction) -> dict[str, object]:
        pnl = self.gained - self.fees
        is_known = all(risk is not None and risk > 0 for risk in self.risks)
        risk = sum((each or Fraction(0) for each in self.risks), Fraction(0)) if is_known else None
        return {
            "direction": self.direction,
            "quantity": self.entered,
            "entry_price": unit_price(self.entry_value, self.entered * multiplier),
            "exit_price": unit_price(self.exit_value, self.left * multiplier),
            "fees": self.fees,
            "pnl": pnl,
            "pnl_base": self.pnl_base,
            "risk": risk,
            "r": money(pnl / risk) if risk else None,
        }


@dataclass
class OracleBook:
    """The position of one strategy in an instrument. lots: pairs of quantity and cost, the oldest first."""

    instrument: Instrument
    lots: list[list[Fraction]] = field(default_factory=list)
    trade: OracleTrade | None = None
    closed: list[dict[str, object]] = field(default_factory=list)

    @property
    def held(self) -> Fraction:
        return sum((lot[0] for lot in self.lots), Fraction(0))

    @property
    def cost(self) -> Fraction:
        return sum((lot[1] for lot in self.lots), Fraction(0))

    def fill(self, fill: Fill) -> tuple[Fraction, Fraction]:
        """Fill the position; return the value that changed hands, and what was gained."""
        closing = Fraction(0)
        if self.held * fill.signed < 0:
            closing = fill.signed if abs(fill.signed) <= abs(self.held) else -self.held
        if not closing:
            return self._open(fill), Fraction(0)
        if closing == fill.signed:
            return self._close(fill)
        fee = money(fill.fee * closing / fill.signed)
        value, gained = self._close(fill._replace(signed=closing, fee=fee))
        rest = fill._replace(signed=fill.signed - closing, fee=fill.fee - fee)
        opened = self._open(rest)
        paid = [
            -gained if self.instrument.is_margined else value,
            0 if self.instrument.is_margined else opened,
        ]
        paid = [paid[0] + fee, paid[1] + rest.fee]
        assert self.trade is not None
        # The account pays once.
        self.trade.pnl_base += sum(money(each * fill.rate) for each in paid) - money(sum(paid) * fill.rate)
        return value + opened, gained

    def _open(self, fill: Fill) -> Fraction:
        value = money(fill.signed * fill.price * self.instrument.multiplier)
        self.lots.append([fill.signed, value])
        if self.trade is None:
            self.trade = OracleTrade("LONG" if fill.signed > 0 else "SHORT")
        trade = self.trade
        trade.entered += abs(fill.signed)
        trade.entry_value += abs(value)
        trade.fees += fill.fee
        paid = fill.fee + (0 if self.instrument.is_margined else value)
        trade.pnl_base -= money(paid * fill.rate)
        distance = None if fill.stop is None else (fill.price - fill.stop) * fill.signed
        trade.risks.append(None if distance is None else money(distance * self.instrument.multiplier))
        return value

    def _close(self, fill: Fill) -> tuple[Fraction, Fraction]:
        assert self.trade is not None
        trade = self.trade
        value = money(fill.signed * fill.price * self.instrument.multiplier)
        gained = -value - self._taken(-fill.signed)
        trade.left += abs(fill.signed)
        trade.exit_value += abs(value)
        trade.fees += fill.fee
        trade.gained += gained
        got = gained if self.instrument.is_margined else -value
        trade.pnl_base += money((got - fill.fee) * fill.rate)
        if not self.held:
            self.closed.append(trade.figures(self.instrument.multiplier))
            self.trade = None
        return value, gained

    def _taken(self, wanted: Fraction) -> Fraction:
        """Take a quantity out of the oldest lots; lots that a split left empty go too. Return its cost."""
        cost, lots = Fraction(0), []
        for held, paid in self.lots:
            part = held if abs(held) <= abs(wanted) else wanted
            share = paid if part == held else money(paid * part / held)
            cost, wanted = cost + share, wanted - part
            if part != held:
                lots.append([held - part, paid - share])
        self.lots = lots
        return cost

    def split(self, ratio: Fraction) -> None:
        if self.lots and not any(quantity(lot[0] * ratio) for lot in self.lots):
            self.fill(Fill(-self.held, Fraction(0), Fraction(0), Fraction(1)))
            return
        for lot in self.lots:
            lot[0] = quantity(lot[0] * ratio)
        if self.trade is not None:
            self.trade.entered = quantity(self.trade.entered * ratio)
            self.trade.left = quantity(self.trade.left * ratio)

    def settle(self, price: Fraction, rate: Fraction) -> Fraction:
        before = self.cost
        for lot in self.lots:
            lot[1] = money(lot[0] * price * self.instrument.multiplier)
        gained = self.cost - before
        if self.trade is not None:
            self.trade.gained += gained
            self.trade.pnl_base += money(gained * rate)
        return gained

    def earn(self, amount: Fraction, amount_base: Fraction) -> None:
        if self.trade is not None:
            self.trade.gained += amount
            self.trade.pnl_base += amount_base


@dataclass
class Oracle:
    """An account: its books by instrument and strategy, and its cash."""

    books: dict[tuple[str, str], OracleBook]
    cash: Fraction = Fraction(0)

    def fill(self, key: tuple[str, str], fill: Fill) -> None:
        book = self.books[key]
        value, gained = book.fill(fill)
        spent = -gained if book.instrument.is_margined else value
        self._pay(book, spent + fill.fee, fill.rate)

    def split(self, symbol: str, ratio: Fraction) -> None:
        for book in self._of(symbol):
            book.split(ratio)

    def dividend(self, symbol: str, amount: Fraction, rate: Fraction) -> None:
        for book in self._of(symbol):
            paid = money(book.held * amount)
            self._pay(book, -paid, rate)
            book.earn(paid, money(paid * rate))

    def borrow(self, key: tuple[str, str], amount: Fraction) -> None:
        """Pay a fee in the account's currency, which is the instrument's."""
        self.cash -= amount
        self.books[key].earn(-amount, -amount)

    def settle(self, symbol: str, price: Fraction, rate: Fraction) -> None:
        for book in self._of(symbol):
            self._pay(book, -book.settle(price, rate), rate)

    def _of(self, symbol: str) -> list[OracleBook]:
        return [book for book in self.books.values() if book.instrument.symbol == symbol]

    def _pay(self, book: OracleBook, amount: Fraction, rate: Fraction) -> None:
        self.cash -= amount if book.instrument.currency == BASE else money(amount * rate)
