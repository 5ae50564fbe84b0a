"""The contracts of a root, such as ES: declared futures with that underlying, their logs told as one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from stats.market_data.options.chain import chain_instant_ns, last_change_ns
from stats.market_data.plan import LogGroup, SymbolQuery, log_at
from store.datasets import BARS, OPEN_INTEREST, TRADES
from store.declarations import Dataset
from store.instruments import FUTURE, Instrument
from store.log_views.log_view import LogView
from trades.stores import market_store

# The dataset of the contracts in `X-Commit` and among an answer's logs. It is not stored.
CONTRACTS = Dataset(name="contracts", columns=TRADES.first_form.columns)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class FutureContract:
    """A future and its logs.

    expiry: its last trading date, in days since 1970. Its text is the instrument alone: a group's key has the logs.
    """

    instrument: Instrument
    expiry: int = field(repr=False)
    trades: LogView = field(repr=False)
    stored_bars: LogView = field(repr=False)
    open_interest: LogView = field(repr=False)

    @property
    def logs(self) -> tuple[LogView, ...]:
        """All its logs."""
        return self.trades, self.stored_bars, self.open_interest


def root_of(instrument: Instrument) -> str:
    """Return the underlying of a future; the symbol of any other instrument."""
    if instrument.instrument_class == FUTURE and instrument.underlying is not None:
        return market_store().canonical(instrument.underlying)
    return instrument.symbol


def root_contracts(symbol_query: SymbolQuery) -> LogGroup[FutureContract]:
    """Return the contracts of the query's root, by expiry, as known at the query's instant or the cursor's.

    Contracts without trades and stored bars are left out. Raises `ResyncRequired` if they differ from those of the first page.
    """
    root, instant_ns = root_of(symbol_query.instrument), chain_instant_ns(symbol_query, 0)
    contracts = tuple(_contracts(root, instant_ns))
    logs, seen = tuple(log for contract in contracts for log in contract.logs), symbol_query.seen
    changed_ns = last_change_ns(instant_ns, logs) if seen is None else instant_ns
    group = LogGroup(CONTRACTS, root, contracts, logs, changed_ns)
    group.check_seen(None if seen is None else seen[0])
    return group


def _contracts(root: str, instant_ns: int) -> Iterator[FutureContract]:
    """Yield the contracts of a root with trades or stored bars, by expiry and symbol."""
    store = market_store()
    declared = [
        (each.expiry, each.symbol, each)
        for each in store.declared_instruments(as_of_ns=instant_ns)
        if each.instrument_class == FUTURE and each.expiry is not None and each.underlying is not None
    ]
    for expiry, symbol, instrument in sorted(declared, key=lambda each: each[:2]):
        if store.canonical(instrument.underlying or "") != root:
            continue
        trades, stored_bars, open_interest = (
            log_at(dataset, symbol, instant_ns) for dataset in (TRADES, BARS, OPEN_INTEREST)
        )
        if not trades.is_empty or not stored_bars.is_empty:
            days = (date.fromisoformat(expiry) - _EPOCH).days
            yield FutureContract(instrument, days, trades, stored_bars, open_interest)
