"""Quote bars of a window, opened at the quote that was standing before it."""

from itertools import islice
from math import isnan

import pyarrow as pa

from trades.arrow_later import compute as pc
from trades.storage.protocol import Window
from trades.storage.quote_bars import NO_QUOTE, KnownQuote, QuoteBars, known_after, quote_bars_of
from trades.storage.reading.dates import LogView, rows_backwards

# A side that a venue has not quoted on so many dates with quotes is taken as not quoted at all.
DATES_LOOKED_BACK = 10


def windowed_quote_bars(log: LogView, window: Window, interval_ns: int, exchange: str | None) -> QuoteBars:
    """Bars of one venue's quotes, or of all as one stream, in a window of whole intervals."""
    rows = _of_venue(log.rows(window), exchange)
    return quote_bars_of(
        rows, interval_ns, _carried_in(log, window.start_ns, exchange) if len(rows) else NO_QUOTE
    )


def _carried_in(log: LogView, start_ns: int, exchange: str | None) -> KnownQuote:
    """What was known of the bid and the ask just before an instant; of either side by its own last quote."""
    newer: list[pa.Table] = []
    known = NO_QUOTE
    for rows in islice(rows_backwards(log, start_ns), DATES_LOOKED_BACK):
        newer.insert(0, _of_venue(rows, exchange))
        known = known_after(pa.concat_tables(newer))
        if not isnan(known.bid) and not isnan(known.ask):
            break
    return known


def _of_venue(rows: pa.Table, exchange: str | None) -> pa.Table:
    return rows if exchange is None else rows.filter(pc.equal(rows.column("exchange"), exchange))
