"""What a store says of symbols: the terms of their trading, their prices, and the logs that their orders follow.

It knows no database and no setting; `trading.market.symbols` asks the installation's store.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa

from stats.live.tokens import head_of
from store.bars.prints import standing
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS
from store.declarations import Dataset
from store.instruments import FUTURE, LARGEST_AMOUNT, SMALLEST_AMOUNT, Instrument
from store.market_store import MarketStore
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Window
from store.timestamps import DAY_NS
from store.walk import LogPosition
from trading.core.account import AccountState
from trading.core.amounts import ONE, price_of
from trading.core.events import Reference, RowRef
from trading.core.matching import Rate
from trading.core.positions import ExDividend, Position
from trading.core.rows import Quote
from trading.core.terms import TRADABLE, Side, Terms
from trading.exceptions import NoRate, NoReferencePrice, NotTradable
from trading.market.hours import SymbolHalts, ex_dates, session_begin_ns, symbol_halts
from trading.market.prices import (
    RowPrice,
    Split,
    bars_until_ns,
    is_outdated,
    last_price,
    newest_quote,
    per_unit_now,
    reference_from,
    without_dividend,
)

LogKey = tuple[Dataset, str]
SPLIT = "split"
# An inverted rate has as many digits as a double, so that products of it are exact before they are rounded.
_RATE = Context(prec=15, rounding=ROUND_HALF_EVEN)
_SMALLEST, _LARGEST = Decimal(repr(SMALLEST_AMOUNT)), Decimal(repr(LARGEST_AMOUNT))


def _newest_place(_dataset: str, _symbol: str) -> LogPosition | None:
    return None


@dataclass(frozen=True, slots=True)
class Market:
    """A store, read for trading.

    classes: the terms by instrument class.
    place_of: returns up to where a log, by dataset and symbol, is read for prices; None for its newest commit.
    as_of_ns: the logs of orders are those that had commits then; None for now. All symbols are canonical. Every method
    raises the errors of the store.
    """

    store: MarketStore
    classes: Mapping[str, Terms] = field(default_factory=lambda: TRADABLE)
    place_of: Callable[[str, str], LogPosition | None] = _newest_place
    as_of_ns: int | None = None

    def instrument(self, symbol: str) -> Instrument:
        """Return a symbol's instrument."""
        return self.store.instrument(symbol)

    def is_known(self, symbol: str) -> bool:
        """Return whether a symbol's instrument is declared, or trades, quotes or bars of it are stored."""
        return bool(self.store.declared_instruments(symbol=symbol)) or any(
            head_of(self.store, dataset, symbol) != NO_COMMIT for dataset in (TRADES, QUOTES, BARS)
        )

    def terms(self, symbol: str) -> Terms:
        """Return the terms on which an instrument is traded: those of its class, and its own.

        Raises `NotTradable`.
        """
        instrument = self.instrument(symbol)
        of_class = self._terms_of_class(instrument)
        own: dict[str, Any] = {"currency": self._currency_of(instrument)}
        if instrument.tick_size is not None:
            own |= {"tick": price_of(instrument.tick_size), "tick_below_one": None}
        elif own["currency"] != of_class.currency:
            own |= {"tick": None, "tick_below_one": None}
        if instrument.has_integer_volume:
            own["lot"] = ONE
        if instrument.instrument_class == FUTURE:
            if instrument.multiplier is None:
                raise NotTradable(
                    f"{symbol} has no multiplier: declare it by PUT /api/v1/instruments/{symbol}"
                )
            own["multiplier"] = price_of(instrument.multiplier)
        terms = msgspec.structs.replace(of_class, **own)
        for name in ("tick", "multiplier"):
            value = getattr(terms, name)
            if value is not None and not _SMALLEST <= value <= _LARGEST:
                raise NotTradable(
                    f"the {name} of {symbol} is beyond what is computed exactly: declare another"
                )
        return terms

    def _terms_of_class(self, instrument: Instrument) -> Terms:
        try:
            return self.classes[instrument.instrument_class]
        except KeyError:
            raise NotTradable(
                f"{instrument.symbol} is of the class {instrument.instrument_class}, which is not traded here; "
                f"these are: {', '.join(self.classes)}"
            ) from None

    def _currency_of(self, instrument: Instrument) -> str:
        return instrument.currency or self._terms_of_class(instrument).currency

    def currency(self, symbol: str) -> str:
        """Return the currency of a symbol's price. Raises `NotTradable`."""
        return self._currency_of(self.instrument(symbol))

    def newest(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        """Return the newest quote and the last price of a symbol."""
        return self.stored_newest(symbol, now_ns)

    def rate_prices(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        """Return the newest quote of a pair of currencies, which may be locked, and its last price."""
        return self.stored_newest(symbol, now_ns, is_rate=True)

    def stored_newest(
        self, symbol: str, now_ns: int, *, is_rate: bool = False
    ) -> tuple[Quote | None, RowPrice | None]:
        """Return the newest quote and the last price in the store that are dated up to an instant.

        is_rate: whether a quote may be locked; see `rate_quotes`.
        """
        instrument = self.instrument(symbol)
        quotes, trades, bars = (self.place_of(each.name, symbol) for each in (QUOTES, TRADES, BARS))
        return (
            newest_quote(self.store, instrument, now_ns, quotes, is_rate=is_rate),
            last_price(self.store, instrument, now_ns, trades, bars),
        )

    def past_rate_prices(self, symbol: str, at_ns: int) -> tuple[Quote | None, RowPrice | None]:
        """Return what `rate_prices` does, by the stored rows that are dated up to an instant of the past."""
        return Market.rate_prices(self, symbol, at_ns)

    def reference(self, symbol: str, account_currency: str, *, side: Side, now_ns: int) -> Reference:
        """Return what the market looks like, by the rows that are dated up to `now_ns`.

        `price` is the ask for a buy and the bid for a sell, else the last price; `at_ns` is the time of its row, of a
        stored bar its end. A quote is left out if it is much older than the last price. A row that was corrected is
        named by the commit that stored it first. Late prints and those of backfills count, because they take their
        place by their event time. Raises `NoReferencePrice`, `NoRate`, `NotTradable`.
        """
        currency = self.currency(symbol)
        rate = self.rate(currency, account_currency, now_ns=now_ns)
        if rate is None:
            raise NoRate(currency, account_currency)
        return self._reference(symbol, side=side, rate=rate, now_ns=now_ns)

    def _reference(
        self, symbol: str, *, side: Side, rate: Rate, now_ns: int, dividends: Sequence[ExDividend] = ()
    ) -> Reference:
        """Return what the market looks like. dividends: are taken off prices from before them."""
        prices = per_unit_now(*self.newest(symbol, now_ns), self.splits(symbol, now_ns), now_ns=now_ns)
        for dividend in dividends:
            may_be_negative = self.instrument(symbol).allow_nonpositive_price
            prices = without_dividend(*prices, dividend, may_be_negative=may_be_negative)
        return reference_from(symbol, *prices, side=side, rate=rate)

    def splits(self, symbol: str, until_ns: int) -> Sequence[Split]:
        """Return the splits of a symbol that took effect up to an instant, in order."""
        if self.head(CORPORATE_ACTIONS, symbol) == NO_COMMIT:
            return []
        rows = (
            self.store.log(CORPORATE_ACTIONS, symbol)
            .at()
            .versions(Window(ALL_TIME.start_ns, until_ns + DAY_NS))
        )
        rows = rows.filter(pa.array(standing(rows, None)))
        ex = (
            each.tolist() for each in ex_dates(self.instrument(symbol), rows.column("timestamp").to_numpy())
        )
        kinds, ratios = (rows.column(name).to_pylist() for name in ("kind", "ratio"))
        return sorted(
            Split(effect_ns, date, price_of(ratio))
            for date, effect_ns, kind, ratio in zip(*ex, kinds, ratios, strict=True)
            if kind == SPLIT and effect_ns <= until_ns
        )

    def halts(self, symbol: str, from_ns: int) -> SymbolHalts | None:
        """Return the stored halts of a symbol that may matter from an instant on; None if there are none."""
        return symbol_halts(self.store, self.instrument(symbol), self.head(TRADING_STATUS, symbol), from_ns)

    def halted_from_ns(self, symbol: str, now_ns: int) -> int | None:
        """Return since when trading in a symbol is halted; None if it is not."""
        halts = self.halts(symbol, now_ns)
        return None if halts is None else halts.begun_ns(now_ns)

    def marks(self, state: AccountState, *, now_ns: int, known: Collection[str] = ()) -> dict[str, Reference]:
        """Return the marks of the symbols that an account holds, but for known ones.

        A symbol without a price or a rate has none.
        """
        held = {each.symbol: each for each in state.positions.values() if each.symbol not in known}
        marks = {}
        for symbol, position in held.items():
            mark = self.mark(position, state.currency, now_ns=now_ns)
            if mark is not None:
                marks[symbol] = mark
        return marks

    def mark(self, position: Position, account_currency: str, *, now_ns: int) -> Reference | None:
        """Return what closing a position would get, for an account in a currency; None without a price or a rate.

        A dividend that the account was paid is taken off a price from before it.
        """
        rate = self.rate(position.terms.currency, account_currency, now_ns=now_ns)
        if rate is None:
            return None
        side = Side.SELL if position.quantity > 0 else Side.BUY
        try:
            return self._reference(
                position.symbol, side=side, rate=rate, now_ns=now_ns, dividends=position.ex_dividends
            )
        except NoReferencePrice:
            return None

    def rate(self, currency: str, account_currency: str, *, now_ns: int) -> Rate | None:
        """Return the rate from a currency to the account's: the middle of the pair's newest quote, or its last price.

        A quote is left out if it is much older than the last price. If only the opposite pair has a price, the rate is
        inverted. For the same currency it is 1, and no row says it. None without a price.
        """
        return self._rate(currency, account_currency, partial(self.rate_prices, now_ns=now_ns))

    def past_rate(self, currency: str, account_currency: str, *, at_ns: int) -> Rate | None:
        """Return the rate at an instant of the past, by the stored rows that are dated up to it; see `rate`."""
        return self._rate(currency, account_currency, partial(self.past_rate_prices, at_ns=at_ns))

    def _rate(
        self,
        currency: str,
        account_currency: str,
        newest: Callable[[str], tuple[Quote | None, RowPrice | None]],
    ) -> Rate | None:
        """Return a rate; see `rate`. newest: returns the newest quote and the last price of a pair."""
        if currency == account_currency:
            return ONE, None
        for symbol, is_inverted in self._pairs(currency, account_currency):
            quote, last = newest(symbol)
            if quote is not None and quote.middle is not None and not is_outdated(quote, last):
                last = RowPrice(quote.ref, quote.middle, quote.ref.timestamp_ns)
            if last is not None:
                return _RATE.divide(ONE, last.price) if is_inverted else last.price, last.ref
        return None

    def rate_symbols(self, symbol: str, account_currency: str) -> list[str]:
        """Return the pairs of currencies that may convert a symbol's prices. Raises `NotTradable`."""
        currency = self.currency(symbol)
        if currency == account_currency:
            return []
        return [pair for pair, _ in self._pairs(currency, account_currency)]

    def _pairs(self, currency: str, account_currency: str) -> list[tuple[str, bool]]:
        """Return the symbols of a pair of currencies, and whether each has the opposite rate."""
        pairs = ((currency, account_currency, False), (account_currency, currency, True))
        return [
            (self.store.canonical(f"{base}{separator}{quote}"), is_inverted)
            for base, quote, is_inverted in pairs
            for separator in ("-", "")
        ]

    def is_first_of_session(self, ref: RowRef) -> bool:
        """Return whether a trade is the first since its market opened, of those that give a price."""
        opened_ns = session_begin_ns(self.instrument(ref.symbol), ref.timestamp_ns)
        if opened_ns is None:
            return False
        last = self._price_before(ref)
        return last is None or last.at_ns < opened_ns

    def _price_before(self, ref: RowRef) -> RowPrice | None:
        place = self.place_of(TRADES.name, ref.symbol)
        return last_price(self.store, self.instrument(ref.symbol), ref.timestamp_ns - 1, place)

    def bars_from_ns(self, symbol: str, decided_ns: int) -> int | None:
        """Return from which instant on bars that begin fill an order that was decided then: from this instant.

        The latency does not count: a bar does not tell what was traded in the moments after its open. None if orders
        of the symbol are filled by prints: it had its first trade by then, or has no bars yet.
        """
        return decided_ns if decided_ns < self.bars_until_ns(symbol) else None

    def expired_before_ns(self, symbol: str) -> int:
        """Return the midnight UTC before which trades or quotes of a symbol have expired; `ALL_TIME.start_ns` if none have."""
        stored = (each for each in (TRADES, QUOTES) if self.head(each, symbol) != NO_COMMIT)
        expired = (self.store.log(each, symbol).at().expired for each in stored)
        return max((each.before_ns for each in expired), default=ALL_TIME.start_ns)

    def bars_until_ns(self, symbol: str) -> int:
        """Return until when bars fill orders of a symbol: the time of its first trade, or `ALL_TIME.end_ns`.

        `ALL_TIME.start_ns` without bars.
        """
        if self.head(BARS, symbol) == NO_COMMIT:
            return ALL_TIME.start_ns
        return bars_until_ns(self.store, symbol, self.head(TRADES, symbol))

    def logs_of_orders(self, symbol: str, account_currency: str) -> list[LogKey]:
        """Return the logs that the engine follows for orders and positions in a symbol.

        They are the symbol's own, and those of the pair that converts its currency; bars only if there are no trades.
        """
        datasets = [TRADES, QUOTES, CORPORATE_ACTIONS, TRADING_STATUS, *self._bars_if_followed(symbol)]
        logs = [(dataset, symbol) for dataset in datasets]
        pairs = [
            (dataset, pair)
            for pair in self.rate_symbols(symbol, account_currency)
            for dataset in (QUOTES, TRADES, *self._bars_if_followed(pair))
        ]
        return logs + [log for log in pairs if self.head(*log) != NO_COMMIT]

    def _bars_if_followed(self, symbol: str) -> list[Dataset]:
        return [BARS] if self.head(TRADES, symbol) == NO_COMMIT else []

    def head(self, dataset: Dataset, symbol: str) -> CommitId:
        """Return the newest commit of a log; `NO_COMMIT` for a log that has none, or does not exist."""
        newest = head_of(self.store, dataset, symbol)
        if newest == NO_COMMIT or self.as_of_ns is None:
            return newest
        number = self.store.log(dataset, symbol).as_of(self.as_of_ns).commit.number
        return self.store.log(dataset, symbol).at(number).commit if number else NO_COMMIT

    def heads(self, symbol: str, account_currency: str) -> dict[str, str]:
        """Return the commits of `logs_of_orders` that are read last: tokens by names such as `trades:AAPL`.

        A token is such as `17-9f3a2c`; that of a log without a commit is `0-000000`.
        """
        return {
            f"{dataset.name}:{each}": self._head(dataset, each)
            for dataset, each in self.logs_of_orders(symbol, account_currency)
        }

    def _head(self, dataset: Dataset, symbol: str) -> str:
        place = self.place_of(dataset.name, symbol)
        return (self.head(dataset, symbol) if place is None else place.commit).token
