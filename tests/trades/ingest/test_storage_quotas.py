"""Quotas of symbols and of stored bytes, as a feed meets them."""

from typing import Any

import orjson
import pytest

from ratelimit.limits import storage_quotas
from ratelimit.limits.storage_quotas import StorageCounter
from ratelimit.models import ApiKey, StorageUse
from store.protocol import NEW_FILE_BYTES
from tests.api_client import Api, answer, make_key, problem, trade
from tests.ratelimit.keys.key_calls import KEYS, post

QUOTES = "/api/v1/quotes/ingest"
CANCEL = {"action": "cancel", "timestamp": "2025-01-02T14:30:00Z", "price": 189.98, "volume": 100}


@pytest.fixture(autouse=True)
def counter(api, monkeypatch) -> StorageCounter:
    counter = StorageCounter()
    monkeypatch.setattr(storage_quotas, "storage_counter", counter)
    return counter


def feed(**quotas: Any) -> Api:
    return Api(make_key(**{"symbol_quota": 0, "storage_quota": 0, **quotas}))


def storage(caller: Api) -> dict[str, tuple[int, int, int]]:
    """Limit, used and remaining, by name."""
    return {
        each["name"]: (each["limit"], each["used"], each["remaining"])
        for each in answer(caller.get("/api/v1/limits"))["storage"]
    }


def refusal(response) -> str:
    status, code = problem(response)
    assert status == 403
    assert "Retry-After" not in response
    return code


def declared(caller: Api, symbol: str, **fields: str):
    return caller.call("PUT", f"/api/v1/instruments/{symbol}", orjson.dumps(fields))


def test_the_tiers_have_quotas_and_a_key_may_have_its_own(api):
    told = storage(Api(make_key(symbol_quota=3, storage_quota=1000)))
    assert told == {"symbols": (3, 0, 3), "bytes": (1000, 0, 1000)}
    assert storage(api) == storage(feed()) == {}
    key = answer(post(api, KEYS, {"name": "feed", "scopes": ["market:write"], "symbol_quota": 7}))
    assert (key["symbol_quota"], key["storage_quota"]) == (7, 10 * 2**30)


def test_without_room_for_symbols_only_existing_ones_can_be_written_to(api):
    caller = feed(symbol_quota=2)
    api.ingest(trade(symbol="MSFT"))
    assert [caller.ingest(trade(symbol=symbol)).status_code for symbol in ("AAPL", "MSFT")] == [200, 200]
    # A symbol counts once for each dataset.
    quote = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "AAPL", "bid": 1, "bid_size": 1}
    assert caller.ingest(orjson.dumps({"quotes": [quote]}), path=QUOTES).status_code == 200
    assert storage(caller) == {"symbols": (2, 2, 0)}
    assert refusal(caller.ingest(trade(symbol="IBM"))) == "symbol_quota_exceeded"
    assert refusal(declared(caller, "IBM")) == "symbol_quota_exceeded"
    assert problem(api.ohlc(symbol="IBM")) == (404, "unknown_symbol")
    assert caller.ingest(trade(symbol="AAPL", price=190)).status_code == 200
    assert declared(caller, "AAPL", currency="USD").status_code == 200
    assert storage(caller) == {"symbols": (2, 2, 0)}


def test_a_first_declaration_creates_a_symbol_and_counts_as_a_file(api):
    caller = feed(symbol_quota=1, storage_quota=10**6)
    assert declared(caller, "IBM").status_code == 200
    assert declared(caller, "IBM", currency="USD").status_code == 200
    assert storage(caller) == {
        "symbols": (1, 1, 0),
        "bytes": (10**6, 2 * NEW_FILE_BYTES, 10**6 - 2 * NEW_FILE_BYTES),
    }
    assert refusal(declared(caller, "SAP")) == "symbol_quota_exceeded"
    assert problem(api.get("/api/v1/instruments/SAP")) == (404, "unknown_symbol")


def test_without_room_for_bytes_nothing_is_stored(api):
    caller = feed(storage_quota=1)
    assert caller.ingest(trade()).status_code == 200
    assert refusal(caller.ingest(trade(price=190))) == "storage_quota_exceeded"
    assert refusal(caller.correct(CANCEL)) == "storage_quota_exceeded"
    assert refusal(declared(caller, "AAPL")) == "storage_quota_exceeded"
    assert [bar["close"] for bar in api.bars()] == [189.98]
    assert "has stored" in answer(caller.ingest(trade()))["message"]


def test_only_what_is_stored_counts(api):
    caller = feed(storage_quota=10**9)

    def used() -> int:
        return storage(caller)["bytes"][1]

    caller.ingest(trade(), idempotency_key="a")
    first = used()
    assert first > 0
    assert answer(caller.ingest(trade(), idempotency_key="a"))["stored"] == 1
    assert answer(caller.ingest(trade()))["duplicates"] == 1
    caller.ingest(trade(price=-1))
    assert used() == first
    caller.correct(CANCEL)
    assert first < used()


def test_a_keys_successor_has_its_quotas_and_what_it_used(counter):
    made: dict[str, Any] = {
        "scopes": ("market:write", "keys:manage"),
        "symbol_quota": 2,
        "storage_quota": 10**9,
    }
    old = Api(make_key(**made))
    first = ApiKey.objects.latest("id").pk
    old.ingest(trade())
    told = answer(post(old, f"{KEYS}/{first}/rotate", {}))
    new = Api(told["key"])
    assert new.ingest(trade(symbol="IBM")).status_code == 200
    assert refusal(old.ingest(trade(symbol="SAP"))) == "symbol_quota_exceeded"
    assert refusal(new.ingest(trade(symbol="SAP"))) == "symbol_quota_exceeded"
    assert storage(old) == storage(new)
    counter.flush()
    assert StorageUse.objects.get().identity == f"key:{first}"


def test_a_caller_makes_no_key_that_may_store_more(api):
    maker: dict[str, Any] = {
        "scopes": ("market:write", "keys:manage"),
        "symbol_quota": 2,
        "storage_quota": 1000,
    }
    caller = Api(make_key(**maker))
    for more in ({"symbol_quota": 3, "storage_quota": 1}, {"symbol_quota": 1, "storage_quota": 0}):
        made = post(caller, KEYS, {"name": "more", "scopes": ["market:write"], "rate": 1, **more})
        assert problem(made) == (403, "grant_exceeded")


def test_another_process_refuses_what_this_one_has_used_up(counter, monkeypatch):
    caller = feed(symbol_quota=1)
    caller.ingest(trade())
    counter.flush()
    monkeypatch.setattr(storage_quotas, "storage_counter", StorageCounter())
    assert refusal(caller.ingest(trade(symbol="IBM"))) == "symbol_quota_exceeded"
