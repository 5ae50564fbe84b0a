"""An exchange of ccxt as a source of candles and trades."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from sources.ccxt_live import live_trades
from sources.exchange_client import ExchangeClient
from sources.exchange_pages import (
    MILLISECOND_NS,
    TRADES_A_PAGE,
    TRAITS,
    Candle,
    CandleSeries,
    ExchangeTrade,
    Traits,
    candle_pages,
    candle_rows,
    trade_of,
    trade_pages,
)
from sources.protocol import (
    Estimate,
    LiveNews,
    Source,
    SourceFailed,
    SourceMarket,
    SourcePage,
    SourceRefused,
    Wanted,
)
from store.datasets import BARS, TRADES
from store.protocol import Window
from store.timestamps import SECOND_NS

# A candle that closed less than this ago may still change.
_LATE_MS = 1_000
_DAY_MS = 86_400_000


class CcxtExchange(Source):
    """An exchange by ccxt's name for it. See `Source`.

    url: is asked instead of the exchange's hosts. key: has no use, because market data need none.
    """

    def __init__(self, name: str, *, exchange: str, key: str = "", url: str = "") -> None:
        self.name, self._exchange, self._key = name, exchange, key
        # Its clock may be five seconds off, and pages of trades leave out the newest five seconds.
        self.settled_seconds = 11.0
        self._traits = TRAITS.get(exchange, Traits())
        self._client = ExchangeClient(name, exchange, url, self._traits.elsewhere)
        self.terms = f"{name}'s terms apply. Its data are for your own use: do not pass them on."
        self.tested = self._traits.tested
        self.ids_are_sequential = self._traits.trades == "id"
        # Live trades are of use only if the exchange can give them again.
        self.gives_live = bool(self._traits.trades)

    def prepare_live(self) -> None:
        """See `Source`. Most feeds are of spot markets."""
        self._client.load_live()
        self._client.loaded(is_contract=False)

    def live(self, wanteds: Sequence[Wanted]) -> AsyncGenerator[LiveNews, None]:
        return live_trades(self._client, wanteds)

    def refusal(self, wanted: Wanted) -> str:
        if wanted.dataset is BARS:
            return "months are made from days: fetch 1d" if (wanted.resolution or "")[-1:] == "M" else ""
        if wanted.dataset is not TRADES:
            return f"{self.name} gives candles and trades, no {wanted.dataset.name}"
        if self._traits.trades:
            return ""
        return f"{self.name} gives only its newest trades: fetch candles, such as of 1m"

    def markets(self) -> Iterator[SourceMarket]:
        """See `Source`. Spot markets come first; contracts are loaded only when these were read."""
        for is_contract in (False, True):
            for market in self._client.loaded(is_contract).markets.values():
                if bool(market.get("contract")) == is_contract and market.get("active") is not False:
                    yield _market(market)

    def estimate(self, wanted: Wanted, windows: Sequence[Window]) -> Estimate:
        """See `Source`. The number of trades is estimated by the newest ones."""
        client = self._client.loaded(":" in wanted.name)
        if wanted.dataset is BARS:
            row_ns, a_page = (
                client.parse_timeframe(wanted.resolution) * SECOND_NS,
                _a_page(client, wanted.name),
            )
        else:
            newest, a_page = self._trades(client, wanted.name, None, TRADES_A_PAGE, {}), TRADES_A_PAGE
            if len(newest) < 2:
                return Estimate()
            row_ns = max((newest[-1].time_ns - newest[0].time_ns) / len(newest), 1.0)
        rows = [int((each.end_ns - each.start_ns) / row_ns) for each in windows]
        requests = sum(-(-each // a_page) + 1 for each in rows)
        return Estimate(requests, sum(rows), requests * max(client.rateLimit / 1000, 0.2))

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        client = self._client.loaded(":" in wanted.name)
        if wanted.name not in client.markets:
            raise SourceRefused(f"{self.name} has no market {wanted.name}")
        if wanted.dataset is TRADES:
            asking = self._after_id if self.ids_are_sequential else self._after_time
            ask = partial(asking, client, wanted, window)
            yield from trade_pages(ask, window, by_id=self.ids_are_sequential)
            return
        # Before the listing there is nothing.
        listed_ms = client.markets[wanted.name].get("created") or 0 if self._traits.honours_since else 0
        listed_ns = listed_ms // _DAY_MS * _DAY_MS * MILLISECOND_NS
        before = Window(window.start_ns, max(listed_ns, window.start_ns)).within(window)
        if before.start_ns < before.end_ns:
            yield SourcePage(candle_rows([], ""), before)
        series = self._series(client, wanted)
        for page in candle_pages(series, self._traits, Window(before.end_ns, window.end_ns)):
            if page.answered.start_ns < page.answered.end_ns:
                yield page

    def _series(self, client: Any, wanted: Wanted) -> CandleSeries:
        """Return the candles of a market. Raises SourceRefused for a length that the exchange does not have."""
        timeframe = wanted.resolution or ""
        if timeframe not in client.timeframes:
            known = ", ".join(sorted(client.timeframes, key=client.parse_timeframe))
            raise SourceRefused(f"{self.name} has no candles of {timeframe}; it has {known}")
        step_ms, limit = client.parse_timeframe(timeframe) * 1000, _a_page(client, wanted.name)

        def ask(since: int, until: int | None) -> list[Candle]:
            end = {} if until is None else {"until": until}
            rows: list[Candle] = self._client.call(
                client.fetch_ohlcv, wanted.name, timeframe, since, limit, end
            )
            if step_ms >= _DAY_MS and any(row[0] % _DAY_MS for row in rows):
                raise SourceRefused(f"{self.name}'s days do not begin at midnight UTC: fetch hours")
            return sorted(rows, key=lambda row: row[0])

        return CandleSeries(
            ask, timeframe, step_ms, limit, self._client.now_ms(client) - _LATE_MS - step_ms + 1
        )

    def _after_id(
        self, client: Any, wanted: Wanted, window: Window, last: ExchangeTrade | None
    ) -> list[ExchangeTrade]:
        if last is not None:
            return self._from_id(client, wanted.name, int(last.trade_id or 0) + 1)
        newest = self._trades(client, wanted.name, None, 1, {})
        low, high = 0, int(newest[-1].trade_id or 0) + 1 if newest else 0
        while low < high:
            # The exchange does not say which id is the first of a window.
            middle = (low + high) // 2
            found = self._from_id(client, wanted.name, middle, 1)
            if found and found[0].time_ns < window.start_ns:
                low = middle + 1
            else:
                high = middle
        return self._from_id(client, wanted.name, low)

    def _from_id(
        self, client: Any, name: str, number: int, limit: int = TRADES_A_PAGE
    ) -> list[ExchangeTrade]:
        rows = self._trades(client, name, None, limit, {"fromId": number})
        if [int(row.trade_id or -1) for row in rows] != list(range(number, number + len(rows))):
            raise SourceFailed(f"{self.name} left out trades: the ids after {number} have gaps")
        return rows

    def _after_time(
        self, client: Any, wanted: Wanted, window: Window, last: ExchangeTrade | None
    ) -> list[ExchangeTrade]:
        since_ns = window.start_ns if last is None else last.time_ns
        # Kraken answers with the trades after an instant in nanoseconds; ccxt would send seconds. Deribit's order
        # is not said to be ascending.
        extra = {"kraken": {"since": str(since_ns - 1)}, "deribit": {"sorting": "asc"}}.get(
            self._exchange, {}
        )
        return self._trades(client, wanted.name, since_ns // MILLISECOND_NS, TRADES_A_PAGE, extra)

    def _trades(
        self, client: Any, name: str, since_ms: int | None, limit: int, extra: Mapping[str, Any]
    ) -> list[ExchangeTrade]:
        rows = map(trade_of, self._client.call(client.fetch_trades, name, since_ms, limit, dict(extra)))
        # ccxt orders the trades of an instant by the text of their ids.
        return sorted(rows, key=lambda row: (row.time_ns, len(row.trade_id or ""), row.trade_id or ""))


def _a_page(client: Any, name: str) -> int:
    """Return the most candles that an answer has."""
    market = client.markets.get(name, {})
    features: Any = (client.features or {}).get("swap" if market.get("contract") else "spot") or {}
    if market.get("contract"):
        features = features.get("inverse" if market.get("inverse") else "linear") or features
    return int((features.get("fetchOHLCV") or {}).get("limit") or 100)


def _market(market: Mapping[str, Any]) -> SourceMarket:
    """Return a market of ccxt. Amounts of contracts count contracts, which its long name says."""
    name, size = str(market["symbol"]), market.get("contractSize")
    long_name = f"{market.get('base')} in {market.get('quote')}"
    if market.get("contract"):
        long_name += f", {market.get('type')} settled in {market.get('settle')}"
        long_name += f"; volume in contracts of {size:g} {market.get('base')}" if size and size != 1 else ""
    price = (market.get("precision") or {}).get("price")
    tick_size = Decimal(str(price)) if price else None
    return SourceMarket(name, name.replace("/", "-", 1), "crypto", long_name, market.get("quote"), tick_size)
