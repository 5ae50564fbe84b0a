"""The option chain of an underlying: its options and their logs of quotes, pinned as one log."""

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import cast

from stats.cursors import SeenCommit
from stats.exceptions import ResyncRequired
from stats.market_data.options.contract import OptionContract, contract_of
from stats.market_data.pinned_logs import ReadPoint
from stats.market_data.plan import SymbolQuery
from store.datasets import OPTION_QUOTES
from store.declarations import Dataset
from store.instruments import OPTION, Instrument, default_instrument
from store.log_views.log_view import LogView
from store.protocol import NO_COMMIT, CommitId, MarketStore, Window
from trades.stores import market_store

# The dataset of a chain in `X-Commit` and among an answer's logs. It is not stored.
CHAIN = Dataset(name="chain", columns=OPTION_QUOTES.columns)


@dataclass(frozen=True)
class PinnedChain:
    """The quotes of some options of an underlying, as committed by an instant.

    listed: the options that were quoted or declared by that instant. members: the listed options with quotes in
    the needed window, and their logs. seen_by_ns: an instant that gives the same chain, the last change of its
    quotes or of any declaration. So calls with the same answer have the same cache key.
    """

    symbol: str
    listed: tuple[OptionContract, ...]
    members: tuple[tuple[OptionContract, LogView], ...]
    seen_by_ns: int
    dataset: Dataset = CHAIN

    @property
    def is_empty(self) -> bool:
        """Whether there are no quotes."""
        return not self.members

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(repr(self.listed).encode())
        digest.update(_digest_of((log.symbol, log.commit) for _, log in self.members).encode())
        return digest.hexdigest()

    @cached_property
    def head(self) -> CommitId:
        """The sum of the logs' commit numbers, and a hash of their newest commits."""
        if self.is_empty:
            return NO_COMMIT
        heads = [(log.symbol, log.head) for _, log in self.members]
        return CommitId(sum(head.number for _, head in heads), _digest_of(heads))

    @property
    def commit(self) -> CommitId:
        """The commit that a cursor stores: the instant, and a hash of the options and their commits."""
        return CommitId(self.seen_by_ns, self._digest)

    @property
    def key(self) -> str:
        """The text that stands for the chain in cache keys: a hash of options and commits, and the instant."""
        return f"{self._digest[:24]}-{self.seen_by_ns}"


def options_of(underlying: str, as_of_ns: int | None) -> tuple[Instrument, ...]:
    """The options of an underlying that have quotes or were declared, ordered by symbol."""
    store = market_store()
    return _options(cast("Hashable", store), store.catalogue_stamp(), as_of_ns).get(underlying, ())


def seen_by(symbol_query: SymbolQuery, place: int) -> int:
    """The instant up to which a chain's commits and declarations are read: `now_ns`, or the cursor's instant.

    place: the chain's index among the query's logs.
    """
    seen = symbol_query.read_point.seen
    return symbol_query.now_ns if seen is None else seen[place].number


def pinned_chain(
    symbol_query: SymbolQuery,
    place: int,
    underlying: str,
    contracts: Iterable[OptionContract],
    needed: Window,
) -> PinnedChain:
    """The quotes of an underlying's options in a window, the same on all pages of a walk.

    place: the chain's index among the query's logs. needed: the window, the same on all pages. Raises
    `ResyncRequired` if the quotes differ from the first page's: a log was restored, or a commit that had begun
    by then was finished since.
    """
    seen, known_by_ns = symbol_query.read_point.seen, seen_by(symbol_query, place)
    declared = {each.symbol for each in market_store().declared_instruments(as_of_ns=known_by_ns)}
    read_point = ReadPoint(known_by_ns, None)
    logs = [(contract, read_point.log(OPTION_QUOTES, contract.symbol, 0)) for contract in contracts]
    listed = [each for each in logs if each[1].head != NO_COMMIT or each[0].symbol in declared]
    pinned = [(contract, read_point.limited_to(log, needed)) for contract, log in listed]
    chain = PinnedChain(
        symbol=underlying,
        listed=tuple(contract for contract, _ in pinned),
        members=tuple((contract, log) for contract, log in pinned if not log.is_empty),
        seen_by_ns=_last_change(known_by_ns, [log for _, log in pinned]) if seen is None else known_by_ns,
    )
    if seen is not None and SeenCommit.of(chain.commit) != seen[place]:
        raise ResyncRequired(
            "the quotes of an option have changed since the cursor was made; start again at the first page"
        )
    return chain


def _last_change(known_by_ns: int, logs: Iterable[LogView]) -> int:
    """The latest of: the last declaration, the newest commit of each log, an unneeded option's first commit."""
    store = market_store()
    # An option without needed quotes is still listed, from its first commit on.
    numbers = ((log, log.commit.number or 1) for log in logs if log.head != NO_COMMIT)
    commits = (store.committed_at(log.dataset, log.symbol, number) for log, number in numbers)
    return max(store.last_declared_ns(known_by_ns), *commits, 0)


def contracts_of(options: Iterable[Instrument], underlying: Instrument) -> list[OptionContract]:
    """The contracts of options; options whose terms are unknown are left out."""
    return [terms for option in options if (terms := contract_of(option, underlying)) is not None]


@lru_cache(maxsize=8)
def _options(store: Hashable, _stamp: Hashable, as_of_ns: int | None) -> dict[str, tuple[Instrument, ...]]:
    return _by_underlying(cast("MarketStore", store), as_of_ns)


def _by_underlying(store: MarketStore, as_of_ns: int | None) -> dict[str, tuple[Instrument, ...]]:
    declared = {each.symbol: each for each in store.declared_instruments(as_of_ns=as_of_ns)}
    found: dict[str, list[Instrument]] = {}
    for symbol in sorted({*declared, *store.symbols(OPTION_QUOTES)}):
        option = declared.get(symbol) or default_instrument(symbol)
        if option.instrument_class == OPTION and option.underlying is not None:
            found.setdefault(store.canonical(option.underlying), []).append(option)
    return {underlying: tuple(options) for underlying, options in found.items()}


def _digest_of(commits: Iterable[tuple[str, CommitId]]) -> str:
    digest = hashlib.sha256()
    for symbol, commit in commits:
        digest.update(f"{symbol}={commit.number}-{commit.hash};".encode())
    return digest.hexdigest()
