"""How far an exchange's feed is known to have come, by all logs of its instruments."""

import threading
from collections.abc import Hashable, Iterator

from cachetools import LRUCache

from store.datasets import QUOTES, TRADES
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from store.timestamps import SECOND_NS
from trades.stores import market_store

_DATASETS = (TRADES, QUOTES)
MAX_LOGS = 16_384
MAX_ASKED = 1_024
# For each exchange and `as_of`: the store, the second in which it was asked for, the wanted instant, the answer.
_known: LRUCache[tuple[str, int | None], tuple[MarketStore | None, int, int, int]] = LRUCache(MAX_ASKED)
# The log of each exchange that had come furthest, which is looked at first.
_furthest: dict[str, tuple[str, str]] = {}
# How far each log had come, and the token by which a change of the log is seen.
_reaches: LRUCache[tuple[str, str], tuple[Hashable, int]] = LRUCache(MAX_LOGS)
_lock = threading.Lock()


def exchange_reach(exchange: str, wanted_ns: int, *, as_of_ns: int | None, now_ns: int) -> int:
    """Return the latest event time, or end of a declared completeness, in any log of an exchange's instruments.

    exchange: MIC. wanted_ns: instants from here on are not told apart, so that mostly one log is looked at. as_of_ns:
    commits and declarations after this instant are ignored; None for none. Logs of trades and of quotes count.
    Returns nanoseconds UTC, at most `wanted_ns`; `ALL_TIME.start_ns` if nothing is stored. now_ns: if no log has come
    far enough, they are searched again only in another second, whoever asks.
    """
    asked = exchange, as_of_ns
    with _lock:
        store, second, known_wanted_ns, known_ns = _known.get(asked, (None, 0, 0, 0))
    is_new = store is market_store() and second == now_ns // SECOND_NS
    if is_new and (wanted_ns <= known_wanted_ns or known_ns < known_wanted_ns):
        return min(known_ns, wanted_ns)
    reached_ns = _searched(exchange, wanted_ns, as_of_ns)
    with _lock:
        _known[asked] = market_store(), now_ns // SECOND_NS, wanted_ns, reached_ns
    return reached_ns


def _searched(exchange: str, wanted_ns: int, as_of_ns: int | None) -> int:
    reached_ns = ALL_TIME.start_ns
    for name, symbol in _logs_of(exchange, _furthest.get(exchange), as_of_ns):
        reach_ns = _reach_of(name, symbol, as_of_ns)
        if reach_ns > reached_ns:
            reached_ns = reach_ns
            _furthest[exchange] = name, symbol
        if reached_ns >= wanted_ns:
            return wanted_ns
    return reached_ns


def _logs_of(
    exchange: str, furthest: tuple[str, str] | None, as_of_ns: int | None
) -> Iterator[tuple[str, str]]:
    """Yield dataset and symbol of the exchange's logs, `furthest` first."""
    store = market_store()
    if furthest is not None and _trades_at(exchange, store.instrument(furthest[1], as_of_ns=as_of_ns)):
        yield furthest
    declared = store.declared_instruments(as_of_ns=as_of_ns)
    symbols = [each.symbol for each in declared if _trades_at(exchange, each)]
    for dataset in _DATASETS:
        yield from ((dataset.name, symbol) for symbol in symbols)


def _trades_at(exchange: str, instrument: Instrument) -> bool:
    return instrument.exchange == exchange and instrument.has_sessions


def _reach_of(name: str, symbol: str, as_of_ns: int | None) -> int:
    dataset = next(each for each in _DATASETS if each.name == name)
    store = market_store()
    try:
        if as_of_ns is not None:
            found = store.log(dataset, symbol).as_of(as_of_ns).completeness()
            return max(found.newest_ns, found.complete_until_ns)
        token = store.heads(dataset, (symbol,)).get(symbol)
        with _lock:
            known = _reaches.get((name, symbol))
        if token is None or known is None or known[0] != token:
            found = store.log(dataset, symbol).at().completeness()
            known = token, max(found.newest_ns, found.complete_until_ns)
            with _lock:
                _reaches[name, symbol] = known
        return known[1]
    except UnknownSymbol:
        return ALL_TIME.start_ns
