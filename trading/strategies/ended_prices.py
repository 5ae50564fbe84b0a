"""The symbols of a backtest whose trades and bars end in the middle of it, such as those of a delisted share."""

from collections.abc import Mapping, Sequence

from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.log_views.log_view import last_row, view_of
from store.protocol import NO_COMMIT
from store.rows.knowledge import event_ends_ns
from store.timestamps import format_timestamp
from trading.market.hours import last_session_end_ns, next_open_ns, session_end_ns
from trading.market.market import Market


def prices_ended(market: Market, symbols: Sequence[str], end_ns: int) -> dict[str, int]:
    """Return when the prices of symbols ended, nanoseconds UTC, for those that missed a whole session of the run.

    The run ends at `end_ns`, or with the newest row of all symbols. Futures that expired are left out. Raises the
    errors of the store.
    """
    newest = {
        symbol: newest_ns for symbol in symbols if (newest_ns := _newest_ns(market, symbol)) is not None
    }
    run_ends_ns = min(end_ns, max(newest.values(), default=end_ns))
    return {
        symbol: newest_ns
        for symbol, newest_ns in newest.items()
        if (missed_ns := _missed_ns(market.instrument(symbol), newest_ns)) is not None
        and missed_ns <= run_ends_ns
    }


def _missed_ns(instrument: Instrument, newest_ns: int) -> int | None:
    """Return the end of the first whole session after the newest price; None if there is none."""
    last_ns = newest_ns - 1
    missed_ns = session_end_ns(instrument, last_ns)
    if missed_ns is not None and next_open_ns(instrument, last_ns) == last_ns:
        missed_ns = session_end_ns(instrument, missed_ns)
    expired_ns = last_session_end_ns(instrument)
    is_over = expired_ns is not None and missed_ns is not None and expired_ns < missed_ns
    return None if is_over else missed_ns


def ended_sentence(ended: Mapping[str, int]) -> str:
    """Return a sentence that names the symbols, for the notice of a run."""
    each = ", ".join(f"{symbol} at {format_timestamp(at_ns)}" for symbol, at_ns in sorted(ended.items()))
    return f"Prices ended before the run did: {each}. Orders there ended with the next session; positions have an old price."


def _newest_ns(market: Market, symbol: str) -> int | None:
    """Return the time of the last trade or bar of a symbol, of a bar its end; None without any."""
    found = []
    for dataset in (TRADES, BARS):
        head = market.head(dataset, symbol)
        if head == NO_COMMIT:
            continue
        rows = last_row(view_of(market.store.log(dataset, symbol).at(head.number)))
        if rows is not None:
            found.append(int(event_ends_ns(dataset, rows)[0]))
    return max(found, default=None)
