"""TradingView's datafeed: its bars are ours, a scroll back meets each bar once, and its caller is a key."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.test import Client

from audit.recording import middleware
from front import event_loop_reads
from ratelimit.keys.api_keys import digest, prefix_of
from ratelimit.keys.selectors import key_cache
from ratelimit.keys.services import key_rotate
from ratelimit.models import ApiKey
from store.datasets import TRADES
from store.expiring import expire, planned
from store.timestamps import parse_timestamp
from tests.api_client import Api, make_key, trade, until_limited, usual_key
from tests.front.repeated import Process, admit_at_once, headers_of
from trades.stores import market_store

pytestmark = pytest.mark.usefixtures("db", "project_redis", "default_store")
OURS = "/api/v1/market-data/equities/AAPL/ohlcv"
# A Thursday and a Friday, a Monday that is a holiday, and the Tuesday after it.
DAYS = ("2025-01-16", "2025-01-17", "2025-01-21")
TIMES = ("14:30", "14:31", "14:35", "20:59", "22:00")


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.fixture
def api(settings: Any, default_store: Path) -> Api:
    api = Api(usual_key())
    terms = {"class": "equity", "exchange": "XNAS", "currency": "USD", "name": "Apple Inc", "tick_size": 0.05}
    assert api.call("PUT", "/api/v1/instruments/AAPL", orjson.dumps(terms)).status_code == 200
    rows = [
        trade(timestamp=f"{day}T{time}:10Z", price=100 + n + place / 4, volume=n + 1, trade_id=f"{n}-{place}")
        for n, day in enumerate(DAYS)
        for place, time in enumerate(TIMES)
    ]
    assert api.ingest(*rows).status_code == 200
    settings.UDF_KEY = prefix_of(make_key())
    return api


def udf(path: str, **params: Any) -> Any:
    answer = Client().get(f"/udf/{path}", params)
    assert answer.status_code == 200, answer.content
    return answer.json()


def history(resolution: str, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = udf("history", symbol="AAPL", resolution=resolution, **params)
    return found


def ours(api: Api, resolution: str) -> dict[str, list[Any]]:
    query = {
        "resolution": resolution,
        "hours": "regular",
        "start": "2025-01-16",
        "end": "2025-01-22",
        "anchor": "session",
    }
    bars = api.get(OURS, query).json()["bars"]
    times = [bar.get("date", bar["timestamp"]).removesuffix("Z") for bar in bars]
    named = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
    columns = {letter: [bar[name] for bar in bars] for letter, name in named.items()}
    return {"t": [seconds(time) for time in times], **columns}


@pytest.mark.parametrize(
    ("resolution", "name"),
    [
        ("1", "1m"),
        ("5", "5m"),
        ("7", "7m"),
        ("60", "1h"),
        ("240", "4h"),
        ("600", "10h"),
        ("D", "1d"),
        ("1D", "1d"),
    ],
)
def test_the_bars_of_a_range_are_ours(api: Api, resolution: str, name: str):
    found = history(resolution, **{"from": seconds("2025-01-01"), "to": seconds("2025-02-01")})
    assert found == {"s": "ok", **ours(api, name)}
    assert history(resolution, **{"from": found["t"][0], "to": found["t"][-1]})["t"] == found["t"][:-1]


def test_bars_of_expired_trades_stay(api: Api):
    bounds = {"from": seconds("2025-01-01"), "to": seconds("2025-02-01")}
    before = [history(resolution, **bounds) for resolution in ("1", "60", "D", "1M")]
    store = market_store()
    expire(store, planned(store, TRADES, "AAPL", parse_timestamp("2025-01-17")))
    assert [history(resolution, **bounds) for resolution in ("1", "60", "D", "1M")] == before
    assert history("1", countback=3, **bounds)["t"] == before[0]["t"][-3:]


@pytest.mark.parametrize(("resolution", "times"), [("60", ["14:30", "20:30"]), ("240", ["14:30", "18:30"])])
def test_bars_begin_at_the_open_of_the_session(api: Api, resolution: str, times: list[str]):
    end = {"from": 0, "to": seconds("2025-01-21T14:30")}
    assert history(resolution, countback=2, **end)["t"] == [seconds(f"2025-01-17T{time}") for time in times]
    gap = {"from": seconds("2025-01-18"), "to": seconds("2025-01-21T14:30")}
    assert history(resolution, **gap) == {"s": "no_data", "nextTime": seconds(f"2025-01-17T{times[-1]}")}


def test_bars_of_crypto_begin_by_the_clock(api: Api):
    terms = orjson.dumps({"class": "crypto", "exchange": "XNAS", "currency": "USD"})
    assert api.call("PUT", "/api/v1/instruments/ETH-USD", terms).status_code == 200
    api.ingest(trade(symbol="ETH-USD", timestamp="2025-01-18T14:35:00Z"))
    bounds = {"symbol": "ETH-USD", "from": seconds("2025-01-01"), "to": seconds("2025-02-01")}
    for resolution, time in (("60", "14:00"), ("240", "12:00")):
        assert udf("history", resolution=resolution, **bounds)["t"] == [seconds(f"2025-01-18T{time}")]


def test_the_hours_are_those_of_the_session(api: Api):
    found = history("1", **{"from": seconds("2025-01-16"), "to": seconds("2025-01-17")})
    assert [datetime.fromtimestamp(t, UTC).strftime("%H:%M") for t in found["t"]] == list(TIMES[:-1])


def test_bars_of_weeks_and_months_have_the_time_of_their_first_trading_date(api: Api):
    bounds = {"from": seconds("2025-01-01"), "to": seconds("2025-02-01")}
    assert history("1W", **bounds)["t"] == [seconds("2025-01-13"), seconds("2025-01-21")]
    assert history("1M", **bounds)["t"] == [seconds("2025-01-02")]
    assert history("1M", **bounds | {"to": seconds("2025-01-02")}) == {"s": "no_data"}


@pytest.mark.parametrize(("start", "end", "times"), [
    ("14:31:00", "14:35:00", ["14:31"]), ("14:31:01", "14:35:01", ["14:35"]), ("14:30:00", "14:31:00", ["14:30"]),
])  # fmt: skip
def test_the_end_is_exclusive(api: Api, start: str, end: str, times: list[str]):
    found = history("1", **{"from": seconds(f"2025-01-16T{start}"), "to": seconds(f"2025-01-16T{end}")})
    assert found["t"] == [seconds(f"2025-01-16T{time}") for time in times]


def test_what_the_charting_library_adds_changes_nothing(api: Api):
    bounds = {"from": seconds("2025-01-16"), "to": seconds("2025-01-17")}
    added = {"currencyCode": "USD", "unitId": "x", "firstDataRequest": "true"}
    assert history("1", **bounds | added) == history("1", **bounds)


def test_an_answer_is_of_its_own_range(api: Api):
    """Of both ranges the same bars are read."""
    end = seconds("2025-01-16T14:35")
    for start, state in (("14:31:00", "ok"), ("14:31:30", "no_data"), ("14:31:00", "ok")):
        assert history("1", **{"from": seconds(f"2025-01-16T{start}"), "to": end})["s"] == state


@pytest.mark.parametrize("countback", [1, 3, 5, 100])
def test_the_number_of_bars_wins_over_the_start(api: Api, countback: int):
    end = {"from": seconds("2025-01-21T14:30"), "to": seconds("2025-01-21T14:35")}
    before = [each for each in ours(api, "1m")["t"] if each < end["to"]]
    assert history("1", countback=countback, **end)["t"] == before[-countback:]


def test_an_empty_range_names_the_newest_older_bar(api: Api):
    gap = {"from": seconds("2025-01-18"), "to": seconds("2025-01-21")}
    assert history("1", **gap) == {"s": "no_data", "nextTime": seconds("2025-01-17T20:59")}
    assert history("D", **gap) == {"s": "no_data", "nextTime": seconds("2025-01-17")}
    assert history("1", **{"from": -5_000_000_000, "to": seconds("2025-01-16T14:30")}) == {"s": "no_data"}
    assert history("1", countback=10, **gap | {"to": seconds("2025-01-16")}) == {"s": "no_data"}


def test_a_symbol_tells_the_hours_of_its_calendar(api: Api):
    found = udf("symbols", symbol="XNAS:AAPL")
    assert "s" not in found
    named = {name: found[name] for name in ("ticker", "full_name", "description", "type", "exchange")}
    assert named == {
        "ticker": "AAPL", "full_name": "XNAS:AAPL", "description": "Apple Inc", "type": "stock", "exchange": "XNAS",
    }  # fmt: skip
    assert (found["session"], found["timezone"]) == ("0930-1600", "America/New_York")
    assert {"20250120", "20251225"} <= set(found["session_holidays"].split(","))
    assert "20250121" not in found["session_holidays"]
    (session, _, dates) = found["corrections"].partition(":")
    assert session == "0930-1300"
    assert "20251128" in dates.split(",")
    assert (found["minmov"], found["pricescale"]) == (5, 100)


@pytest.mark.parametrize(
    ("terms", "session", "timezone"),
    [
        ({"class": "crypto"}, "24x7", "Etc/UTC"),
        ({"class": "fx"}, "1700-1700", "America/New_York"),
        ({"class": "equity", "exchange": "XTKS"}, "0900-1130,1230-1530", "Asia/Tokyo"),
        ({"class": "future", "exchange": "XCME"}, "1700-1600", "America/Chicago"),
    ],
)
def test_sessions_of_other_markets(api: Api, terms: Any, session: str, timezone: str):
    body = orjson.dumps({"currency": "USD", **terms})
    assert api.call("PUT", "/api/v1/instruments/EUR-USD", body).status_code == 200
    found = udf("symbols", symbol="EUR-USD")
    assert (found["timezone"], found["session"]) == (timezone, session)
    assert (found["minmov"], found["pricescale"]) == (1, 100)


@pytest.mark.parametrize(
    ("price", "scale"), [(0.5123, 10**4), (8.7e-9, 10**10), (1e-13, 10**12), (134.0, 100)]
)
def test_the_price_scale_is_that_of_the_newest_bar(api: Api, price: float, scale: int):
    api.ingest(trade(symbol="XRP-USD", price=price))
    assert udf("symbols", symbol="XRP-USD")["pricescale"] == scale


def test_a_search_takes_empty_parameters(api: Api):
    (found,) = udf("search", query="APPLE", type="", exchange="", limit=30)
    assert found["symbol"] == "AAPL"
    assert udf("search", query="AAPL", type="futures", exchange="") == []
    config = udf("config")
    assert (config["supports_search"], config["supports_group_request"]) == (True, False)
    assert [each["value"] for each in config["exchanges"]] == ["", "XNAS"]
    assert {"name": "stock", "value": "stock"} in config["symbols_types"]


def test_time_is_a_bare_number(api: Api):
    assert abs(int(Client().get("/udf/time").content) - datetime.now(UTC).timestamp()) < 60


def test_without_the_setting_there_is_no_datafeed(api: Api, settings: Any):
    settings.UDF_KEY = ""
    for path in ("/udf/time", "/udf/config", "/udf/history"):
        assert (api.get(path).status_code, Client().get(path).json()["reason"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("terms", "status", "reason"),
    [({"scopes": ("audit:read",)}, 403, "missing_scope"), ({"networks": ("10.0.0.0/8",)}, 403, "network_not_allowed"),
     ({"signed_only": True}, 401, "signature_required")],
)  # fmt: skip
def test_a_call_without_a_credential_may_do_what_the_key_may(
    api: Api, settings: Any, terms: Any, status: int, reason: str
):
    settings.UDF_KEY = f"md_{prefix_of(make_key(**terms))}"
    refused = Client().get("/udf/config")
    assert (refused.status_code, refused.json()["reason"]) == (status, reason)
    assert api.get("/udf/config").status_code == 200


def test_a_call_without_a_credential_has_the_limits_of_the_key(api: Api, settings: Any):
    settings.UDF_KEY = prefix_of(make_key(rate=1))
    assert until_limited(lambda: Client().get("/udf/config")).json()["reason"] == "rate_limited"
    settings.UDF_KEY = "nokeyyet"
    assert Client().get("/udf/config").json()["reason"] == "not_authenticated"


def test_calls_without_a_credential_outlive_a_rotation_of_the_key(
    api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    stored = ApiKey.objects.get(prefix=settings.UDF_KEY)
    assert Client().get("/udf/config").status_code == 200
    monkeypatch.setattr(key_cache, "forget", lambda _: None)  # as if another process had rotated it
    key_rotate(key=stored, overlap=timedelta(0), now=datetime.now(UTC), actor="test")
    key_cache.remove(lambda cached: cached.caller.key_digest != "")
    assert Client().get("/udf/config").status_code == 200


def test_an_address_without_a_credential_has_at_most_its_own_limit(api: Api, settings: Any):
    settings.ADDRESS_RATE = 1
    until_limited(lambda: Client().get("/udf/config"))
    assert Client(REMOTE_ADDR="127.0.0.2").get("/udf/config").status_code == 200


def test_a_repeated_call_is_answered_by_the_event_loop_and_recorded_with_the_key(
    api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    settings.UDF_KEY = prefix_of(key := make_key())
    callers: list[str] = []
    for place in (middleware, event_loop_reads):
        monkeypatch.setattr(place, "call_record", lambda caller, **_: callers.append(caller))
    admit_at_once(monkeypatch)
    target = f"/udf/history?symbol=AAPL&resolution=1&from={seconds('2025-01-16')}&to={seconds('2025-01-17')}"
    by_django, in_the_loop = Process().both(target, {})
    assert in_the_loop is not None
    assert by_django.body == in_the_loop.body
    assert callers == [f"key:{ApiKey.objects.get(digest=digest(key)).pk}"] * 2


def test_the_event_loop_answers_more_bars_than_a_token_pays(api: Api, monkeypatch: pytest.MonkeyPatch):
    first = seconds("2025-01-17T15:00")
    rows = [
        trade(symbol="MANY", timestamp=datetime.fromtimestamp(first + n, UTC).isoformat())
        for n in range(1_500)
    ]
    assert api.ingest(*rows).status_code == 200
    admit_at_once(monkeypatch)
    target = f"/udf/history?symbol=MANY&resolution=1S&from={first}&to={first + 1_500}"
    by_django, in_the_loop = Process().both(target, {})
    assert in_the_loop is not None
    assert by_django.body == in_the_loop.body
    assert [headers_of(each)["x-cost"] for each in (by_django, in_the_loop)] == ["2", "2"]


def test_marks_are_corporate_actions_at_the_times_of_bars(api: Api):
    rows = [{"symbol": "AAPL", "timestamp": "2025-01-17", "kind": "split", "ratio": 2}]
    body = orjson.dumps({"corporate_actions": rows})
    stored = api.call("POST", "/api/v1/corporate-actions/ingest", body)
    assert stored.status_code == 200, stored.content
    bounds = {"symbol": "AAPL", "from": seconds("2025-01-01"), "to": seconds("2025-02-01")}
    for resolution, time in (
        ("1D", "2025-01-17"),
        ("1W", "2025-01-13"),
        ("5", "2025-01-17T14:30"),
        ("240", "2025-01-17T14:30"),
    ):
        (mark,) = udf("marks", resolution=resolution, **bounds)
        assert (mark["time"], mark["label"], mark["text"]) == (seconds(time), "S", "split 2")
        (mark,) = udf("timescale_marks", resolution=resolution, **bounds)
        assert (mark["time"], mark["tooltip"]) == (seconds(time), ["split 2"])


def test_quotes_have_the_newest_price_and_the_change_of_the_session(api: Api):
    found, unknown = udf("quotes", symbols="XNAS:AAPL,NOPE")["d"]
    assert unknown == {"s": "error", "n": "NOPE", "v": {}}
    values = found["v"]
    assert found["n"] == "XNAS:AAPL"
    # The last price is of 22:00, the change and the range are of the session, which ended at 21:00.
    assert (values["lp"], values["prev_close_price"]) == (103.0, 101.75)
    assert (values["ch"], values["chp"]) == (1.0, 0.98)
    assert (values["high_price"], values["low_price"]) == (102.75, 102.0)
    closes = history("1D", **{"from": seconds("2025-01-17"), "to": seconds("2025-01-22")})["c"]
    assert values["ch"] == closes[-1] - closes[-2]


def test_changes_of_quotes_have_few_decimals(api: Api):
    for day, price in (("2025-01-16", 187.06), ("2025-01-17", 189.96)):
        api.ingest(trade(symbol="ODD", timestamp=f"{day}T15:00:00Z", price=price))
    (quote,) = udf("quotes", symbols="ODD")["d"]
    assert (quote["v"]["ch"], quote["v"]["chp"]) == (2.9, 1.55)


def test_an_option_has_its_end_and_quotes(api: Api):
    symbol = "AAPL250117C00150000"
    quote = {"timestamp": "2025-01-16T15:00:00Z", "symbol": symbol, "bid": 5.1, "ask": 5.2}
    body = orjson.dumps({"option_quotes": [quote]})
    assert api.call("POST", "/api/v1/option-quotes/ingest", body).status_code == 200
    found = udf("symbols", symbol=symbol)
    assert (found["type"], found["expired"], found["pricescale"]) == ("option", True, 100)
    assert found["expiration_date"] == seconds("2025-01-18")
    (quoted,) = udf("quotes", symbols=symbol)["d"]
    assert (quoted["v"]["bid"], quoted["v"]["ask"]) == (5.1, 5.2)


@pytest.mark.parametrize(
    ("path", "params", "status", "reason"),
    [
        ("history", {"symbol": "NOPE", "resolution": "1", "from": 0, "to": 1}, 404, "unknown_symbol"),
        ("history", {"symbol": "AAPL", "resolution": "7x", "from": 0, "to": 1}, 422, "unknown_resolution"),
        ("history", {"symbol": "AAPL", "resolution": "1", "from": "a", "to": 1}, 400, "invalid_timestamp"),
        ("history", {"symbol": "AAPL", "resolution": "1"}, 400, "missing_parameter"),
        ("symbols", {"symbol": "NOPE"}, 404, "unknown_symbol"),
        ("symbols", {"symbol": ""}, 400, "missing_parameter"),
        ("search", {"type": "x"}, 400, "invalid_parameter"),
        ("nothing", {}, 404, "not_found"),
    ],
)
def test_errors_are_in_the_body(api: Api, path: str, params: Any, status: int, reason: str):
    answer = Client().get(f"/udf/{path}", params)
    assert answer["Content-Type"] == "application/json"
    body = answer.json()
    assert (answer.status_code, body["s"], body["reason"]) == (status, "error", reason)
    assert body["errmsg"]


def test_an_unknown_volume_is_null(api: Api):
    prices = dict.fromkeys(("open", "high", "low", "close"), 5)
    volumes: list[dict[str, Any]] = [{}, {"volume": 7}, {"volume": None}]
    bars = [
        {"symbol": "AAPL", "timestamp": f"2025-01-15T15:0{minute}:00Z", "resolution": "1m", **prices, **more}
        for minute, more in enumerate(volumes)
    ]
    assert api.call("POST", "/api/v1/bars/ingest", orjson.dumps({"bars": bars})).status_code == 200
    found = history("1", **{"from": seconds("2025-01-15"), "to": seconds("2025-01-16")})
    assert (found["v"], found["c"]) == ([None, 7, None], [5, 5, 5])
