"""Channels: what a client can subscribe to. A channel's name is canonical, so that one feed serves all spellings."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

from ratelimit.callers import ALL_ACCOUNTS
from ratelimit.keys.terms import ACCOUNT_FORM
from stats.live.accounts import ACCOUNT_KINDS, ACCOUNT_PREFIX
from stats.live.exceptions import UnknownAccount, UnknownChannel
from stats.market_data.answers.bars_snapshot import canonical_bar_query
from stats.market_data.plan import is_known
from stats.market_data.query import MarketDataQuery, class_of
from store.datasets import BARS, QUOTES, TRADES, TRADING_STATUS
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.resolutions import Resolution
from trades.instruments.services import requested_symbol, symbol_canonical
from trades.stores import market_store

ALL_SYMBOLS = "*"
TRADES_KIND, QUOTES_KIND, STATUS_KIND, BARS_KIND = "trades", "quotes", "status", "bars"
# The datasets of `/{symbol}/{dataset}/commits`, and the kinds of their channels.
KINDS = {"trades": TRADES_KIND, "quotes": QUOTES_KIND, "trading-status": STATUS_KIND}
ALL_KINDS = (*KINDS.values(), BARS_KIND, *ACCOUNT_KINDS)
BARS_PREFIX = f"{BARS_KIND}."
_DATASETS = {TRADES_KIND: TRADES, QUOTES_KIND: QUOTES, STATUS_KIND: TRADING_STATUS}
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of a symbol. name: canonical, such as `bars.1m:AAPL`.

    kind: what its metrics count it as. datasets: those of its logs; the first is the one that tokens without a name belong
    to. bars: the query whose bars it has; None for rows.
    """

    name: str
    kind: str
    symbol: str
    datasets: tuple[Dataset, ...]
    bars: MarketDataQuery | None = None

    @property
    def notified_name(self) -> str:
        """What notifications call its logs."""
        return self.symbol

    @property
    def log(self) -> tuple[Dataset, str]:
        """The first of its logs: dataset and symbol."""
        return self.datasets[0], self.symbol


@dataclass(frozen=True, slots=True)
class AccountChannel:
    """A channel of an account. name: such as `orders:ACC`. kind: one of `ACCOUNT_KINDS`."""

    name: str
    kind: str
    account: str
    # It has no logs in the store.
    datasets: ClassVar[tuple[Dataset, ...]] = ()
    log: ClassVar[None] = None

    @property
    def notified_name(self) -> str:
        """What notifications call its account."""
        return f"{ACCOUNT_PREFIX}{self.account}"


AnyChannel = Channel | AccountChannel


@dataclass(frozen=True, slots=True)
class AllSymbols:
    """The channels of a kind for all symbols, also those to come. name: such as `trades:*`.

    `quotes:*` does not include options, whose quotes are a dataset of their own.
    """

    name: str
    kind: str
    dataset: Dataset


def parse_channel(text: str, *, several: bool = True) -> list[AnyChannel | AllSymbols]:
    """Return the channels that a text names: one for each symbol or account. several: whether it may name several of them.

    Whether an account exists is not looked up. Raises `UnknownChannel`, `UnknownSymbol`, `UnknownAccount`, and the
    errors of symbols and of the parameters of bars.
    """
    kind, has_symbols, rest = text.partition(":")
    symbols, _, query = rest.partition("?")
    prefix, _, resolution = kind.partition(".")
    is_list = "," in symbols and not several
    if is_list or not has_symbols or not symbols or (resolution and prefix != BARS_KIND):
        raise _unknown(text)
    if prefix == BARS_KIND and symbols == ALL_SYMBOLS:
        raise UnknownChannel("there are no bars of *; list symbols")
    if prefix == BARS_KIND:
        return [_bars(text, symbol, resolution, query) for symbol in symbols.split(",")]
    if kind in ACCOUNT_KINDS:
        return [account_channel(kind, account) for account in rest.split(",")]
    if kind not in KINDS.values() or query:
        raise _unknown(text)
    if symbols == ALL_SYMBOLS:
        return [AllSymbols(text, kind, _DATASETS[kind])]
    return [row_channel(kind, known_symbol(symbol)) for symbol in symbols.split(",")]


def row_channel(kind: str, symbol: str) -> Channel:
    """Return the channel of a symbol's rows. kind: one of `KINDS`. symbol: canonical."""
    dataset = _DATASETS[kind]
    if kind == QUOTES_KIND:
        dataset = class_of(market_store().instrument(symbol).instrument_class).quotes
    return Channel(f"{kind}:{symbol}", kind, symbol, (dataset,))


def account_channel(kind: str, account: str) -> AccountChannel:
    """Return the channel of an account. kind: one of `ACCOUNT_KINDS`. Raises `UnknownAccount` if this can be no account."""
    if account == ALL_ACCOUNTS or not re.fullmatch(ACCOUNT_FORM, account):
        raise UnknownAccount(account[:_SHOWN])
    return AccountChannel(f"{kind}:{account}", kind, account)


def symbols_of_all(wildcard: AllSymbols) -> list[str]:
    """Return all symbols that have rows now."""
    return list(market_store().symbols(wildcard.dataset))


def new_channels(wildcard: AllSymbols, known: Sequence[Set[str]]) -> list[Channel]:
    """Return the channels of all symbols that have rows now, except those that are in all of the sets of names."""
    symbols = {f"{wildcard.kind}:{symbol}": symbol for symbol in symbols_of_all(wildcard)}
    unknown = {name for names in known for name in symbols.keys() - names}
    return [row_channel(wildcard.kind, symbols[name]) for name in sorted(unknown)]


def _bars(text: str, symbol: str, resolution: str, query: str) -> Channel:
    try:
        name = Resolution.of_bars(resolution).value
    except ValueError as error:
        raise UnknownChannel(f"the resolution of {text[:_SHOWN]!r} {error}") from None
    bars, parameters = canonical_bar_query(symbol, name, query)
    suffix = f"?{urlencode(parameters)}" if parameters else ""
    (canonical,) = bars.symbols
    return Channel(f"bars.{name}:{canonical}{suffix}", BARS_KIND, canonical, (TRADES, BARS), bars)


def known_symbol(text: str) -> str:
    """Return the canonical symbol. Raises `UnknownSymbol`, `InvalidSymbol`."""
    symbol = symbol_canonical(requested_symbol(text))
    if not is_known(symbol):
        raise UnknownSymbol(symbol)
    return symbol


def _unknown(text: str) -> UnknownChannel:
    return UnknownChannel(
        f"{text[:_SHOWN]!r} is no channel; channels are trades:SYMBOL, quotes:SYMBOL, status:SYMBOL, bars.1m:SYMBOL, "
        f"{', '.join(f'{kind}:ACCOUNT' for kind in ACCOUNT_KINDS)}"
    )
