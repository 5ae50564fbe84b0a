"""What the store says of a symbol: the terms of its trading, its price now, and the logs that its orders follow."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec

from live.tokens import head_of
from store.datasets import BARS, CORPORATE_ACTIONS, QUOTES, TRADES, TRADING_STATUS
from store.declarations import Dataset
from store.instruments import FUTURE, Instrument
from store.log_views.best_quotes import DEFAULT_MAX_AGE_NS
from store.protocol import NO_COMMIT
from trades.stores import market_store
from trading.core.amounts import price_of
from trading.core.events import Reference
from trading.core.matching import Rate
from trading.core.rows import Quote
from trading.core.terms import TRADABLE, Side, Terms
from trading.exceptions import NoRate, NoReferencePrice, NotTradable
from trading.market.newest_rows import RowPrice, last_price, newest_quote
from trading.models import InstrumentTerms

LogKey = tuple[Dataset, str]
# An inverted rate has as many digits as a double, so that products of it are exact before they are rounded.
_RATE = Context(prec=15, rounding=ROUND_HALF_EVEN)
_ONE = Decimal(1)


def terms_of(symbol: str) -> Terms:
    """Return the terms on which an instrument is traded: those of its class, its own, and those of `InstrumentTerms`.

    symbol: canonical. Raises `NotTradable`, `StorageError`s.
    """
    instrument = market_store().instrument(symbol)
    of_class = _terms_of_class(instrument)
    own: dict[str, Any] = {"currency": _currency_of(instrument)}
    if instrument.tick_size is not None:
        own["tick"] = price_of(instrument.tick_size)
    if instrument.has_integer_volume:
        own["lot"] = _ONE
    if instrument.instrument_class == FUTURE:
        if instrument.multiplier is None:
            raise NotTradable(f"{symbol} has no multiplier: declare it by PUT /api/v1/instruments/{symbol}")
        own["multiplier"] = price_of(instrument.multiplier)
    return msgspec.structs.replace(of_class, **(own | _declared_terms(symbol)))


def _terms_of_class(instrument: Instrument) -> Terms:
    try:
        return TRADABLE[instrument.instrument_class]
    except KeyError:
        classes = ", ".join(TRADABLE)
        raise NotTradable(
            f"{instrument.symbol} is of the class {instrument.instrument_class}, which is not traded here; these are: {classes}"
        ) from None


def _declared_terms(symbol: str) -> dict[str, Any]:
    row = InstrumentTerms.objects.filter(symbol=symbol).first()
    if row is None:
        return {}
    names = ("tick", "lot", "borrow_rate", "initial_margin", "maintenance_margin", "contract_margin")
    declared: dict[str, Any] = {name: Decimal(text) for name in names if (text := getattr(row, name))}
    return declared if row.shortable is None else declared | {"shortable": row.shortable}


def _currency_of(instrument: Instrument) -> str:
    return instrument.currency or _terms_of_class(instrument).currency


def mark_of(symbol: str, account_currency: str, *, is_long: bool, now_ns: int) -> Reference:
    """Return the price of a position: what closing it would get. Raises as `reference_of`."""
    side = Side.SELL if is_long else Side.BUY
    return reference_of(symbol, account_currency, side=side, now_ns=now_ns)


def reference_of(symbol: str, account_currency: str, *, side: Side, now_ns: int) -> Reference:
    """Return what the market looks like, by the rows that are dated up to `now_ns`.

    symbol: canonical. `price` is the ask for a buy and the bid for a sell, else the last price; `at_ns` is the time of
    its row, of a stored bar its end. A quote is left out if it is much older than the last price. A row that was
    corrected is named by the commit that stored it first. Late prints and those of backfills count, because they take
    their place by their event time. Raises `NoReferencePrice`, `NoRate`, `NotTradable`, `StorageError`s.
    """
    instrument = market_store().instrument(symbol)
    rate = rate_of(_currency_of(instrument), account_currency, now_ns=now_ns)
    quote, last = newest_quote(instrument, now_ns), last_price(instrument, now_ns)
    return reference_from(symbol, quote, last, side=side, rate=rate)


def reference_from(
    symbol: str, quote: Quote | None, last: RowPrice | None, *, side: Side, rate: Rate
) -> Reference:
    """Return what the market looks like by its newest rows; see `reference_of`. Raises `NoReferencePrice`."""
    if quote is not None and last is not None and last.at_ns - quote.ref.timestamp_ns > DEFAULT_MAX_AGE_NS:
        quote = None
    bid, ask = (None, None) if quote is None else (quote.bid, quote.ask)
    asked = ask if side is Side.BUY else bid
    priced = last if quote is None or asked is None else RowPrice(quote.ref, asked, quote.ref.timestamp_ns)
    if priced is None:
        raise NoReferencePrice(symbol)
    refs = (None if quote is None else quote.ref, None if last is None else last.ref, rate[1])
    return Reference(
        symbol=symbol,
        price=priced.price,
        rate=rate[0],
        bid=bid,
        ask=ask,
        last=None if last is None else last.price,
        at_ns=priced.at_ns,
        refs=tuple(ref for ref in refs if ref is not None),
    )


def rate_of(currency: str, account_currency: str, *, now_ns: int) -> Rate:
    """Return the rate from a currency to the account's: the middle of the newest quote of the pair, or its last price.

    If only the opposite pair has a price, the rate is inverted. For the same currency it is 1, and no row says it.
    Raises `NoRate`, `StorageError`s.
    """
    if currency == account_currency:
        return _ONE, None
    for symbol, is_inverted in _pairs(currency, account_currency):
        instrument = market_store().instrument(symbol)
        quote, last = newest_quote(instrument, now_ns), last_price(instrument, now_ns)
        if quote is not None and quote.middle is not None:
            last = RowPrice(quote.ref, quote.middle, quote.ref.timestamp_ns)
        if last is not None:
            return _RATE.divide(_ONE, last.price) if is_inverted else last.price, last.ref
    raise NoRate(currency, account_currency)


def _pairs(currency: str, account_currency: str) -> list[tuple[str, bool]]:
    """Return the symbols of a pair of currencies, and whether each has the opposite rate."""
    pairs = ((currency, account_currency, False), (account_currency, currency, True))
    return [
        (market_store().canonical(f"{base}{separator}{quote}"), is_inverted)
        for base, quote, is_inverted in pairs
        for separator in ("-", "")
    ]


def logs_of_orders(symbol: str, account_currency: str) -> list[LogKey]:
    """Return the logs that the engine follows for orders and positions in a symbol.

    They are the symbol's own (bars only if it has no trades), and those of the pair that converts its currency.
    """
    store = market_store()
    datasets = [TRADES, QUOTES, CORPORATE_ACTIONS, TRADING_STATUS]
    if head_of(store, TRADES, symbol) == NO_COMMIT:
        datasets.append(BARS)
    logs = [(dataset, symbol) for dataset in datasets]
    currency = _currency_of(store.instrument(symbol))
    if currency != account_currency:
        pairs = [
            (dataset, pair) for pair, _ in _pairs(currency, account_currency) for dataset in (QUOTES, TRADES)
        ]
        logs += [log for log in pairs if head_of(store, *log) != NO_COMMIT]
    return logs


def heads_of(symbol: str, account_currency: str) -> dict[str, str]:
    """Return the newest commits of `logs_of_orders`: tokens such as `17-9f3a2c` by names such as `trades:AAPL`.

    A log without a commit has the token `0-000000`.
    """
    store = market_store()
    return {
        f"{dataset.name}:{each}": head_of(store, dataset, each).token
        for dataset, each in logs_of_orders(symbol, account_currency)
    }
