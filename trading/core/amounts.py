"""Exact amounts: money has six decimals, quantities have nine. Both are rounded half-even, once."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal

ZERO, ONE = Decimal(0), Decimal(1)
HUNDRED = Decimal(100)
NS_PER_SECOND = 1_000_000_000

_MONEY_DECIMALS = 6
_MONEY = Decimal(1).scaleb(-_MONEY_DECIMALS)
_QUANTITY = Decimal("0.000000001")
# A product of a price, a quantity, a multiplier and a rate has at most 68 digits, so that it is rounded once.
_EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)
_multiply, _quantize = _EXACT.multiply, _EXACT.quantize
_PRICE = Context(prec=15, rounding=ROUND_HALF_EVEN)
_LONG = Context(prec=30, rounding=ROUND_HALF_EVEN)


def exact(product: Decimal, *factors: Decimal) -> Decimal:
    """Return the product of the factors with all its digits."""
    for factor in factors:
        product = _multiply(product, factor)
    return product


def money(product: Decimal, *factors: Decimal) -> Decimal:
    """Return the product of the factors as money."""
    for factor in factors:
        product = _multiply(product, factor)
    return _quantize(product, _MONEY)


def quantity(product: Decimal, *factors: Decimal) -> Decimal:
    """Return the product of the factors as a quantity."""
    return _quantize(exact(product, *factors), _QUANTITY)


def part_of(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return `total * part / whole` as money. The whole must not be zero."""
    return _EXACT.quantize(_EXACT.divide(_EXACT.multiply(total, part), whole), _MONEY)


def scaled(value: Decimal, by: Decimal, of: Decimal) -> Decimal:
    """Return `value * by / of` with 30 digits, for values that are scaled again and again. `of` must not be zero."""
    return _LONG.plus(_EXACT.divide(_EXACT.multiply(value, by), of))


def percent(part: Decimal, whole: Decimal) -> Decimal:
    """Return part / whole in per cent, with six decimals. The whole must not be zero."""
    return part_of(HUNDRED, part, whole)


def average(value: Decimal, units: Decimal) -> Decimal:
    """Return the value of a unit, with 15 digits. The units must not be zero."""
    return _PRICE.divide(value, units)


def unit_price(cost: Decimal, units: Decimal) -> Decimal:
    """Return the price of a unit: the shortest that gives the cost, which was rounded; without one, with 15 digits.

    It is 64321.12, not 64321.1200003. The units must not be zero.
    """
    price = average(cost, units)
    places = _MONEY_DECIMALS + units.adjusted()
    shortest = _EXACT.quantize(price, ONE.scaleb(-max(places, 0)))
    if places < 0 or shortest == price or money(shortest, units) != cost:
        return price
    return _EXACT.add(shortest.normalize(_EXACT), ZERO)


def ratio(part: Decimal, whole: Decimal) -> Decimal | None:
    """Return part / whole with six decimals; None if the whole is zero."""
    return part_of(ONE, part, whole) if whole else None


def to_step(value: Decimal, step: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Return the multiple of a step that is nearest to a value, or next to it in a direction of `decimal`."""
    steps = _EXACT.divide(value, step).quantize(ONE, rounding, context=_EXACT)
    return _EXACT.multiply(steps, step)


def lots_below(value: Decimal, lot: Decimal) -> Decimal:
    """Return the largest multiple of a lot that is not above a value, as a quantity."""
    return quantity(to_step(value, lot, ROUND_DOWN))


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Return whether a value is a multiple of a step."""
    return _EXACT.remainder(value, step) == 0


def price_of(stored: float) -> Decimal:
    """Return a price of the store exactly as its shortest text."""
    return Decimal(repr(float(stored)))


def plain(value: Decimal) -> str:
    """Return the shortest text without an exponent, such as `12.5`."""
    text = format(abs(value) if value == 0 else value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
