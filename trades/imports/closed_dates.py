"""Trades on dates on which their exchange is closed, as a preview names them."""

from collections.abc import Iterator

from store.datasets import TRADES
from store.special_sessions import unproved_dates
from trades.imports.blocks import SYMBOL
from trades.imports.run import tables_of_symbols
from trades.imports.samples import Sample
from trades.stores import market_store


def closed_date_notes(sample: Sample) -> Iterator[str]:
    """Yield a note for each closed date whose trades in a sample do not span an hour. sample: trades.

    A file with such trades is certain: a stray print is usual, and the date's other trades may be in another part of
    the file. Raises `StorageError`s.
    """
    store, rows = market_store(), sample.rows.select([0, SYMBOL])
    ordered = rows.sort_by([(SYMBOL, "ascending"), (rows.column_names[0], "ascending")])
    for own in tables_of_symbols(ordered):
        symbol, times = own[SYMBOL][0].as_py(), own.column(0).to_numpy()
        for day, count in unproved_dates(store, TRADES, store.canonical(symbol), times):
            yield (
                f"on {day} the exchange of {symbol} is closed ({count:,} of the rows that were looked at): they stay"
                " outside of sessions, unless trades of that date span at least an hour"
            )
