"""The rounding of prices and volumes that are computed from others: 90 / 1.5 / 0.1 is 600, not 599.9999999999999."""

from __future__ import annotations

import numpy as np

from store.arrays import Floats

# So many digits of a decimal number survive in a double. Those behind them are noise of the arithmetic.
_DIGITS = 15
# The powers of ten that a double has exactly.
_POWERS = np.array([float(f"1e{power}") for power in range(23)])


def without_noise(values: Floats | float, operands: Floats | float | None = None) -> Floats:
    """Return computed values, rounded to 15 digits of the numbers that they were computed from.

    operands: of a sum or a difference, the largest magnitude among its terms; None for products and quotients, whose own
    magnitude counts. NaN and infinity stay.
    """
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = _DIGITS - 1 - np.floor(np.log10(np.abs(values if operands is None else operands)))
    is_usual = (places >= 0) & (places < len(_POWERS))
    power = _POWERS[np.where(is_usual, places, 0).astype(np.int64)]
    # Zero is added, because a negative value may be rounded to -0.
    rounded = np.where(is_usual, np.rint(values * power) / power + 0.0, values)
    places = np.broadcast_to(places, values.shape)
    # Above 1e300 the rounded number may be more than a double holds.
    for index in np.flatnonzero(~is_usual & (np.abs(values) < 1e300) & (values != 0)).tolist():
        rounded.flat[index] = round(float(values.flat[index]), int(places.flat[index]))
    return rounded


def rounded_sum(one: Floats | float, other: Floats | float) -> Floats:
    """Return a sum, rounded to 15 digits of its larger term; NaN where a term is NaN."""
    return without_noise(np.add(one, other), np.maximum(np.abs(one), np.abs(other)))


def midpoints(bid: Floats, ask: Floats) -> Floats:
    """Return the prices in the middle of bid and ask, rounded to 15 digits of the larger; NaN where one is NaN."""
    return without_noise(bid / 2 + ask / 2, np.maximum(np.abs(bid), np.abs(ask)))
