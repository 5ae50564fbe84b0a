"""The files of our own exports (docs/exports.md): each has the columns of its dataset, in their order."""

import pyarrow as pa
import pyarrow.compute as pc

from store.datasets import (
    BARS,
    CORPORATE_ACTIONS,
    OPEN_INTEREST,
    OPTION_QUOTES,
    QUOTES,
    TRADES,
    TRADING_STATUS,
    UNIVERSE_CHANGES,
)
from store.declarations import Dataset
from trades.imports.vendors.layout import Derived, VendorLayout

MARKETDATA = "marketdata"
_SOURCE = "docs/exports.md"
_BARS = tuple(name for name in BARS.schema.names if name != "resolution")
# Columns that answers compute: a quote's state, whether a bar is final, and its trading date.
_STATE, _FINAL, _DATE = "state", "final", "date"


def _is_final(final: pa.Array) -> pa.Array:
    return pc.equal(final.cast(pa.string()), "true")


def _layout(tree: str, dataset: Dataset, *more: str) -> VendorLayout:
    names = dataset.schema.names
    return VendorLayout(
        f"{MARKETDATA} {tree}",
        dataset,
        _SOURCE,
        {name: name for name in names},
        exact=(*names, *more),
        times_end=False,
    )


def _bars(*more: str) -> VendorLayout:
    """Return the layout of bars, whose resolution the manifest has. Bars of dates are stored at their trading dates."""
    names = {name: name for name in _BARS}
    if _DATE in more:
        names["timestamp"] = _DATE
    kept = Derived("final", (_FINAL,), _is_final)
    exact = (*_BARS, *more)
    return VendorLayout(f"{MARKETDATA} ohlcv", BARS, _SOURCE, names, kept=kept, exact=exact, times_end=False)


MARKETDATA_LAYOUTS = (
    _layout("trades", TRADES),
    _layout("quotes", QUOTES, _STATE),
    _layout("quotes of options", OPTION_QUOTES, _STATE),
    _bars(_FINAL),
    _bars(_FINAL, _DATE),
    _layout("stored-bars", BARS),
    _layout("open-interest", OPEN_INTEREST),
    _layout("corporate-actions", CORPORATE_ACTIONS),
    _layout("changes", UNIVERSE_CHANGES),
    _layout("trading-status", TRADING_STATUS),
)
