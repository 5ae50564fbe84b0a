"""The newest prices of the symbols that the engine follows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from trading.core.account import AccountState
from trading.core.events import BarPrint, Print, Reference, RowRef
from trading.core.matching import Rate
from trading.core.rows import MarketRow, Quote
from trading.exceptions import NoRate, NoReferencePrice, NotTradable
from trading.market import mark_of, rate_of

# A rate is read again after so long.
_RATE_NS = 1_000_000_000


@dataclass(slots=True)
class _Prices:
    """The newest prices of a symbol, with their rows."""

    bid: Decimal | None = None
    ask: Decimal | None = None
    quote: RowRef | None = None
    last: Decimal | None = None
    print: RowRef | None = None

    def mark(self, *, is_long: bool) -> tuple[Decimal, RowRef] | None:
        """Return the bid for a long and the ask for a short, otherwise the last price."""
        side = self.bid if is_long else self.ask
        if side is not None and self.quote is not None:
            return side, self.quote
        if self.last is not None and self.print is not None:
            return self.last, self.print
        return None


@dataclass(slots=True)
class MarkBook:
    """Prices by symbol, from the rows that the engine took, and from the store for what it has not seen yet."""

    _prices: dict[str, _Prices] = field(default_factory=dict)
    _rates: dict[tuple[str, str], tuple[int, Rate]] = field(default_factory=dict)

    def take(self, row: MarketRow) -> bool:
        """Take a row, and return whether a price changed."""
        prices = self._prices.setdefault(row.ref.symbol, _Prices())
        if isinstance(row, Quote) and row.is_eligible:
            prices.bid, prices.ask, prices.quote = row.bid, row.ask, row.ref
        elif isinstance(row, Print) and row.is_eligible:
            prices.last, prices.print = row.price, row.ref
        elif isinstance(row, BarPrint):
            prices.last, prices.print = row.close, row.ref
        else:
            return False
        return True

    def rate(self, currency: str, base: str, *, now_ns: int) -> Rate | None:
        """Return the rate from a currency to an account's, at most a second old; None if there is none."""
        at_ns, rate = self._rates.get((currency, base), (None, None))
        if at_ns is not None and now_ns - at_ns < _RATE_NS:
            return rate
        try:
            rate = rate_of(currency, base, now_ns=now_ns)
        except NoRate:
            return rate
        self._rates[currency, base] = now_ns, rate
        return rate

    def marks(self, state: AccountState, *, now_ns: int) -> dict[str, Reference]:
        """Return the marks of the symbols that an account holds. A symbol without a price has none."""
        marks = {}
        for position in state.positions.values():
            mark = self._mark(
                position.symbol, position.terms.currency, state.currency, now_ns, position.quantity > 0
            )
            if mark is not None:
                marks[position.symbol] = mark
        return marks

    def _mark(self, symbol: str, currency: str, base: str, now_ns: int, is_long: bool) -> Reference | None:
        prices = self._prices.get(symbol)
        found = None if prices is None else prices.mark(is_long=is_long)
        if prices is None or found is None:
            return self._stored(symbol, base, now_ns, is_long=is_long)
        rate = self.rate(currency, base, now_ns=now_ns)
        if rate is None:
            return None
        price, ref = found
        return Reference(
            symbol=symbol,
            price=price,
            rate=rate[0],
            bid=prices.bid,
            ask=prices.ask,
            last=prices.last,
            at_ns=ref.timestamp_ns,
            refs=tuple(each for each in (prices.quote, prices.print, rate[1]) if each is not None),
        )

    def _stored(self, symbol: str, base: str, now_ns: int, *, is_long: bool) -> Reference | None:
        """Read a mark from the store, and keep its prices."""
        try:
            mark = mark_of(symbol, base, is_long=is_long, now_ns=now_ns)
        except (NoReferencePrice, NoRate, NotTradable):
            return None
        by_dataset = {ref.dataset: ref for ref in mark.refs if ref.symbol == symbol}
        prices = _Prices(mark.bid, mark.ask, by_dataset.get("quotes"), mark.last, by_dataset.get("trades"))
        self._prices[symbol] = prices
        return mark

    def forget(self, symbols: Iterable[str]) -> None:
        """Forget the prices of symbols whose rows are passed over from now on."""
        for symbol in symbols:
            self._prices.pop(symbol, None)
