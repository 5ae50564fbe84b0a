"""The forward price for an expiry, implied by put-call parity."""

from dataclasses import dataclass

import numpy as np

from store.arrays import Floats, Integers, Mask

# The median forward of at most this many call-put pairs, those nearest to the money, is used.
NEAREST_PAIRS = 5


@dataclass(frozen=True, slots=True)
class OptionPairs:
    """Quotes of the calls and puts of one expiry, by strike, at several instants.

    strikes: ascending. Quotes: one row per instant, one column per strike; NaN if there is no such quote.
    """

    strikes: Floats
    call_bid: Floats
    call_ask: Floats
    put_bid: Floats
    put_ask: Floats


def parity_forwards(pairs: OptionPairs, t: Floats, rate: Floats) -> Floats:
    """Return the implied forward at each instant.

    t, rate: years to the expiry, and the rate per year, continuously compounded, at each instant.

    It is the median of strike + (call - put) e^(rate t), with mid prices, over the (up to five) strikes whose call and
    put prices differ least. Of an even number of values the lower middle one is used. Crossed quotes are ignored. NaN
    from expiry on, and if at no strike both call and put have a bid and an ask. American options: the premiums of early
    exercise stay in the prices. Near the money they nearly cancel.
    """
    if not len(pairs.strikes):
        return np.full(len(t), np.nan)
    call = _mids(pairs.call_bid, pairs.call_ask)
    put = _mids(pairs.put_bid, pairs.put_ask)
    with np.errstate(all="ignore"):
        implied = pairs.strikes + (call - put) * np.exp(rate * t)[:, None]
    usable = np.isfinite(implied) & (implied > 0) & (t > 0)[:, None]
    chosen, has_pair = _middle(implied, np.abs(call - put), usable)
    return np.where(has_pair, implied[np.arange(len(chosen)), chosen], np.nan)


def _mids(bid: Floats, ask: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(bid <= ask, bid / 2 + ask / 2, np.nan)


def _middle(implied: Floats, distance: Floats, usable: Mask) -> tuple[Integers, Mask]:
    """Return for each row the column of the median implied forward among the nearest strikes.

    The mask tells which rows have such a column.
    """
    count = min(NEAREST_PAIRS, implied.shape[1])
    nearest = np.argsort(np.where(usable, distance, np.inf), axis=1, kind="stable")[:, :count]
    values = np.where(usable, implied, np.inf)
    by_value = np.argsort(np.take_along_axis(values, nearest, axis=1), axis=1, kind="stable")
    usable_count = np.minimum(usable.sum(axis=1), count)
    middle = np.take_along_axis(by_value, (np.maximum(usable_count, 1) - 1)[:, None] // 2, axis=1)
    return np.take_along_axis(nearest, middle, axis=1)[:, 0].astype(np.int64), usable_count > 0
