"""What is missing of a symbol, and whether sources are to be asked for it."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from calendars.schedule import Hours
from jobs.backfills.fetched import fetched_symbols
from jobs.backfills.models import EXHAUSTED, Backfill
from sources.models import SourceSymbol
from sources.planning import question
from sources.protocol import Wanted
from sources.registry import declared_names
from stats.market_data.gaps import gaps_of
from stats.market_data.plan import log_at
from store.datasets import BARS, TRADES
from store.log_views.stored_resolutions import stored_resolutions
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import MINUTE_NS, SECOND_NS
from trades.stores import market_store


def is_askable(symbol: str) -> bool:
    """Return whether there is a source to ask for a symbol's rows. Raises the database's errors."""
    return bool(declared_names()) or symbol in fetched_symbols()


def missing_rows(symbol: str, start_ns: int) -> Wanted:
    """Return which rows of a symbol are missing where bars are missing from an instant on, under our symbol.

    Of a fetched symbol trades come before bars, shorter bars before longer ones, and only what is fetched from the
    instant on counts. Otherwise it is trades, if there are any, else the shortest stored bars. Raises `StorageError`s.
    """
    instrument = market_store().instrument(symbol)
    fetched = SourceSymbol.objects.filter(symbol=symbol, logs__start_ns__lte=start_ns)
    logs = fetched.values_list("logs__dataset", "logs__resolution")
    bars = [Resolution.of_bars(resolution) for dataset, resolution in logs if dataset == BARS.name]
    if (TRADES.name, "") in logs or (not bars and _has_trades(symbol)):
        return Wanted(TRADES, instrument, symbol)
    shortest = min(bars, key=lambda each: each.rank) if bars else gap_resolution(symbol)
    return Wanted(BARS, instrument, symbol, shortest.value)


def _has_trades(symbol: str) -> bool:
    return not log_at(TRADES, symbol).is_empty


def gap_resolution(symbol: str) -> Resolution:
    """Return the resolution by which gaps are found: minutes or, without trades, the shortest of the stored bars.

    Raises `StorageError`s.
    """
    stored = [] if _has_trades(symbol) else stored_resolutions(log_at(BARS, symbol))
    if not stored or stored[0].is_period:
        return stored[0] if stored else Resolution.MINUTE
    return Resolution.of_length(math.lcm(MINUTE_NS, stored[0].length_ns))


def missing_windows(
    symbol: str,
    window: Window,
    resolution: Resolution,
    *,
    now: datetime,
    rule: str | None = None,
    hours: Hours | None = None,
) -> list[Window]:
    """Return the gaps of a symbol without the parts that a source has answered, ascending.

    Under the rule `calendar` a window stays a gap in which a source has answered that nobody traded.
    """
    now_ns = int(now.astimezone(UTC).timestamp()) * SECOND_NS
    found = []
    for gap in gaps_of(symbol, window, resolution, rule, hours=hours, now_ns=now_ns):
        whole, wanted = Window(gap.start_ns, gap.end_ns), missing_rows(symbol, gap.start_ns)
        fills = log_at(wanted.dataset, symbol).snapshot.fills(whole)
        asked = question(wanted.dataset, wanted.resolution)
        found += whole.without(fill.window for _, fill in fills if fill.request == asked)
    return found


def not_deferred(symbol: str, gaps: Iterable[Window], *, now: datetime) -> list[Window]:
    """Return the gaps of a symbol that no exhausted one, whose time to ask again has not come, overlaps or touches."""
    waiting = Backfill.objects.filter(symbol=symbol, state=EXHAUSTED, retry_at__gt=now)
    rows = list(waiting.values_list("start_ns", "end_ns"))
    return [
        gap for gap in gaps if not any(start <= gap.end_ns and gap.start_ns <= end for start, end in rows)
    ]
