"""Between which prices an option has an implied volatility."""

import numpy as np

from stats.options.inputs import Inputs
from store.arrays import Floats, Mask


def lowest_prices(inputs: Inputs, american: Mask) -> Floats:
    """What each option is worth without volatility.

    European: max(0, ±(spot e^(-q t) - strike e^(-r t))). American: the most that this is worth at any time up
    to expiry, which may lie between now and then.
    """
    at_expiry = _exercised(inputs, inputs.t)
    with np.errstate(all="ignore"):
        carry = inputs.dividend_yield - inputs.rate
        # Where the derivative by time of what an exercise yields is zero.
        turn = np.log(inputs.dividend_yield * inputs.spot / (inputs.rate * inputs.strike)) / carry
        between = np.where((turn > 0) & (turn < inputs.t), turn, 0.0)
    early = np.maximum(_exercised(inputs, np.zeros_like(inputs.t)), _exercised(inputs, between))
    return np.where(american, np.maximum(early, at_expiry), at_expiry)


def highest_prices(inputs: Inputs, american: Mask) -> Floats:
    """What each option is worth with infinite volatility: a call the underlying, a put its strike.

    European: at expiry, discounted. American: at the better of now and then.
    """
    with np.errstate(all="ignore"):
        most = np.where(inputs.is_call, inputs.spot, inputs.strike)
        then = most * np.exp(-np.where(inputs.is_call, inputs.dividend_yield, inputs.rate) * inputs.t)
    return np.where(american, np.maximum(most, then), then)


def _exercised(inputs: Inputs, t: Floats) -> Floats:
    """What an exercise after `t` years is worth today if nothing moves but the forward; at least zero."""
    with np.errstate(all="ignore"):
        gained = inputs.spot * np.exp(-inputs.dividend_yield * t) - inputs.strike * np.exp(-inputs.rate * t)
    return np.maximum(np.where(inputs.is_call, gained, -gained), 0.0)
