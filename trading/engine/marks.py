"""The newest prices of the symbols that the engine follows."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from store.datasets import BARS
from trading.core.account import AccountState
from trading.core.events import BarPrint, Print, Reference, RowRef
from trading.core.matching import Rate
from trading.core.positions import Position
from trading.core.rows import MarketRow, Quote, RowCorrection
from trading.core.terms import Side
from trading.exceptions import NoRate, NoReferencePrice
from trading.market.market import Market, Split, per_unit_now, reference_from
from trading.market.newest_rows import RowPrice

_SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class NewestPrices:
    """The newest quote and the last price of a symbol."""

    quote: Quote | None
    last: RowPrice | None

    def take(self, row: Quote | Print | BarPrint) -> None:
        """Take a row unless it is older."""
        if isinstance(row, Quote):
            if self.quote is None or row.ref.timestamp_ns >= self.quote.ref.timestamp_ns:
                self.quote = row
            return
        price, at_ns = (
            (row.price, row.ref.timestamp_ns) if isinstance(row, Print) else (row.close, row.end_ns)
        )
        if self.last is None or at_ns >= self.last.at_ns:
            self.last = RowPrice(row.ref, price, at_ns)

    def has(self, ref: RowRef) -> bool:
        """Return whether a row is one of them."""
        return ref in [each.ref for each in (self.quote, self.last) if each is not None]


@dataclass(slots=True)
class MarkBook:
    """Prices by symbol: those of the store when they are asked for first, then those of the rows that the engine takes.

    market: its `place_of` says how far the engine took a log; None for one that it does not follow. So an engine that
    begins again goes on with the same marks. splits_of: returns the splits of a symbol that are known.
    """

    market: Market
    splits_of: Callable[[str], Sequence[Split]] = lambda _: ()
    _prices: dict[str, NewestPrices] = field(default_factory=dict)
    _rates: dict[tuple[str, str], tuple[int, Rate | None]] = field(default_factory=dict)

    def take(self, row: MarketRow) -> bool:
        """Take a row, and return whether accounts are to be valued. If it corrects a price, the prices are read again.

        That depends on the row alone: an engine that begins again does not know which row is the newest.
        """
        prices = self._prices.get(row.ref.symbol)
        if isinstance(row, RowCorrection):
            if prices is not None and prices.has(row.before.ref):
                self.forget([row.ref.symbol])
            return False
        if not isinstance(row, Quote | Print | BarPrint) or not row.is_eligible:
            return False
        if prices is not None:
            prices.take(row)
        return True

    def rate(self, currency: str, base: str, *, now_ns: int) -> Rate | None:
        """Return the rate from a currency to an account's at the last whole second; None if there is none."""
        second_ns = now_ns // _SECOND_NS * _SECOND_NS
        at_ns, rate = self._rates.get((currency, base), (None, None))
        if at_ns != second_ns:
            rate = None
            with suppress(NoRate):
                rate = self.market.rate(currency, base, now_ns=second_ns)
            self._rates[currency, base] = second_ns, rate
        return rate

    def marks(self, state: AccountState, *, now_ns: int) -> dict[str, Reference]:
        """Return the marks of the symbols that an account holds. A symbol without a price or a rate has none."""
        marks = {
            position.symbol: self.mark(position, state.currency, now_ns=now_ns)
            for position in state.positions.values()
        }
        return {symbol: mark for symbol, mark in marks.items() if mark is not None}

    def reference(self, symbol: str, account_currency: str, *, side: Side, now_ns: int) -> Reference:
        """Return what the market looks like, by the rows that were taken. Raises as `Market.reference`."""
        currency = self.market.currency(symbol)
        rate = self.rate(currency, account_currency, now_ns=now_ns)
        if rate is None:
            raise NoRate(currency, account_currency)
        return reference_from(symbol, *self._newest(symbol, now_ns), side=side, rate=rate)

    def mark(self, position: Position, account_currency: str, *, now_ns: int) -> Reference | None:
        """Return what closing a position would get, for an account in a currency; None without a price or a rate."""
        rate = self.rate(position.terms.currency, account_currency, now_ns=now_ns)
        if rate is None:
            return None
        prices = self._newest(position.symbol, now_ns)
        side = Side.SELL if position.quantity > 0 else Side.BUY
        with suppress(NoReferencePrice):
            return reference_from(position.symbol, *prices, side=side, rate=rate)
        return None

    def last_bar(self, symbol: str, now_ns: int) -> RowPrice | None:
        """Return the last price of a symbol if it is the close of a stored bar."""
        last = self._prices_of(symbol, now_ns).last
        return last if last is not None and last.ref.dataset == BARS.name else None

    def _newest(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        prices = self._prices_of(symbol, now_ns)
        return per_unit_now(prices.quote, prices.last, self.splits_of(symbol), now_ns=now_ns)

    def _prices_of(self, symbol: str, now_ns: int) -> NewestPrices:
        prices = self._prices.get(symbol)
        if prices is None:
            prices = self._prices[symbol] = NewestPrices(*self.market.newest(symbol, now_ns))
        return prices

    def forget(self, symbols: Iterable[str]) -> None:
        """Forget the prices of symbols whose rows are passed over from now on."""
        for symbol in symbols:
            self._prices.pop(symbol, None)
