"""The market by the rows that the engine takes as they come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from store.datasets import BARS
from trading.core.events import BarPrint, Print, RowRef
from trading.core.matching import Rate
from trading.core.rows import MarketRow, Quote, RowCorrection, StatusChange
from trading.market.hours import SymbolHalts
from trading.market.market import Market
from trading.market.prices import RowPrice, Split

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


@dataclass(frozen=True, slots=True)
class FollowedMarket(Market):
    """A market whose newest prices are those of the rows that were taken.

    When a symbol is asked for first they are those of the store, up to `place_of`, which says how far the engine took a
    log; so an engine that begins again goes on with the same prices. known_splits: by symbol, in order; whoever takes
    corporate actions keeps them.
    """

    known_splits: dict[str, Sequence[Split]] = field(default_factory=dict)
    _prices: dict[str, NewestPrices] = field(default_factory=dict)
    # By symbol: from when on they were read, and the halts.
    _halts: dict[str, tuple[int, SymbolHalts | None]] = field(default_factory=dict)
    _rates: dict[tuple[str, str], tuple[int, Rate | None]] = field(default_factory=dict)
    # Of all accounts that a row fills, or that a dividend is paid to, the rate is of one instant.
    _past_rates: dict[tuple[str, str, int], Rate | None] = field(default_factory=dict)

    def take(self, row: MarketRow) -> bool:
        """Take a row, and return whether it may fill orders or pay a dividend. If it corrects a price, the prices are read again.

        That depends on the row alone: an engine that begins again does not know which row is the newest.
        """
        prices = self._prices.get(row.ref.symbol)
        self._past_rates.clear()
        if isinstance(row.before if isinstance(row, RowCorrection) else row, StatusChange):
            self._halts.pop(row.ref.symbol, None)
        if isinstance(row, RowCorrection):
            if prices is not None and prices.has(row.before.ref):
                self.forget([row.ref.symbol])
            return False
        if not isinstance(row, Quote | Print | BarPrint) or not row.is_eligible:
            return False
        if prices is not None:
            prices.take(row)
        return True

    def newest(self, symbol: str, now_ns: int) -> tuple[Quote | None, RowPrice | None]:
        prices = self._prices.get(symbol)
        if prices is None:
            prices = self._prices[symbol] = NewestPrices(*self.stored_newest(symbol, now_ns))
        return prices.quote, prices.last

    def splits(self, symbol: str, until_ns: int) -> Sequence[Split]:
        return self.known_splits.get(symbol, ())

    def halts(self, symbol: str, from_ns: int) -> SymbolHalts | None:
        kept = self._halts.get(symbol)
        if kept is None or from_ns < kept[0]:
            kept = self._halts[symbol] = from_ns, Market.halts(self, symbol, from_ns)
        return kept[1]

    def rate(self, currency: str, account_currency: str, *, now_ns: int) -> Rate | None:
        """Return the rate at the last whole second; see `Market.rate`."""
        second_ns = now_ns // _SECOND_NS * _SECOND_NS
        at_ns, rate = self._rates.get((currency, account_currency), (None, None))
        if at_ns != second_ns:
            rate = Market.rate(self, currency, account_currency, now_ns=second_ns)
            self._rates[currency, account_currency] = second_ns, rate
        return rate

    def past_rate(self, currency: str, account_currency: str, *, at_ns: int) -> Rate | None:
        """See `Market.past_rate`. It is kept until the next row, which may be an earlier one of the pair."""
        key = currency, account_currency, at_ns
        if key not in self._past_rates:
            self._past_rates[key] = Market.past_rate(self, currency, account_currency, at_ns=at_ns)
        return self._past_rates[key]

    def last_bar(self, symbol: str, now_ns: int) -> RowPrice | None:
        """Return the last price of a symbol if it is the close of a stored bar."""
        last = self.newest(symbol, now_ns)[1]
        return last if last is not None and last.ref.dataset == BARS.name else None

    def ended_ns(self, symbol: str) -> int | None:
        """Return when the prices of a symbol ended for good; None if there may be more."""
        return None

    def forget(self, symbols: Iterable[str]) -> None:
        """Forget the prices of symbols whose rows are passed over from now on."""
        self._past_rates.clear()
        for symbol in symbols:
            self._prices.pop(symbol, None)
            self._halts.pop(symbol, None)
