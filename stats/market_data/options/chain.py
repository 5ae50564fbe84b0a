"""The option chain of an underlying: its options and their logs of quotes, pinned as one log."""

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from stats.cursors import SeenCommit
from stats.exceptions import ResyncRequired
from stats.market_data.options.contract import OptionContract, contract_of
from stats.market_data.pinned_logs import ReadPoint, digest_of, joined_commit
from stats.market_data.plan import SymbolQuery
from store.cached_property import cached_property
from store.datasets import OPTION_QUOTES
from store.declarations import Dataset
from store.instruments import OPTION, Instrument, default_instrument
from store.log_views.log_view import LogView
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, CommitId, Window
from trades.stores import market_store

# The dataset of a chain in `X-Commit` and among an answer's logs. It is not stored.
CHAIN = Dataset(name="chain", columns=OPTION_QUOTES.columns)


@dataclass(frozen=True)
class PinnedChain:
    """The quotes of some options of an underlying, as committed by an instant.

    contracts: the options that were quoted or declared by that instant. members: the contracts with quotes in the
    needed window, and their logs. last_change_ns: the last change of the chain's quotes or of any declaration. It
    stands for the instant in cache keys and cursors, so that calls with the same answer have the same key.
    """

    symbol: str
    contracts: tuple[OptionContract, ...]
    members: tuple[tuple[OptionContract, LogView], ...]
    last_change_ns: int
    dataset: Dataset = CHAIN

    @property
    def is_empty(self) -> bool:
        """Whether there are no quotes."""
        return not self.members

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(repr(self.contracts).encode())
        digest.update(digest_of((log.symbol, log.commit) for _, log in self.members).encode())
        return digest.hexdigest()

    @cached_property
    def head(self) -> CommitId:
        """The sum of the logs' commit numbers, and a hash of their newest commits."""
        return joined_commit([(log.symbol, log.head) for _, log in self.members])

    @property
    def commit(self) -> CommitId:
        """The commit that a cursor stores: `last_change_ns`, and a hash of the options and their commits."""
        return CommitId(self.last_change_ns, self._digest)

    @property
    def key(self) -> str:
        """The text that stands for the chain in cache keys: a hash of options and commits, and `last_change_ns`."""
        return f"{self._digest[:24]}-{self.last_change_ns}"


def options_of(underlying: str, as_of_ns: int | None) -> tuple[Instrument, ...]:
    """Return the options of an underlying that have quotes or were declared, ordered by symbol."""
    store = market_store()
    return _options(cast("Hashable", store), store.catalogue_stamp(), as_of_ns).get(underlying, ())


def chain_instant_ns(symbol_query: SymbolQuery, log_index: int) -> int:
    """Return the instant up to which a chain's commits and declarations are read: `now_ns`, or the cursor's instant.

    log_index: the chain's index among the plan's logs.
    """
    seen = symbol_query.read_point.seen
    return symbol_query.now_ns if seen is None else seen[log_index].number


def pinned_chain(
    symbol_query: SymbolQuery,
    log_index: int,
    underlying: str,
    contracts: Iterable[OptionContract],
    needed: Window,
) -> PinnedChain:
    """Return the quotes of an underlying's options in a window.

    log_index: the chain's index among the plan's logs. needed: the window, the same on all pages. Raises
    `ResyncRequired` if the quotes differ from the first page's quotes, because a log was restored, or because a
    commit that had begun before the first page was finished after it.
    """
    seen, instant_ns = symbol_query.read_point.seen, chain_instant_ns(symbol_query, log_index)
    declared = {each.symbol for each in market_store().declared_instruments(as_of_ns=instant_ns)}
    read_point, pinned = ReadPoint(instant_ns, None), []
    for contract in contracts:
        log = read_point.log(OPTION_QUOTES, contract.symbol, 0)
        if log.head != NO_COMMIT or contract.symbol in declared:
            pinned.append((contract, read_point.limited_to(log, needed)))
    logs = symbol_query.as_known(*(log for _, log in pinned))
    members = tuple((contract, log) for (contract, _), log in zip(pinned, logs, strict=True))
    chain = PinnedChain(
        symbol=underlying,
        contracts=tuple(contract for contract, _ in members),
        members=tuple((contract, log) for contract, log in members if not log.is_empty),
        last_change_ns=last_change_ns(instant_ns, logs) if seen is None else instant_ns,
    )
    if seen is not None and SeenCommit.of(chain.commit) != seen[log_index]:
        raise ResyncRequired(
            "the quotes of an option have changed since the cursor was made; start again at the first page"
        )
    return chain


def last_change_ns(instant_ns: int, logs: Iterable[LogView]) -> int:
    """Return the time of the last declaration up to an instant or of the logs' newest commit, whichever is later."""
    store = market_store()
    # An option without needed quotes belongs to the chain from its first commit on.
    numbers = ((log, log.commit.number or 1) for log in logs if log.head != NO_COMMIT)
    commits = (store.log(log.dataset, log.symbol).committed_at(number) for log, number in numbers)
    return max(store.last_declared_ns(instant_ns), *commits, 0)


def contracts_of(options: Iterable[Instrument], underlying: Instrument) -> list[OptionContract]:
    """Return the contracts of options; options whose terms are unknown are left out."""
    return [terms for option in options if (terms := contract_of(option, underlying)) is not None]


@lru_cache(maxsize=8)
def _options(
    hashable_store: Hashable, _stamp: Hashable, as_of_ns: int | None
) -> dict[str, tuple[Instrument, ...]]:
    """Return all options by their underlying. _stamp: the store's `catalogue_stamp`, so that changes are noticed."""
    store = cast("MarketStore", hashable_store)
    declared = {each.symbol: each for each in store.declared_instruments(as_of_ns=as_of_ns)}
    by_underlying: dict[str, list[Instrument]] = {}
    for symbol in sorted({*declared, *store.symbols(OPTION_QUOTES)}):
        option = declared.get(symbol) or default_instrument(symbol)
        if option.instrument_class == OPTION and option.underlying is not None:
            by_underlying.setdefault(store.canonical(option.underlying), []).append(option)
    return {underlying: tuple(options) for underlying, options in by_underlying.items()}
