"""Columns of options for the tests, and a valuation of one option as a mapping."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stats.options.inputs import SOLVED, Inputs, make_inputs, words
from stats.options.pricing import Valuation, valuation

NUMBERS = ("iv", "delta", "gamma", "theta", "vega", "rho")


def inputs_of(
    *,
    price: npt.ArrayLike = 4.76,
    spot: npt.ArrayLike = 42.0,
    strike: npt.ArrayLike = 40.0,
    t: npt.ArrayLike = 0.5,
    rate: npt.ArrayLike = 0.1,
    dividend_yield: npt.ArrayLike = 0.0,
    is_call: npt.ArrayLike = True,
    parity_forward: npt.ArrayLike | None = None,
    on_future: npt.ArrayLike = False,
) -> Inputs:
    """Inputs of options that differ in some columns; single values stand for all rows."""
    numbers = (
        price,
        spot,
        strike,
        t,
        rate,
        dividend_yield,
        np.nan if parity_forward is None else parity_forward,
    )
    *columns, calls = (np.array(column) for column in np.broadcast_arrays(*numbers, is_call))
    price_, spot_, strike_, t_, rate_, yield_, forward = (
        np.atleast_1d(column.astype(float)) for column in columns
    )
    return make_inputs(
        price=price_,
        spot=spot_,
        strike=strike_,
        t=t_,
        rate=rate_,
        dividend_yield=yield_,
        is_call=np.atleast_1d(calls.astype(bool)),
        parity_forward=None if parity_forward is None else forward,
        on_future=bool(on_future),
    )


def valued(inputs: Inputs, *, american: npt.ArrayLike = False) -> Valuation:
    """The valuation of quotes that have a price."""
    styles = np.broadcast_to(np.asarray(american, bool), len(inputs))
    return valuation(inputs, styles, np.full(len(inputs), SOLVED, np.int8))


def one(*, american: bool = False, **columns: npt.ArrayLike) -> Mapping[str, Any]:
    """A single option's numbers and reason."""
    found = valued(inputs_of(**columns), american=american)
    return {
        **{name: float(getattr(found, name)[0]) for name in NUMBERS},
        "reason": words(found.reason)[0].as_py(),
    }


def reasons(found: Valuation) -> list[str | None]:
    """The words of each row."""
    return list(words(found.reason).to_pylist())
