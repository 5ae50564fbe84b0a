"""The unmodified alpaca-py against a running server: each public method of its historical clients, by their base URL alone."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data import historical, requests
from alpaca.data.enums import MarketType, MostActivesBy
from alpaca.data.historical import corporate_actions, news, screener
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from marketdata_client import Client
from ratelimit.keys.api_keys import prefix_of
from tests.front.front_server import eventually
from tests.system.clients import connected
from tests.system.installation import UNLIMITED, WEB_ONLY, Installation, installed

pytestmark = pytest.mark.xdist_group("alpaca-py")

STOCKS = ("AAA", "BBB", "CCC")
MINUTES = 17_000
# Twice as many as all other calls of this module.
REPEATED = 100
START = datetime(2025, 1, 6, tzinfo=UTC)
NOW = datetime.now(UTC).replace(microsecond=0)
PRINTED = NOW - timedelta(minutes=1)
EXPIRY = NOW + timedelta(days=30)
CALL, PUT = (f"AAA{EXPIRY:%y%m%d}{right}00100000" for right in "CP")
PAIR = "BTC/USD"
COLUMNS = ["timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap"]
KINDS: dict[str, Callable[..., Any]] = {
    "stock": historical.StockHistoricalDataClient,
    "crypto": historical.CryptoHistoricalDataClient,
    "option": historical.OptionHistoricalDataClient,
    "actions": corporate_actions.CorporateActionsClient,
    "news": news.NewsClient,
    "screener": screener.ScreenerClient,
}


def bars_csv(first: float) -> bytes:
    """Minutes in a row, each with all values of a bar."""
    opens = first + np.arange(MINUTES) % 97 / 8
    table = pd.DataFrame(
        {
            "timestamp": [f"{START + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(MINUTES)],
            "open": opens,
            "high": opens + 1,
            "low": opens - 0.3,
            "close": opens + 0.1,
            "volume": np.arange(MINUTES) + 1,
            "vwap": opens + 0.7,
            "trade_count": np.arange(MINUTES) % 5 + 1,
        }
    )
    text: str = table.to_csv(index=False)
    return text.encode()


def rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of every other dataset, by the name of their ingest."""
    now = f"{PRINTED:%Y-%m-%dT%H:%M:%SZ}"
    trade = {
        "timestamp": now,
        "price": 100.5,
        "volume": 3,
        "trade_id": "7",
        "exchange": "XNAS",
        "conditions": ["@"],
    }
    quote = {
        "timestamp": now,
        "bid": 5.0,
        "bid_size": 2,
        "ask": 5.5,
        "ask_size": 4,
        "exchange": "XNYS",
    }
    return {
        "trades": [trade | {"symbol": symbol} for symbol in ("AAA", "BTC-USD")],
        "quotes": [quote | {"symbol": symbol, "bid": 100.0, "ask": 101.0} for symbol in ("AAA", "BTC-USD")],
        "option-quotes": [quote | {"symbol": symbol} for symbol in (CALL, PUT)],
        "corporate-actions": [
            {"timestamp": "2025-03-03", "symbol": "AAA", "kind": "dividend", "amount": 0.5},
            {"timestamp": "2025-03-03", "symbol": "AAA", "kind": "split", "ratio": 2},
        ],
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("alpaca"), **WEB_ONLY, WORKERS="1") as installation:
        with connected(installation.port, installation.key) as client:

            def send(method: str, path: str, body: bytes, kind: str = "application/json") -> None:
                reply = client.call(method, path, body, {"Content-Type": kind})
                assert reply.status == 200, reply.body

            terms = {"class": "crypto", "currency": "USD", "volume_kind": "fractional"}
            send("PUT", "/api/v1/instruments/BTC-USD", orjson.dumps(terms))
            for number, symbol in enumerate(STOCKS):
                path = f"/api/v1/bars/ingest?symbol={symbol}&resolution=1m"
                send("POST", path, bars_csv(100.0 * (number + 1)), "text/csv")
            for name, found in rows().items():
                for symbol in sorted({row["symbol"] for row in found}):
                    body = {name.replace("-", "_"): [row for row in found if row["symbol"] == symbol]}
                    send("POST", f"/api/v1/{name}/ingest", orjson.dumps(body))
        yield installation


class Clients:
    """alpaca-py's clients of a key, by their names in `KINDS`. answers: the status and the header `X-Cache` of each."""

    def __init__(self, server: Installation, key: str, **options: Any) -> None:
        prefix = prefix_of(key)
        pair = {"api_key": prefix, "secret_key": key.removeprefix(f"md_{prefix}_")}
        url = f"http://127.0.0.1:{server.port}/api"
        self.answers: list[tuple[int, str | None]] = []
        self.by_name: dict[str, Any] = {
            name: kind(url_override=url, **pair, **options) for name, kind in KINDS.items()
        }
        for client in self.by_name.values():
            client._session.hooks["response"].append(self._noted)

    def _noted(self, response: Any, **_: Any) -> None:
        self.answers.append((response.status_code, response.headers.get("X-Cache")))


@pytest.fixture(scope="module")
def clients(server: Installation) -> Clients:
    return Clients(server, server.new_key(rate=UNLIMITED))


def of(request: Callable[..., Any], symbols: Any, **terms: Any) -> Any:
    return request(symbol_or_symbols=symbols, **terms)


TODAY: dict[str, Any] = {"start": NOW - timedelta(hours=1)}
DAYS: dict[str, Any] = {"timeframe": TimeFrame.Day, "start": PRINTED.replace(hour=0, minute=0, second=0)}
HOURS: dict[str, Any] = {"timeframe": TimeFrame(4, TimeFrameUnit.Hour), "start": START, "limit": 3}
CHAIN: dict[str, Any] = {
    "type": "call",
    "strike_price_lte": 100,
    "expiration_date_gte": NOW.date(),
    "root_symbol": "AAA",
}
# A call of each method: its request, and what of its answer is looked at, with the value. None: it is refused, by 404.
CALLS: dict[tuple[str, str], tuple[Any, Callable[[Any], Any] | None, Any]] = {
    ("stock", "get_stock_bars"): (of(requests.StockBarsRequest, "AAA", **HOURS), lambda bars: [bar.volume for bar in bars["AAA"]], [28920, 86520, 144120]),
    ("stock", "get_stock_trades"): (of(requests.StockTradesRequest, "AAA", **TODAY), lambda trades: [(each.id, each.exchange, each.price) for each in trades["AAA"]], [(7, "Q", 100.5)]),
    ("stock", "get_stock_quotes"): (of(requests.StockQuotesRequest, "AAA", **TODAY), lambda quotes: [(each.bid_price, each.ask_size) for each in quotes["AAA"]], [(100.0, 4)]),
    ("stock", "get_stock_latest_bar"): (of(requests.StockLatestBarRequest, "AAA"), lambda found: found["AAA"].close, 100.5),
    ("stock", "get_stock_latest_trade"): (of(requests.StockLatestTradeRequest, [*STOCKS]), lambda found: [*found], ["AAA"]),
    ("stock", "get_stock_latest_quote"): (of(requests.StockLatestQuoteRequest, "AAA"), lambda found: found["AAA"].bid_exchange, "N"),
    ("stock", "get_stock_snapshot"): (of(requests.StockSnapshotRequest, [*STOCKS, "NOPE"]), lambda found: {symbol: each.daily_bar is not None for symbol, each in found.items()}, dict.fromkeys(STOCKS, True)),
    ("crypto", "get_crypto_bars"): (of(requests.CryptoBarsRequest, PAIR, **DAYS), lambda bars: [bar.volume for bar in bars[PAIR]], [3]),
    ("crypto", "get_crypto_trades"): (of(requests.CryptoTradesRequest, PAIR, **TODAY), lambda trades: trades[PAIR][0].size, 3),
    ("crypto", "get_crypto_quotes"): (of(requests.CryptoQuoteRequest, PAIR, **TODAY), lambda quotes: quotes[PAIR][0].ask_price, 101.0),
    ("crypto", "get_crypto_latest_bar"): (of(requests.CryptoLatestBarRequest, PAIR), lambda found: found[PAIR].volume, 3),
    ("crypto", "get_crypto_latest_trade"): (of(requests.CryptoLatestTradeRequest, PAIR), lambda found: found[PAIR].price, 100.5),
    ("crypto", "get_crypto_latest_quote"): (of(requests.CryptoLatestQuoteRequest, PAIR), lambda found: found[PAIR].bid_price, 100.0),
    ("crypto", "get_crypto_snapshot"): (of(requests.CryptoSnapshotRequest, PAIR), lambda found: found[PAIR].minute_bar.close, 100.5),
    ("crypto", "get_crypto_latest_orderbook"): (of(requests.CryptoLatestOrderbookRequest, PAIR), None, None),
    ("option", "get_option_bars"): (of(requests.OptionBarsRequest, CALL, timeframe=TimeFrame.Day, **TODAY), lambda bars: bars.data, {}),
    ("option", "get_option_trades"): (of(requests.OptionTradesRequest, CALL, **TODAY), lambda trades: trades.data, {}),
    ("option", "get_option_latest_trade"): (of(requests.OptionLatestTradeRequest, CALL), lambda found: found, {}),
    ("option", "get_option_latest_quote"): (of(requests.OptionLatestQuoteRequest, CALL), lambda found: found[CALL].ask_price, 5.5),
    ("option", "get_option_exchange_codes"): (None, lambda found: found["N"], "XNYS"),
    ("option", "get_option_snapshot"): (of(requests.OptionSnapshotRequest, [CALL, PUT]), lambda found: [each.greeks is not None for each in found.values()], [True, True]),
    ("option", "get_option_chain"): (requests.OptionChainRequest(underlying_symbol="AAA", **CHAIN), lambda found: [(name, 0 < each.greeks.delta < 1, each.latest_quote.bid_size) for name, each in found.items()], [(CALL, True, 2)]),
    ("actions", "get_corporate_actions"): (requests.CorporateActionsRequest(symbols=["AAA"], start=START.date()), lambda found: {name: len(each) for name, each in found.data.items()}, {"cash_dividends": 1, "forward_splits": 1}),
    ("news", "get_news"): (requests.NewsRequest(), None, None),
    ("screener", "get_most_actives"): (requests.MostActivesRequest(by=MostActivesBy.VOLUME), None, None),
    ("screener", "get_market_movers"): (requests.MarketMoversRequest(market_type=MarketType.STOCKS), None, None),
}  # fmt: skip


def test_every_public_method_is_called():
    public = {(name, each) for name, kind in KINDS.items() for each in vars(kind) if not each.startswith("_")}
    assert set(CALLS) == public


@pytest.mark.parametrize(("client", "method"), CALLS, ids=lambda name: name)
def test_a_method_answers_or_is_refused_without_a_crash(clients: Clients, client: str, method: str):
    request, seen, expected = CALLS[client, method]
    call, arguments = getattr(clients.by_name[client], method), () if request is None else (request,)
    if seen is not None:
        assert seen(call(*arguments)) == expected
        return
    with pytest.raises(APIError) as refused:
        call(*arguments)
    assert (refused.value.status_code, refused.value.code) == (404, 40_400_000)
    assert "there is nothing at /api/v1beta" in refused.value.message


# `df` calls what pandas 3.1 renames.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_frames_of_50_000_bars_over_pages_are_ours(server: Installation, clients: Clients):
    end = START + timedelta(minutes=MINUTES)
    request = of(requests.StockBarsRequest, [*STOCKS], timeframe=TimeFrame.Minute, start=START, end=end)
    before = len(clients.answers)
    theirs = clients.by_name["stock"].get_stock_bars(request).df
    assert len(theirs) == len(STOCKS) * MINUTES > 50_000
    assert len(clients.answers) - before == 6
    with Client(f"http://127.0.0.1:{server.port}", server.key) as client:
        for symbol in STOCKS:
            ours = client.bars(symbol, "1m", start=START.isoformat(), end=end.isoformat()).pandas()[COLUMNS]
            found = theirs.loc[symbol].reset_index()[COLUMNS].astype(ours.dtypes)
            pd.testing.assert_frame_equal(found, ours)


def test_a_limit_is_recovered_from(server: Installation):
    clients = Clients(server, server.new_key(rate=1))
    request = of(requests.StockTradesRequest, "AAA", **TODAY)
    while not any(status == 429 for status, _ in clients.answers):
        assert len(clients.by_name["stock"].get_stock_trades(request)["AAA"]) == 1
    assert clients.answers[-1][0] == 200


@pytest.mark.parametrize("is_basic", [False, True])
def test_a_held_answer_comes_from_the_front(server: Installation, is_basic: bool):
    clients = Clients(server, server.new_key(rate=UNLIMITED), use_basic_auth=is_basic)
    request = of(requests.StockBarsRequest, "BBB", timeframe=TimeFrame.Hour, start=START, end=START)
    with connected(server.port, None) as client:
        before = event_loop_answers(client)
        for _ in range(REPEATED):
            clients.by_name["stock"].get_stock_bars(request)
        assert {cached for _, cached in clients.answers[1:]} == {"hit"}
        # Under load some are left to Django.
        assert eventually(lambda: event_loop_answers(client) > before)


def event_loop_answers(client: Any) -> float:
    """How many there were, up to the processes' last publishing: some may be of calls before."""
    found = re.search(
        rb"^marketdata_event_loop_answers_total (\S+)", client.get("/metrics").body, re.MULTILINE
    )
    assert found
    return float(found[1])
