"""The contracts of a root, such as ES: declared futures with that underlying, their logs pinned as one."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from stats.cursors import SeenCommit
from stats.exceptions import ResyncRequired
from stats.market_data.options.chain import chain_instant_ns, last_change_ns
from stats.market_data.pinned_logs import ReadPoint, digest_of, joined_commit
from stats.market_data.plan import SymbolQuery
from store.cached_property import cached_property
from store.datasets import BARS, OPEN_INTEREST, TRADES
from store.declarations import Dataset
from store.instruments import FUTURE, Instrument
from store.log_views.log_view import LogView
from store.protocol import CommitId
from store.terms import Settle
from trades.stores import market_store

# The dataset of the contracts in `X-Commit` and among an answer's logs. It is not stored.
CONTRACTS = Dataset(name="contracts", columns=TRADES.first_form.columns)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class FutureContract:
    """A future and its logs.

    expiry: its last trading date, in days since 1970. settle_ns: bars and reports are as they were known at their end or
    time plus this; None for those known now.
    """

    instrument: Instrument
    expiry: int
    trades: LogView
    stored_bars: LogView
    open_interest: LogView
    settle_ns: int | None = None

    @property
    def logs(self) -> tuple[LogView, ...]:
        """All its logs."""
        return self.trades, self.stored_bars, self.open_interest


@dataclass(frozen=True)
class PinnedContracts:
    """The contracts of a root with trades or stored bars, as committed by an instant.

    symbol: the root. contracts: by expiry. last_change_ns: see `PinnedChain`.
    """

    symbol: str
    contracts: tuple[FutureContract, ...]
    last_change_ns: int
    dataset: Dataset = CONTRACTS

    @property
    def logs(self) -> list[LogView]:
        """The logs of all contracts."""
        return [log for contract in self.contracts for log in contract.logs]

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(repr([each.instrument for each in self.contracts]).encode())
        digest.update(digest_of((_name(log), log.commit) for log in self.logs).encode())
        return digest.hexdigest()

    @cached_property
    def head(self) -> CommitId:
        """The sum of the logs' commit numbers, and a hash of their newest commits."""
        return joined_commit([(_name(log), log.head) for log in self.logs])

    @property
    def commit(self) -> CommitId:
        """The commit that a cursor stores: `last_change_ns`, and a hash of the contracts and their commits."""
        return CommitId(self.last_change_ns, self._digest)

    @property
    def key(self) -> str:
        """The text that stands for the contracts in cache keys."""
        return f"{self._digest[:24]}-{self.last_change_ns}"


def root_of(instrument: Instrument) -> str:
    """Return the underlying of a future; the symbol of any other instrument."""
    if instrument.instrument_class == FUTURE and instrument.underlying is not None:
        return market_store().canonical(instrument.underlying)
    return instrument.symbol


def pinned_contracts(symbol_query: SymbolQuery) -> PinnedContracts:
    """Return the contracts of the query's root, as known at the query's instant or the cursor's.

    Raises `ResyncRequired` if they differ from those of the first page.
    """
    root, instant_ns = root_of(symbol_query.instrument), chain_instant_ns(symbol_query, 0)
    is_then = symbol_query.query.knowledge is not None
    contracts = tuple(_contracts(root, instant_ns, is_then=is_then))
    seen = symbol_query.read_point.seen
    logs = [log for contract in contracts for log in contract.logs]
    changed_ns = last_change_ns(instant_ns, logs) if seen is None else instant_ns
    pinned = PinnedContracts(root, contracts, changed_ns)
    if seen is not None and SeenCommit.of(pinned.commit) != seen[0]:
        raise ResyncRequired(
            "the data of a contract have changed since the cursor was made; start again at the first page"
        )
    return pinned


def _contracts(root: str, instant_ns: int, *, is_then: bool) -> Iterator[FutureContract]:
    """Yield the contracts of a root with trades or stored bars, by expiry and symbol.

    is_then: whether their bars and reports are as they were known then.
    """
    store, read_point = market_store(), ReadPoint(instant_ns, None)
    declared = [
        (each.expiry, each.symbol, each)
        for each in store.declared_instruments(as_of_ns=instant_ns)
        if each.instrument_class == FUTURE and each.expiry is not None and each.underlying is not None
    ]
    for expiry, symbol, instrument in sorted(declared, key=lambda each: each[:2]):
        if store.canonical(instrument.underlying or "") != root:
            continue
        logs = [read_point.log(dataset, symbol, 0) for dataset in (TRADES, BARS, OPEN_INTEREST)]
        if not all(log.is_empty for log in logs[:2]):
            settle_ns = instrument.settle_ns if is_then else None
            trades, stored_bars, open_interest = logs
            if settle_ns is not None:
                open_interest = replace(open_interest, settle=Settle((settle_ns,)))
            days = (date.fromisoformat(expiry) - _EPOCH).days
            yield FutureContract(instrument, days, trades, stored_bars, open_interest, settle_ns)


def _name(log: LogView) -> str:
    return f"{log.dataset.name}:{log.symbol}"
