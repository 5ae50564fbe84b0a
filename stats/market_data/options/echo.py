"""The columns of an answer: what was found, and everything that it was found from."""

import numpy as np
import pyarrow as pa

from stats.options.inputs import ForwardSource, Inputs
from stats.options.pricing import Valuation
from stats.options.reasons import words
from store.arrays import Floats

GREEKS = ("delta", "gamma", "theta", "vega", "rho", "iv")
INPUTS = ("price", "spot", "forward", "forward_source", "rate", "dividend_yield", "t")


def greek_columns(found: Valuation) -> dict[str, pa.Array]:
    """`GREEKS` by name; null where there is a reason."""
    return {name: _numbers(getattr(found, name)) for name in GREEKS}


def input_columns(inputs: Inputs, found: Valuation) -> dict[str, pa.Array]:
    """`INPUTS` and `reason` by name; null what is not known."""
    columns = {name: _numbers(getattr(inputs, name)) for name in INPUTS if name != "forward_source"}
    columns["forward_source"] = _sources(inputs)
    return {**{name: columns[name] for name in INPUTS}, "reason": words(found.reason)}


def _sources(inputs: Inputs) -> pa.Array:
    words_of = pa.array([str(ForwardSource.SPOT), str(ForwardSource.PARITY)])
    unknown = ~np.isfinite(inputs.forward)
    return words_of.take(pa.array(inputs.by_parity.astype(np.int8), mask=unknown))


def _numbers(column: Floats) -> pa.Array:
    return pa.array(column, mask=~np.isfinite(column))
