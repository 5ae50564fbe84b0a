"""Prices columns of American options with cash dividends on one trinomial lattice.

Hull, Options, Futures, and Other Derivatives, 9th edition, section 21.4: nodes lie √(3 Δt) apart in units of volatility,
and the probabilities are 1/6, 2/3 and 1/6. Here the lattice is of the driftless Brownian motion w, so that all options
share its nodes: the underlying without the dividends is x e^(v w - (v²/2 + b - a) s) at the part s of the option's life.
Ex-dates are further instants of an option's lattice. Values are discounted to the start. Units:
`stats.options.european`.
"""

from dataclasses import dataclass

import numpy as np

from store.arrays import Floats

STEPS = 150
# The distance of the nodes in w, and the number of nodes on each side of the start: five standard deviations.
SPACING = (3 / STEPS) ** 0.5
_SIDE = 36
# The first and the last row of nodes.
_OUTERMOST = slice(None, None, 2 * _SIDE)
# The number of nodes returned on each side of the start.
NEAR = 2
# So many options' columns at a time stay in a core's cache.
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class LatticeInputs:
    """Columns of equal length; x, a, b, v as in `stats.options.european`, x without the dividends.

    sign: 1 for calls, -1 for puts. parts, values: a row for each dividend: the part of the option's life until its
    ex-date, from 0 to 1, and its present value per unit of strike. A dividend of value 0 has part 0.
    """

    sign: Floats
    x: Floats
    a: Floats
    b: Floats
    v: Floats
    parts: Floats
    values: Floats


def lattice_prices(inputs: LatticeInputs) -> Floats:
    """Return prices at the start for x e^(v `SPACING` n), n from -`NEAR` to `NEAR`: a row for each n."""
    prices = np.empty((2 * NEAR + 1, len(inputs.x)))
    for start in range(0, len(inputs.x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        paid = np.flatnonzero(inputs.values[:, rows].any(axis=1))
        columns = (
            inputs.sign,
            inputs.x,
            inputs.a,
            inputs.b,
            inputs.v,
            inputs.parts[paid],
            inputs.values[paid],
        )
        chunk = LatticeInputs(*(column[..., rows] for column in columns))
        with np.errstate(all="ignore"):
            prices[:, rows] = _rolled_back(chunk)
    return prices


def _rolled_back(inputs: LatticeInputs) -> Floats:
    """Return the prices of a chunk, from its values at the expiry back to the start."""
    w = (np.arange(-_SIDE, _SIDE + 1) * SPACING)[:, None]
    times, weights, remaining = _instants(inputs)
    growth = _growth(inputs.v, weights)
    signed = inputs.sign * np.exp(inputs.v * w)
    spot = inputs.x * np.exp(-growth - inputs.b * times)
    paid = inputs.sign * (np.exp(-inputs.a * times) - remaining)
    # At the outermost nodes the options are held to the expiry: there they are far in the money, or worth nothing.
    held_spot = signed[_OUTERMOST, None] * (inputs.x * np.exp(-growth - inputs.b))
    edges = np.maximum(held_spot - inputs.sign * np.exp(-inputs.a), 0)
    prices, scratch = _at_expiry(inputs, w, inputs.x * np.exp(-growth[-1] - inputs.b)), np.empty_like(signed)
    for step in range(len(weights) - 1, -1, -1):
        neighbours = np.add(prices[2:], prices[:-2], out=scratch[1:-1])
        neighbours *= weights[step]
        prices[1:-1] *= 1 - 2 * weights[step]
        prices[1:-1] += neighbours
        prices[_OUTERMOST] = edges[:, step]
        exercised = np.multiply(signed, spot[step], out=scratch)
        exercised -= paid[step]
        np.maximum(prices, exercised, out=prices)
    return prices[_SIDE - NEAR : _SIDE + NEAR + 1]


def _instants(inputs: LatticeInputs) -> tuple[Floats, Floats, Floats]:
    """Return the instants of the lattice, the weights of the steps between them, and the dividends still to come.

    Instants are parts of the life. At an ex-date a call is exercised before the dividend and a put after it. A step's
    weight is that of each neighbour: a sixth if the step is 1 / `STEPS` of the life, less if it is shorter. The averages
    of `_at_expiry` stand for a variance of `SPACING`² / 12, by which the last steps are shorter.
    """
    even = np.broadcast_to(np.linspace(0, 1, STEPS + 1)[:, None], (STEPS + 1, len(inputs.x)))
    times = np.concatenate([even, inputs.parts])
    order = np.argsort(times, axis=0, kind="stable")
    times = np.take_along_axis(times, order, axis=0)
    paid = np.take_along_axis(np.concatenate([np.zeros_like(even), inputs.values]), order, axis=0)
    remaining = paid[::-1].cumsum(axis=0)[::-1] - np.where(inputs.sign > 0, 0.0, paid)
    variances = np.diff(np.minimum(times, 1 - SPACING**2 / 12), axis=0)
    return times, variances * (STEPS / 6), remaining


def _growth(v: Floats, weights: Floats) -> Floats:
    """Return the logarithm of the mean of e^(v w) at each instant.

    It is v²/2 · s but for the lattice's error, which grows with v⁶: above v = 3 it would show in prices of calls.
    """
    half = v * SPACING / 2
    steps = np.log1p(4 * weights * np.sinh(half) ** 2)
    growth: Floats = np.concatenate([np.zeros((1, len(v))), steps]).cumsum(axis=0)
    growth[-1] += np.log(np.sinh(half) / half)
    return growth


def _at_expiry(inputs: LatticeInputs, w: Floats, spot: Floats) -> Floats:
    """Return the payoff, averaged over the distance of the nodes: it has a kink, which may lie anywhere between them.

    spot: that of w = 0.
    """
    v, strike = inputs.v, np.exp(-inputs.a)
    low, high = w - SPACING / 2, w + SPACING / 2
    kink = np.clip(np.log(strike / spot) / v, low, high)
    low, high = np.where(inputs.sign > 0, kink, low), np.where(inputs.sign > 0, high, kink)
    width = high - low
    gained = spot / v * np.exp(v * low) * np.expm1(v * width) - strike * width
    averaged: Floats = inputs.sign * gained / SPACING
    return averaged
