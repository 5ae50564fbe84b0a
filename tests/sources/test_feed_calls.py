"""The calls of feeds: what is listed, kept current and stopped."""

from typing import Any

import orjson
import pytest

from sources.feed_services import wanted_feeds
from sources.feed_status import publish
from sources.models import FetchedLog, SourceSymbol
from tests.api_client import Api, answer, make_key, problem
from tests.sources.test_feed_status import status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("project_redis")]
PAIR = {"source": "binance", "name": "BTC/USDT"}


def listed(api: Api) -> list[dict[str, Any]]:
    feeds: list[dict[str, Any]] = answer(api.call("GET", "/api/v1/feeds"))["feeds"]
    return feeds


def keep(api: Api, **body: Any) -> Any:
    return api.call("POST", "/api/v1/feeds", orjson.dumps({**PAIR, **body}))


def stop(api: Api, symbol: str = "BTC-USDT") -> Any:
    return api.call("DELETE", f"/api/v1/feeds/{symbol}")


def test_what_is_kept_current_is_down_until_a_feed_process_runs(api: Api, settings: Any) -> None:
    settings.FEEDS = (("binance", "ETH/USDT", "1m"),)
    kept = answer(keep(api))
    assert kept == {
        "symbol": "BTC-USDT", "source": "binance", "name": "BTC/USDT", "dataset": None, "timeframe": "",
        "wanted_by": "call", "state": "down", "message": "no feed process runs", "since": None, "newest": None,
        "lag_seconds": None, "reconnects": 0, "holes": 0, "filled_rows": 0,
    }  # fmt: skip
    of_setting = {"symbol": "ETH-USDT", "name": "ETH/USDT", "timeframe": "1m", "wanted_by": "setting"}
    assert listed(api) == [kept, {**kept, **of_setting}]


def test_how_feeds_do_is_what_the_feed_process_says(api: Api, settings: Any) -> None:
    settings.FEEDS = (("binance", "BTC/USDT", ""), ("binance", "ETH/USDT", ""))
    publish(
        [
            status("BTC-USDT", newest_ns=1_700_000_000_500_000_000, lag_seconds=0.25, holes=2),
            status("SOL-USDT"),
        ]
    )
    bitcoin, ether, of_command = listed(api)
    assert bitcoin == {
        "symbol": "BTC-USDT", "source": "binance", "name": "BTC/USDT", "dataset": "trades", "timeframe": "",
        "wanted_by": "setting", "state": "live", "message": "", "since": "2023-11-14T22:13:20Z",
        "newest": "2023-11-14T22:13:20.5Z", "lag_seconds": 0.25, "reconnects": 0, "holes": 2, "filled_rows": 0,
    }  # fmt: skip
    assert (ether["state"], ether["message"]) == ("waiting", "")
    assert (of_command["symbol"], of_command["wanted_by"]) == ("SOL-USDT", "command")


def test_without_redis_feeds_are_listed_and_nobody_knows_how_they_do(
    api: Api, settings: Any, project_redis: Any
) -> None:
    settings.FEEDS = (("binance", "BTC/USDT", ""),)
    project_redis.kill()
    (feed,) = listed(api)
    assert feed["state"] == "down"
    assert feed["message"].startswith("how it does is not known: Redis is away")


def test_a_feed_that_is_asked_for_again_gets_its_new_timeframe(api: Api) -> None:
    keep(api)
    assert answer(keep(api, timeframe="1m"))["timeframe"] == "1m"
    assert [(feed.symbol, feed.timeframe) for feed in wanted_feeds()] == [("BTC-USDT", "1m")]


def test_a_symbol_of_another_source_is_refused(api: Api) -> None:
    SourceSymbol.objects.create(symbol="BTC-USDT", source="kraken", name="BTC/USDT")
    refused = keep(api)
    assert problem(refused) == (422, "source_refused")
    assert "BTC-USDT is BTC/USDT of kraken" in answer(refused)["message"]
    assert answer(keep(api, symbol="BINANCE:BTC-USDT"))["symbol"] == "BINANCE:BTC-USDT"


def test_a_source_without_a_feed_is_refused(api: Api, settings: Any, tmp_path: Any) -> None:
    settings.SOURCES = {"archive": {"kind": "folder", "path": str(tmp_path), "pattern": "{date}.csv"}}
    refused = keep(api, source="archive")
    assert problem(refused) == (422, "source_refused")
    assert "archive has no feed" in answer(refused)["message"]


def test_two_hundred_symbols_are_kept_at_most(api: Api) -> None:
    rows = [SourceSymbol(symbol=f"S{n}", source="binance", name=f"S{n}", is_fed=True) for n in range(199)]
    SourceSymbol.objects.bulk_create(rows)
    assert keep(api).status_code == 200
    assert keep(api, timeframe="1m").status_code == 200
    refused = keep(api, name="ETH/USDT")
    assert problem(refused) == (422, "source_refused")
    assert "200 symbols are kept current already" in answer(refused)["message"]
    stop(api, "S0")
    assert keep(api, name="ETH/USDT").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"source": "binanse"}, "source"),
        ({"timeframe": "often"}, "timeframe"),
        ({"timeframe": "7m"}, "timeframe"),
        ({"name": "BTC USDT", "symbol": "BTC"}, "name"),
        ({"name": "http://BTC", "symbol": "BTC"}, "name"),
        ({"name": "BTC\x1b[2J", "symbol": "BTC"}, "name"),
        ({"name": "BTC\u202eTDSU", "symbol": "BTC"}, "name"),
        ({"symbol": "a b!"}, "symbol"),
    ],
)
def test_a_body_that_is_wrong_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    response = keep(api, **body)
    assert problem(response)[0] == 422
    assert [each["path"] for each in answer(response)["errors"]] == [field]


def test_a_feed_is_stopped_and_the_symbol_keeps_its_source(api: Api) -> None:
    row = SourceSymbol.objects.create(symbol="BTC-USDT", source="binance", name="BTC/USDT")
    FetchedLog.objects.create(source_symbol=row, dataset="bars", resolution="1m", start_ns=0)
    keep(api)
    assert stop(api).status_code == 204
    assert listed(api) == []
    assert SourceSymbol.objects.get().source == "binance"
    assert problem(stop(api)) == (404, "not_found")


def test_a_feed_of_which_nothing_was_stored_leaves_the_symbol_to_any_source(api: Api) -> None:
    keep(api)
    stop(api)
    assert not SourceSymbol.objects.exists()


def test_a_feed_of_the_setting_is_not_stopped_by_a_call(api: Api, settings: Any) -> None:
    settings.FEEDS = (("binance", "BTC/USDT", ""),)
    refused = stop(api)
    assert problem(refused) == (409, "feed_of_setting")
    assert "FEEDS" in answer(refused)["message"]


def test_who_may_not_fetch_may_not_feed(db: Any) -> None:
    caller = Api(make_key(scopes=("market:read",)))
    assert caller.call("GET", "/api/v1/feeds").status_code == 200
    assert problem(keep(caller)) == problem(stop(caller)) == (403, "missing_scope")
