"""American options on underlyings that pay cash dividends, by the escrowed model on a trinomial lattice.

Andersen and Lake's engine has one exercise boundary without jumps, so it takes no cash dividends. The price less the
dividends' present value is the process, and an exercise is paid with the dividends still to come. Units:
`stats.options.european`; x is without the dividends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stats.options.american import HIGH_VOLATILITIES
from stats.options.european import EuropeanColumns
from stats.options.lattice import NEAR, SPACING, LatticeInputs, lattice_prices
from store.arrays import Floats, Integers, Mask

# The solver's accuracy, per unit of strike, and its maximum number of iterations.
_ACCURACY = 1e-9
_ITERATIONS = 100

# Steps of the central differences: _VOLATILITY_STEP · v in v, and _RATE_STEP in a.
_VOLATILITY_STEP = 0.05
_RATE_STEP = 1e-3

_FACTORS_OF_V = np.array([1 + _VOLATILITY_STEP, 1 - _VOLATILITY_STEP, 1, 1])
_MOVES_OF_A = np.array([0, 0, _RATE_STEP, -_RATE_STEP])

# Weights of the first and second derivative from five points one apart (fourth order).
_SLOPE = np.array([1, -8, 0, 8, -1])[:, None] / 12
_CURVATURE = np.array([-1, 16, -30, 16, -1])[:, None] / 12


@dataclass(frozen=True, slots=True)
class EscrowedOptions:
    """Columns of American options. is_call: one value per option. parts, values: as in `LatticeInputs`.

    Arguments and results of the methods are columns of the same length.
    """

    is_call: Mask
    parts: Floats
    values: Floats

    def at(self, rows: Integers | Mask) -> "EscrowedOptions":
        """Return these options."""
        return EscrowedOptions(self.is_call[rows], self.parts[:, rows], self.values[:, rows])

    def prices(self, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        """Return the prices."""
        prices: Floats = self._near_prices(x, a, b, v)[NEAR]
        return prices

    def premiums(self, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        """Return the prices of the right to early exercise: American minus European."""
        return self.prices(x, a, b, v) - EuropeanColumns(self.is_call).values(x, a, b, v)

    def total_volatilities(self, x: Floats, a: Floats, b: Floats, price: Floats) -> Floats:
        """Return the v at which the options have these prices; NaN where there is none.

        Uses the secant method within a bracket. The first v is not below the solution.
        """

        def excess_at(rows: Integers, at_v: Floats) -> Floats:
            return self.at(rows).prices(x[rows], a[rows], b[rows], at_v) - price[rows]

        highest = self._highest(x, a, b, price)
        return _roots(excess_at, highest, EuropeanColumns(self.is_call).slopes(x, a, b, highest)[2])

    def slopes(self, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        """Return a row for each of `Slopes`: the European ones plus differences of the premium.

        In x over five nodes of the lattice; central in v and a.
        """
        european = EuropeanColumns(self.is_call)
        spots = x * np.exp(v * SPACING * np.arange(-NEAR, NEAR + 1)[:, None])
        near = self._near_prices(x, a, b, v) - np.stack([european.values(spot, a, b, v) for spot in spots])
        by_w, by_w_twice = (near * _SLOPE).sum(axis=0) / SPACING, (near * _CURVATURE).sum(axis=0) / SPACING**2
        up_v, down_v, up_a, down_a = self._moved_premiums(x, a, b, v)
        of_premium = (
            by_w / (v * x),
            (by_w_twice / v - by_w) / (v * x**2),
            (up_v - down_v) / (2 * _VOLATILITY_STEP * v),
            (up_a - down_a) / (2 * _RATE_STEP),
        )
        slopes: Floats = european.slopes(x, a, b, v) + np.stack(of_premium)
        return slopes

    def _moved_premiums(self, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        """Return four rows of premiums: at a higher v, a lower v, a higher a and a lower a.

        At another a the dividends' present values change, too.
        """
        factors, moves = (each[:, None] for each in (_FACTORS_OF_V, _MOVES_OF_A))
        count = len(moves)
        values = np.concatenate([self.values * np.exp(-move * self.parts) for move in _MOVES_OF_A], axis=1)
        options = EscrowedOptions(np.tile(self.is_call, count), np.tile(self.parts, (1, count)), values)
        columns = (np.tile(x, count), (a + moves).ravel(), np.tile(b, count), (v * factors).ravel())
        premiums: Floats = options.premiums(*columns).reshape(count, -1)
        return premiums

    def _near_prices(self, x: Floats, a: Floats, b: Floats, v: Floats) -> Floats:
        sign = np.where(self.is_call, 1.0, -1.0)
        return lattice_prices(LatticeInputs(sign, x, a, b, v, self.parts, self.values))

    def _highest(self, x: Floats, a: Floats, b: Floats, price: Floats) -> Floats:
        """Return v at which the options cost at least `price`: the European solutions if there are any; else NaN."""
        highest = EuropeanColumns(self.is_call).total_volatilities(x, a, b, price)
        for v in HIGH_VOLATILITIES:
            rows = np.flatnonzero(np.isnan(highest))
            if not len(rows):
                break
            prices = self.at(rows).prices(x[rows], a[rows], b[rows], np.full(len(rows), v))
            highest[rows[prices >= price[rows]]] = v
        return highest


def _roots(excess_at: Callable[[Integers, Floats], Floats], high: Floats, slope: Floats) -> Floats:
    """Return the zeros of increasing functions in `(0, high)`; `high` if one is below zero there; NaN if there is none.

    excess_at: the functions of these rows at these points. high: NaN for no function. slope: an estimate at `high`.
    """
    found = np.full(len(high), np.nan)
    rows = np.flatnonzero(np.isfinite(high))
    low, high, slope = np.zeros(len(rows)), high[rows], slope[rows]
    last, excess = high, np.maximum(excess_at(rows, high), 0.0)
    for _ in range(_ITERATIONS):
        is_open = np.abs(excess) > _ACCURACY
        found[rows[~is_open]] = np.where(np.isfinite(excess), last, np.nan)[~is_open]
        rows = rows[is_open]
        if not len(rows):
            break
        low, high, last, excess, slope = (each[is_open] for each in (low, high, last, excess, slope))
        guess = last - excess / np.where(slope > 0, slope, np.inf)
        guess = np.where((low < guess) & (guess < high), guess, (low + high) / 2)
        new_excess = excess_at(rows, guess)
        low, high = np.where(new_excess < 0, guess, low), np.where(new_excess < 0, high, guess)
        slope = (new_excess - excess) / (guess - last)
        last, excess = guess, new_excess
    return found
