"""The option chain of an underlying: its options and their logs of quotes, told as one log."""

from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import cast

from stats.market_data.options.contract import OptionContract, contract_of
from stats.market_data.plan import LogGroup, SymbolQuery, limited_to, log_at
from store.datasets import OPTION_QUOTES
from store.declarations import Dataset
from store.instruments import OPTION, Instrument, default_instrument
from store.log_views.log_view import LogView
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, Window
from trades.stores import market_store

# The dataset of a chain in `X-Commit` and among an answer's logs. It is not stored.
CHAIN = Dataset(name="chain", columns=OPTION_QUOTES.columns)


Quoted = tuple[OptionContract, LogView]
"""An option and its log of quotes."""


def quoted(chain: LogGroup[OptionContract]) -> tuple[Quoted, ...]:
    """Return the options of a chain that have quotes in the needed window."""
    logs = {log.symbol: log for log in chain.logs}
    return tuple((each, logs[each.symbol]) for each in chain.members if each.symbol in logs)


def options_of(underlying: str, as_of_ns: int | None) -> tuple[Instrument, ...]:
    """Return the options of an underlying that have quotes or were declared, ordered by symbol."""
    store = market_store()
    return _options(cast("Hashable", store), store.catalogue_stamp(), as_of_ns).get(underlying, ())


def chain_instant_ns(symbol_query: SymbolQuery, log_index: int) -> int:
    """Return the instant up to which a chain's commits and declarations are read: `now_ns`, or the cursor's instant.

    log_index: the chain's index among the plan's logs.
    """
    seen = symbol_query.seen
    return symbol_query.now_ns if seen is None else seen[log_index].number


def option_chain(
    symbol_query: SymbolQuery,
    log_index: int,
    underlying: str,
    contracts: Iterable[OptionContract],
    needed: Window,
) -> LogGroup[OptionContract]:
    """Return the options of an underlying that were quoted or declared, and the logs of those with quotes in a window.

    log_index: the chain's index among the plan's logs. needed: the window, the same on all pages. Raises
    `ResyncRequired` if the quotes differ from the first page's quotes, because a log was restored, or because a
    commit that had begun before the first page was finished after it.
    """
    seen, instant_ns = symbol_query.seen, chain_instant_ns(symbol_query, log_index)
    declared = {each.symbol for each in market_store().declared_instruments(as_of_ns=instant_ns)}
    found = []
    for contract in contracts:
        log = log_at(OPTION_QUOTES, contract.symbol, instant_ns)
        if log.head != NO_COMMIT or contract.symbol in declared:
            found.append((contract, limited_to(log, needed)))
    logs = tuple(log for _, log in found)
    chain = LogGroup(
        CHAIN,
        underlying,
        members=tuple(contract for contract, _ in found),
        logs=tuple(log for log in logs if not log.is_empty),
        last_change_ns=last_change_ns(instant_ns, logs) if seen is None else instant_ns,
    )
    chain.check_seen(None if seen is None else seen[log_index])
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
