"""The commits of a log, over plain HTTP."""

import gzip
from typing import Any

import orjson
import pytest

from stats.live import views
from store.datasets import TRADES
from store.market_store import MarketStore
from store.timestamps import parse_timestamp
from tests.api_client import Api, make_key, problem
from tests.store.builders import SYMBOL, amendment, batch, cancel, trade
from trades.stores import market_store

TREE = "/api/v1/market-data"
COMMITS = f"{TREE}/equities/{SYMBOL}/trades/commits"
CHANNEL = f"trades:{SYMBOL}"


@pytest.fixture
def store(default_store) -> MarketStore:
    return market_store()


def lines(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in response.content.splitlines()]


def test_each_line_is_a_commit(store: MarketStore, api: Api):
    store.append(batch(*(trade(n, trade_id=str(n)) for n in range(700))))
    store.correct(amendment(cancel(1, trade_id="1"), cancel(2, trade_id="2")))
    store.append(batch(complete_until=trade(10_000)["timestamp"]))
    log = store.log(TRADES, SYMBOL)
    found = lines(api.get(COMMITS))
    assert [(each["rows"], each["corrections"]) for each in found] == [(700, 0), (0, 2), (0, 0)]
    assert [each["seq"] for each in found] == [log.at(number).commit.token for number in (1, 2, 3)]
    assert [parse_timestamp(each["committed_at"]) for each in found] == [
        log.committed_at(number) for number in (1, 2, 3)
    ]
    for number, each in enumerate(found):
        assert lines(api.get(COMMITS, {"after": each["seq"]})) == found[number + 1 :]
    assert lines(api.get(COMMITS, {"after": "0"})) == found
    # A token inside of a commit, as the live feed has them, stands for the commit.
    assert lines(api.get(COMMITS, {"after": f"{found[0]['seq']}.3"})) == found[1:]


def test_the_token_of_a_page_is_taken(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    token = api.get(f"{TREE}/equities/{SYMBOL}/trades", {"last": 1})["X-Commit"]
    assert token.startswith("trades=")
    assert lines(api.get(COMMITS, {"after": token})) == []
    store.append(batch(trade(1)))
    assert len(lines(api.get(COMMITS, {"after": f"{token}, bars=1-abcdef"}))) == 1


def test_an_answer_has_so_many_commits(store: MarketStore, api: Api, monkeypatch):
    monkeypatch.setattr(views, "MOST_COMMITS", 3)
    for number in range(7):
        store.append(batch(trade(number)))
    found: list[dict[str, Any]] = []
    sizes = []
    while new := lines(api.get(COMMITS, {"after": found[-1]["seq"]} if found else {})):
        sizes.append(len(new))
        found += new
    assert sizes == [3, 3, 1]
    assert [each["seq"].partition("-")[0] for each in found] == list("1234567")


@pytest.mark.parametrize("after", ["1-ffffff", "9-ffffff.3"])
def test_the_token_of_a_restored_log_is_answered_resync(store: MarketStore, api: Api, after: str):
    store.append(batch(trade(0)))
    assert problem(api.get(COMMITS, {"after": after})) == (409, "resync")


def test_quotes_and_trading_status_have_commits_of_their_own(store: MarketStore, api: Api):
    quote = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "BTC-USD", "bid": 1, "ask": 2}
    status = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "BTC-USD", "status": "halted"}
    api.call("PUT", "/api/v1/instruments/BTC-USD", b'{"symbol":"BTC-USD","class":"crypto"}')
    api.ingest(orjson.dumps({"quotes": [quote]}), path="/api/v1/quotes/ingest")
    api.ingest(orjson.dumps({"trading_status": [status]}), path="/api/v1/trading-status/ingest")
    (quotes,) = lines(api.get(f"{TREE}/crypto/BTC-USD/quotes/commits"))
    (statuses,) = lines(api.get(f"{TREE}/crypto/btc-usd/trading-status/commits"))
    assert (quotes["rows"], statuses["rows"]) == (1, 1)
    assert lines(api.get(f"{TREE}/crypto/BTC-USD/trades/commits")) == []


def test_quotes_of_options_are_of_their_own_dataset(store: MarketStore, api: Api):
    option = "AAPL250117C00190000"
    quote = {"timestamp": "2025-01-02T14:30:00Z", "symbol": option, "bid": 1, "ask": 2}
    api.ingest(orjson.dumps({"option_quotes": [quote]}), path="/api/v1/option-quotes/ingest")
    path = f"{TREE}/options/{option}/quotes/commits"
    (commit,) = lines(api.get(path))
    assert lines(api.get(path, {"after": f"option_quotes={commit['seq']}"})) == []


@pytest.mark.parametrize(
    ("path", "query", "refusal"),
    [
        (COMMITS, {"after": "17"}, (400, "invalid_resume_token")),
        (COMMITS, {"after": "bars=1-abcdef"}, (400, "invalid_resume_token")),
        (COMMITS, {"after": ""}, (400, "empty_parameter")),
        (COMMITS, {"limit": "5"}, (400, "unknown_parameter")),
        (COMMITS, {"format": "csv"}, (406, "not_acceptable")),
        (f"{TREE}/equities/NOBODY/trades/commits", {}, (404, "unknown_symbol")),
        (f"{TREE}/equities/A$B/trades/commits", {}, (422, "invalid_symbol")),
        (f"{TREE}/crypto/{SYMBOL}/trades/commits", {}, (404, "wrong_class")),
        (f"{TREE}/equities/{SYMBOL}/ohlcv/commits", {}, (404, "not_found")),
    ],
)
def test_bad_calls_are_refused(store: MarketStore, api: Api, path: str, query: dict[str, str], refusal):
    store.append(batch(trade(0)))
    assert problem(api.get(path, query)) == refusal


def test_only_readers_read(store: MarketStore, api: Api):
    store.append(batch(trade(0)))
    writer = Api(make_key(scopes=("market:write",)))
    assert problem(writer.get(COMMITS)) == (403, "missing_scope")
    assert problem(Api(None).get(COMMITS)) == (401, "not_authenticated")


def test_a_long_answer_is_compressed(store: MarketStore, api: Api):
    for number in range(40):
        store.append(batch(trade(number)))
    response = api.get(COMMITS, Accept_Encoding="gzip")
    assert response["Content-Encoding"] == "gzip"
    assert len(gzip.decompress(response.content).splitlines()) == 40
