"""Computes implied volatility and greeks for columns of inputs."""

from dataclasses import dataclass

import numpy as np

from stats.options.american import AndersenLake
from stats.options.escrowed import EscrowedOptions
from stats.options.european import BlackScholes, highest_prices, lowest_prices
from stats.options.inputs import SOLVED, Codes, Inputs, Reason, mark
from store.arrays import Floats, Integers, Mask

DAYS_A_YEAR = 365
PERCENT = 0.01

# A price within this tolerance of a bound, relative to spot + strike, counts as equal to the bound.
_ROUNDING = 1e-12
# The maximum of |rate · t| and |dividend yield · t|, so that all exponentials stay finite.
_LARGEST_GROWTH = 100.0


@dataclass(frozen=True, slots=True)
class Valuation:
    """Columns of equal length. A row's numbers are NaN if, and only if, its `reason` is not `SOLVED`.

    iv: per year; 0.2 is 20 %. delta, gamma: per 1 of the underlying's price. theta: per calendar day. vega:
    per percentage point of volatility. rho: per percentage point of the rate, at constant spot and dividend
    yield; on a future at a constant price of the future (Black 1976).
    """

    iv: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats
    reason: Codes


def valuation(inputs: Inputs, american: Mask, quote_codes: Codes) -> Valuation:
    """Compute implied volatility and greeks.

    Models: Andersen-Lake-Offengenden for American options, with cash dividends a trinomial lattice; Black-Scholes-Merton
    for European ones.
    quote_codes: the reason codes of `mid_prices`. Raises nothing; a row that cannot be valued gets a reason.
    """
    codes = _reasons(inputs, american, quote_codes)
    scaled = _scaled(inputs)
    solutions = np.full((5, len(inputs)), np.nan)
    escrowed = (codes == SOLVED) & american & (inputs.dividends.total > 0)
    if len(rows := np.flatnonzero(escrowed)):
        solutions[:, rows] = _solved_escrowed(inputs, rows, scaled[:, rows])
    for is_american in (False, True):
        for is_call in (False, True):
            has_model = (american == is_american) & (inputs.is_call == is_call)
            if len(rows := np.flatnonzero((codes == SOLVED) & ~escrowed & has_model)):
                model = (AndersenLake if is_american else BlackScholes)(is_call=is_call)
                solutions[:, rows] = _solved(model, scaled[:, rows], on_future=inputs.on_future)
    columns = _in_units(inputs, solutions)
    is_solved: Mask = np.asarray(np.isfinite(columns).all(axis=0))
    mark(codes, ~is_solved, Reason.NO_SOLUTION)
    columns[:, codes != SOLVED] = np.nan
    iv, delta, gamma, theta, vega, rho = columns
    return Valuation(iv, delta, gamma, theta, vega, rho, codes)


def _reasons(inputs: Inputs, american: Mask, quote_codes: Codes) -> Codes:
    codes = np.full(len(inputs), SOLVED, np.int8)
    mark(codes, inputs.t <= 0, Reason.EXPIRED)
    codes = np.where(codes == SOLVED, quote_codes, codes)
    mark(codes, ~np.isfinite(inputs.price), Reason.NO_QUOTE)
    mark(codes, ~(inputs.spot > 0), Reason.NO_UNDERLYING)
    with np.errstate(all="ignore"):
        growth = np.maximum(abs(inputs.rate * inputs.t), abs(inputs.dividend_yield * inputs.t))
        in_model_range = (
            (inputs.strike > 0)
            & (inputs.net_spot > 0)
            & (growth <= _LARGEST_GROWTH)
            & np.isfinite(inputs.spot / inputs.strike)
        )
        tolerance = _ROUNDING * (inputs.spot + inputs.strike)
        below = ~(inputs.price > lowest_prices(inputs, american) + tolerance)
        above = ~(inputs.price < highest_prices(inputs, american) - tolerance)
    mark(codes, ~in_model_range, Reason.NO_SOLUTION)
    mark(codes, below, Reason.BELOW_INTRINSIC)
    mark(codes, above, Reason.ABOVE_MAXIMUM)
    return codes


def _scaled(inputs: Inputs) -> Floats:
    """Return the models' arguments as rows x, a, b and price (see `stats.options.european`)."""
    with np.errstate(all="ignore"):
        return np.stack(
            [
                inputs.net_spot / inputs.strike,
                inputs.rate * inputs.t,
                inputs.dividend_yield * inputs.t,
                inputs.price / inputs.strike,
            ]
        )


def _solved_escrowed(inputs: Inputs, rows: Integers, columns: Floats) -> Floats:
    """Return what `_solved` does, of American options with cash dividends. rows: their rows in `inputs`."""
    parts, values = inputs.dividends.at(rows).scaled(inputs.t[rows], inputs.strike[rows])
    options = EscrowedOptions(inputs.is_call[rows], parts, values)
    x, a, b, price = columns
    with np.errstate(all="ignore"):
        v = options.total_volatilities(x, a, b, price)
        return np.stack([v, *options.slopes(x, a, b, v)])


def _solved(model: BlackScholes | AndersenLake, columns: Floats, *, on_future: bool) -> Floats:
    """Return a matrix of five rows: v and the four `Slopes`. A column without a solution is NaN.

    on_future: whether the last slope is at a constant forward.
    """
    return np.array([_solution(model, *row, on_future=on_future) for row in columns.T.tolist()]).T


def _solution(
    model: BlackScholes | AndersenLake, x: float, a: float, b: float, price: float, *, on_future: bool
) -> tuple[float, ...]:
    try:
        v = model.total_volatility(x, a, b, price)
        delta, gamma, vega, rho = model.slopes(x, a, b, v)
        return v, delta, gamma, vega, model.slope_on_future(x, a, b, v) if on_future else rho
    except RuntimeError:
        return (np.nan,) * 5


def _in_units(inputs: Inputs, solutions: Floats) -> Floats:
    """Return the models' results, converted to rows iv, delta, gamma, theta, vega, rho in the units of `Valuation`."""
    v, by_x, by_x_twice, by_v, by_a = solutions
    strike, t = inputs.strike, inputs.t
    with np.errstate(all="ignore"):
        iv, gamma = v / np.sqrt(t), by_x_twice / strike
        # Theta from the Black-Scholes-Merton equation, which holds where early exercise does not pay. At a constant spot
        # the net spot falls as the dividends come nearer.
        dividends, net_spot = inputs.dividends, inputs.net_spot
        drift = (inputs.rate - inputs.dividend_yield) * net_spot + inputs.rate * dividends.total
        theta = inputs.rate * inputs.price - drift * by_x - (iv * net_spot) ** 2 * gamma / 2
        # A higher rate makes the dividends' present value less.
        discounted = (dividends.years * dividends.values).sum(axis=1)
        vega, rho = strike * np.sqrt(t) * by_v, strike * t * by_a + by_x * discounted
    return np.stack([iv, by_x, gamma, theta / DAYS_A_YEAR, vega * PERCENT, rho * PERCENT])
