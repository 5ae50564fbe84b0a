"""Cash dividends of an underlying, by the escrowed model.

The underlying's price less the present value of the dividends until the expiry follows Black, Scholes and Merton's
process (Hull, Options, Futures, and Other Derivatives, chapters 15 and 21).
"""

from dataclasses import dataclass

import numpy as np

from store.arrays import Floats, Integers, Mask

# An option with more ex-dates before its expiry is not priced: each is a step of the lattice. 128 are more than two years
# of weekly dividends.
EX_DATES_LIMIT = 128


@dataclass(frozen=True, slots=True)
class CashDividends:
    """Dividends between instants and expiries: a row for each option or instant, columns for its ex-dates.

    years: from the instant until the ex-date, ascending in each row. values: present values, per unit of the
    underlying; 0 for no dividend, NaN in a row whose dividends are unknown.
    """

    years: Floats
    values: Floats

    @classmethod
    def none(cls, count: int) -> "CashDividends":
        """Return `count` rows without dividends."""
        return cls(np.zeros((count, 0)), np.zeros((count, 0)))

    @property
    def total(self) -> Floats:
        """The sum of the present values of each row."""
        total: Floats = self.values.sum(axis=1)
        return total

    def at(self, rows: Integers | Mask) -> "CashDividends":
        """Return these rows."""
        return CashDividends(self.years[rows], self.values[rows])

    def scaled(self, t: Floats, strike: Floats) -> tuple[Floats, Floats]:
        """Return a row for each dividend: the part of the `t` years until it, and its present value per unit of strike.

        Both are 0 for dividends of value 0.
        """
        is_paid = self.values > 0
        parts = np.where(is_paid, np.minimum(self.years / t[:, None], 1.0), 0.0)
        return parts.T, (self.values / strike[:, None]).T
