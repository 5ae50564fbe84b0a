"""The sides of quotes: price 0 and size 0 is how feeds write that there is no side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from store import lazy_pyarrow as pa

_SIDES = (("bid", "bid_size"), ("ask", "ask_size"))


def prices_of_sides(column: Callable[[str], pa.Array]) -> dict[str, pa.Array]:
    """Return the columns of prices, with null for the price of each side whose price and size are 0.

    Columns without such a side are left out. column: returns a column of quotes by its name.
    """
    found = {}
    for name, size_name in _SIDES:
        # Nulls are NaN here.
        price, size = (column(each).to_numpy(zero_copy_only=False) for each in (name, size_name))
        is_empty = (price == 0) & (size == 0)
        if is_empty.any():
            found[name] = pa.array(price, mask=is_empty | np.isnan(price))
    return found
