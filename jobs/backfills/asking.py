"""Which sources are asked for a gap, in which order, and for what."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from jobs.backfills.fetched import fetched_symbols
from sources.models import SourceSymbol
from sources.protocol import SourceRefused, Wanted
from sources.registry import DECLARED, declared_names, kind_of, source_named
from stats.market_data.plan import log_at
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.log_views.stored_resolutions import stored_resolutions
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import MINUTE_NS


class MissingLog(NamedTuple):
    """The log in which a gap's rows are missing. resolution: of bars, else None."""

    dataset: Dataset
    resolution: str | None = None

    def window(self, gap: Window) -> Window:
        """Return the window in which a gap's rows lie: a day's bar is at the midnight of its date."""
        is_period = self.resolution is not None and Resolution.parse(self.resolution).is_period
        return gap.whole_dates() if is_period else gap


class Asked(NamedTuple):
    """A source that is asked for a log's rows.

    name: the instrument's at the source; None if the source's list of markets has it. is_own: whether the rows are of
    the symbol's own venue. A secondary source has bars of another venue.
    """

    source: str
    log: MissingLog
    name: str | None
    is_own: bool

    def wanted(self, instrument: Instrument) -> Wanted:
        """Return what the source is asked for. Raises `SourceError`s, `ImproperlyConfigured`."""
        name, symbol = self.name, instrument.symbol
        if name is None:
            names = {each.symbol: each.name for each in source_named(self.source).markets()}
            if names and symbol not in names:
                raise SourceRefused(f"does not list {symbol}")
            # A source that lists nothing is asked by the symbol.
            name = names.get(symbol, symbol)
        return Wanted(self.log.dataset, instrument, name, self.log.resolution)


def missing_log(symbol: str, start_ns: int) -> MissingLog:
    """Return the log in which a symbol's rows are missing from an instant on.

    Of a fetched symbol trades come before bars, shorter bars before longer ones, and only what is fetched from the
    instant on counts. Otherwise it is trades, if there are any, else the shortest stored bars.
    """
    fetched = SourceSymbol.objects.filter(symbol=symbol, logs__start_ns__lte=start_ns)
    logs = fetched.values_list("logs__dataset", "logs__resolution")
    if any(dataset == TRADES.name for dataset, _ in logs):
        return MissingLog(TRADES)
    resolutions = [Resolution.parse(resolution) for dataset, resolution in logs if dataset == BARS.name]
    if resolutions:
        return MissingLog(BARS, min(resolutions, key=lambda each: each.rank).value)
    return MissingLog(TRADES) if has_trades(symbol) else MissingLog(BARS, resolution_of(symbol).value)


def sources_asked(instrument: Instrument, log: MissingLog) -> Iterator[Asked]:
    """Yield the sources to ask for a log's rows, in order: the symbol's own, then those of `SOURCES`.

    A symbol that was never fetched has the rows of the installation's own feed. A folder or another installation has
    the same feed's rows.
    """
    own = SourceSymbol.objects.filter(symbol=instrument.symbol).first()
    if own is not None:
        yield Asked(own.source, log, own.name, is_own=True)
    bars = log if log.resolution else MissingLog(BARS, Resolution.MINUTE.value)
    for name in declared_names():
        is_copy = kind_of(name) in DECLARED
        if own is None and is_copy:
            yield Asked(name, log, instrument.symbol, is_own=True)
        elif own is None or own.source != name:
            yield Asked(name, bars, instrument.symbol if is_copy else None, is_own=False)


def is_askable(symbol: str) -> bool:
    """Return whether there is a source to ask for a symbol's rows. Raises the database's errors."""
    return bool(declared_names()) or symbol in fetched_symbols()


def has_trades(symbol: str) -> bool:
    """Return whether trades of a symbol are stored. Raises `StorageError`s."""
    return not log_at(TRADES, symbol).is_empty


def resolution_of(symbol: str) -> Resolution:
    """Return the resolution by which gaps are found: minutes or, without trades, the shortest of the stored bars.

    Raises `StorageError`s.
    """
    stored = [] if has_trades(symbol) else stored_resolutions(log_at(BARS, symbol))
    if not stored or stored[0].is_period:
        return stored[0] if stored else Resolution.MINUTE
    return Resolution.of_length(math.lcm(MINUTE_NS, stored[0].length_ns))
