"""An exchange of ccxt as a source of candles and trades."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from sources.asking import batch_of
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
    trade_pages,
)
from sources.protocol import Estimate, SourceFailed, SourceMarket, SourcePage, SourceRefused, Wanted
from store.datasets import BARS, TRADES
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import SECOND_NS

# A candle that closed less than this ago may still change.
_LATE_MS = 1_000
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


class CcxtExchange:
    """An exchange by ccxt's name for it. See `Source`.

    url: is asked instead of the exchange's hosts. key: has no use, because market data need none.
    """

    def __init__(self, name: str, *, exchange: str, key: str = "", url: str = "") -> None:
        self.name = name
        self._exchange, self._key = exchange, key
        self._traits = TRAITS.get(exchange, Traits())
        self._client = ExchangeClient(name, exchange, url, self._traits.elsewhere)

    @property
    def terms(self) -> str:
        return f"{self.name}'s terms apply. Its data are for your own use: do not pass them on."

    @property
    def tested(self) -> str:
        """How far this exchange was tried; see `Traits`."""
        return self._traits.tested

    @property
    def ids_are_sequential(self) -> bool:
        return self._traits.trades == "id"

    def refusal(self, wanted: Wanted) -> str:
        """See `Source`."""
        if wanted.dataset is BARS:
            try:
                unit = Resolution.of_bars(wanted.resolution or "").unit
            except ValueError as error:
                return f"the timeframe {wanted.resolution} {error}"
            return "months are made from days: fetch 1d" if unit == "M" else ""
        if wanted.dataset is not TRADES:
            return f"{self.name} gives candles and trades, no {wanted.dataset.name}"
        return (
            ""
            if self._traits.trades
            else f"{self.name} gives only its newest trades: fetch candles, such as of 1m"
        )

    def markets(self) -> Iterator[SourceMarket]:
        """See `Source`. Spot markets come first; contracts are loaded only when these were read."""
        for is_contract in (False, True):
            for market in self._client.loaded(is_contract).markets.values():
                if bool(market.get("contract")) == is_contract and market.get("active") is not False:
                    yield _market(market)

    def estimate(self, wanted: Wanted, window: Window) -> Estimate:
        """See `Source`. The number of trades is estimated by the newest ones."""
        client, length_ns = self._client.loaded(":" in wanted.name), window.end_ns - window.start_ns
        if wanted.dataset is BARS:
            rows = length_ns // (client.parse_timeframe(wanted.resolution) * SECOND_NS)
            a_page = _a_page(client, wanted.name)
        else:
            newest = self._trades(client, wanted.name, None, TRADES_A_PAGE, {})
            if len(newest) < 2:
                return Estimate()
            rows = len(newest) * length_ns // max(newest[-1].time_ns - newest[0].time_ns, MILLISECOND_NS)
            a_page = TRADES_A_PAGE
        requests = -(-rows // a_page) + 1
        return Estimate(requests, rows, requests * max(client.rateLimit / 1000, 0.2))

    def pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        """See `Source`."""
        try:
            yield from self._pages(wanted, window)
        except (TypeError, ValueError, KeyError, ArithmeticError) as error:
            raise SourceRefused(
                f"{self.name} gave an answer that cannot be read ({type(error).__name__})"
            ) from error

    def _pages(self, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        if reason := self.refusal(wanted):
            raise SourceRefused(reason)
        client = self._client.loaded(":" in wanted.name)
        if wanted.name not in client.markets:
            raise SourceRefused(f"{self.name} has no market {wanted.name}")
        if wanted.dataset is TRADES:
            by_id = self._traits.trades == "id"
            ask = (self._trades_by_id if by_id else self._trades_by_time)(client, wanted, window)
            unit_ns = 1 if self._exchange == "kraken" else MILLISECOND_NS
            for trades, answered in trade_pages(ask, window, unit_ns=unit_ns, by_id=by_id):
                yield SourcePage(_trade_rows(trades), answered)
        else:
            yield from self._candles(client, wanted, window)

    def _candles(self, client: Any, wanted: Wanted, window: Window) -> Iterator[SourcePage]:
        series, market, traits = self._series(client, wanted), client.markets[wanted.name], self._traits
        if market.get("inverse"):
            # ccxt gives such a question of Binance an end.
            traits = traits._replace(since_alone=False)
        listed_ms = (market.get("created") or 0) if traits.honours_since else 0
        listed_ns = listed_ms // _DAY_MS * _DAY_MS * MILLISECOND_NS
        before = Window(window.start_ns, max(listed_ns, window.start_ns)).within(window)
        if before.start_ns < before.end_ns:
            yield SourcePage(_candle_rows([], wanted), before)
        for candles, answered in candle_pages(series, traits, Window(before.end_ns, window.end_ns)):
            if answered.start_ns < answered.end_ns:
                yield SourcePage(_candle_rows(candles, wanted), answered)

    def _series(self, client: Any, wanted: Wanted) -> CandleSeries:
        """Return the candles of a market. Raises SourceRefused for a length that the exchange does not have."""
        timeframe = wanted.resolution
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

        closed_ms = self._client.now_ms(client) - _LATE_MS - step_ms + 1
        return CandleSeries(ask, step_ms, limit, closed_ms)

    def _trades_by_id(
        self, client: Any, wanted: Wanted, window: Window
    ) -> Callable[[ExchangeTrade | None], list[ExchangeTrade]]:
        def from_id(number: int, limit: int = TRADES_A_PAGE) -> list[ExchangeTrade]:
            rows = self._trades(client, wanted.name, None, limit, {"fromId": number})
            ids = [int(row.trade_id or -1) for row in rows]
            if ids != list(range(number, number + len(ids))):
                raise SourceFailed(f"{self.name} left out trades: the ids after {number} have gaps")
            return rows

        def ask(last: ExchangeTrade | None) -> list[ExchangeTrade]:
            return from_id(
                int(last.trade_id or 0) + 1 if last else self._first_id(client, wanted, window, from_id)
            )

        return ask

    def _first_id(
        self, client: Any, wanted: Wanted, window: Window, from_id: Callable[[int, int], list[ExchangeTrade]]
    ) -> int:
        """Return the id of the first trade of a window: halve the ids between the first trade and the newest."""
        since = -(-window.start_ns // MILLISECOND_NS)
        low, high = 0, 0
        hour = self._trades(client, wanted.name, since, TRADES_A_PAGE, {"until": since + _HOUR_MS - 1})
        if hour:
            # The answer may be the hour's last trades, not its first.
            high = int(hour[0].trade_id or 0)
            if not high or from_id(high - 1, 1)[0].time_ns < window.start_ns:
                return high
        else:
            newest = self._trades(client, wanted.name, None, 1, {})
            high = int(newest[-1].trade_id or 0) + 1 if newest else 0
        while low < high:
            middle = (low + high) // 2
            found = from_id(middle, 1)
            if found and found[0].time_ns < window.start_ns:
                low = middle + 1
            else:
                high = middle
        return low

    def _trades_by_time(
        self, client: Any, wanted: Wanted, window: Window
    ) -> Callable[[ExchangeTrade | None], list[ExchangeTrade]]:
        def ask(last: ExchangeTrade | None) -> list[ExchangeTrade]:
            since_ns = window.start_ns if last is None else last.time_ns
            # Kraken answers with the trades after an instant in nanoseconds; ccxt would send seconds. Deribit's order
            # is not said to be ascending.
            extra = {"kraken": {"since": str(since_ns - 1)}, "deribit": {"sorting": "asc"}}.get(
                self._exchange, {}
            )
            return self._trades(client, wanted.name, since_ns // MILLISECOND_NS, TRADES_A_PAGE, extra)

        return ask

    def _trades(
        self, client: Any, name: str, since_ms: int | None, limit: int, extra: Mapping[str, Any]
    ) -> list[ExchangeTrade]:
        rows = self._client.call(client.fetch_trades, name, since_ms, limit, dict(extra))
        # ccxt orders the trades of an instant by the text of their ids.
        return sorted(
            map(_trade, rows), key=lambda row: (row.time_ns, len(row.trade_id or ""), row.trade_id or "")
        )


def _a_page(client: Any, name: str) -> int:
    """Return the most candles that an answer has."""
    market = client.markets.get(name, {})
    kind = "spot" if not market.get("contract") else "swap"
    features: Any = (client.features or {}).get(kind) or {}
    if kind == "swap":
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
    return SourceMarket(
        name=name,
        symbol=name.replace("/", "-", 1),
        cls="crypto",
        long_name=long_name,
        currency=market.get("quote"),
        tick_size=Decimal(str(price)) if price else None,
    )


def _candle_rows(candles: list[Candle], wanted: Wanted) -> pa.RecordBatch:
    names = ("open", "high", "low", "close", "volume")
    columns: dict[str, list[Any]] = {
        name: [each[number] for each in candles] for number, name in enumerate(names, 1)
    }
    columns["timestamp"] = [int(each[0]) * MILLISECOND_NS for each in candles]
    return batch_of(BARS, {**columns, "resolution": [wanted.resolution] * len(candles)})


def _trade_rows(trades: list[ExchangeTrade]) -> pa.RecordBatch:
    names = ("timestamp", "trade_id", "price", "volume", "buyer_is_maker")
    return batch_of(TRADES, {name: [each[number] for each in trades] for number, name in enumerate(names)})


def _trade(row: Mapping[str, Any]) -> ExchangeTrade:
    """Return a trade of ccxt. Its times are milliseconds; Kraken's finer time is in `info`."""
    time_ns, info, side = int(row["timestamp"]) * MILLISECOND_NS, row.get("info"), row.get("side")
    if isinstance(info, list) and len(info) > 2:
        time_ns = int(Decimal(str(info[2])) * SECOND_NS)
    is_maker = None if side is None else side == "sell"
    return ExchangeTrade(time_ns, row.get("id"), float(row["price"]), float(row["amount"]), is_maker)
