"""What is known around a gap, for the checks of the rows that shall fill it."""

from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa

from calendars.schedule import Hours
from jobs.backfills.checks import Surroundings
from store.datasets import CORPORATE_ACTIONS, TRADES, TRADING_STATUS
from store.exceptions import UnknownSymbol
from store.instrument_calendars import calendar_if_known
from store.instruments import Instrument
from store.log_views.log_view import first_row, last_row, view_of
from store.protocol import Window
from trades.stores import market_store


def surroundings_of(instrument: Instrument, window: Window) -> Surroundings:
    """Return the trades' prices beside a window, and the instants in it after which a price may jump."""
    before, after = _prices_beside(instrument.symbol, window)
    return Surroundings(
        before=before,
        after=after,
        wide_ns=sorted(_jumps(instrument, window)),
        allows_nonpositive=instrument.allow_nonpositive_price,
    )


def _prices_beside(symbol: str, window: Window) -> tuple[float | None, float | None]:
    try:
        trades = view_of(market_store().log(TRADES, symbol).at())
    except UnknownSymbol:  # only bars are stored
        return None, None
    return _price(last_row(trades, window.start_ns)), _price(first_row(trades, window.end_ns))


def _price(row: pa.Table | None) -> float | None:
    return None if row is None else row.column("price")[0].as_py()


def _jumps(instrument: Instrument, window: Window) -> Iterator[int]:
    """Yield openings, ends of halts and ex-dates in the window, and the window's start if it begins with one."""
    calendar = calendar_if_known(instrument)
    if calendar is not None:
        schedule = calendar.around(window.start_ns, window.end_ns)
        for hours in (Hours.ALL, Hours.REGULAR):
            opens = schedule.opens_ns(hours)
            yield from opens[(opens >= window.start_ns) & (opens < window.end_ns)].tolist()
    for dataset in (TRADING_STATUS, CORPORATE_ACTIONS):
        with suppress(UnknownSymbol):
            yield from market_store().log(dataset, instrument.symbol).at().rows(window).column(0).to_pylist()
