"""Volume that is credited to a bar from behind it: tags, caches and pages follow, under the policies that credit any."""

from typing import Any

import pytest

from stats.caching.response_cache import RESPONSE_CACHE
from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.datasets import TRADES
from store.instruments import Instrument
from store.maintained import MaintainedStore
from tests.api_client import Api, answer, trade
from tests.store.builders import SYMBOL
from trades.instruments.services import instruments_set
from trades.stores import market_store

pytestmark = pytest.mark.system

# Ends after the last price, at 14:32.
MORNING = {"symbol": SYMBOL, "start": "2025-01-02T00:00:00Z", "end": "2025-01-02T15:00:00Z"}
LATE_LOT = trade(timestamp="2025-01-02T23:00:00Z", volume=7, conditions=["odd_lot"], trade_id="late")
NEXT_DAY = trade(timestamp="2025-01-03T09:00:00Z", volume=7, conditions=["odd_lot"], trade_id="tomorrow")


@pytest.fixture(params=[False, True], ids=["plain", "derived"])
def derive(request: pytest.FixtureRequest, api: Api) -> Any:
    """What brings the store's derived files up to date, where the test is to have any."""
    store = market_store()
    if not request.param:
        return lambda: None
    if not isinstance(store, MaintainedStore):
        pytest.skip("the store derives nothing")
    return lambda: store.derive(TRADES, SYMBOL)


@pytest.fixture
def traded(api: Api) -> Api:
    """Three prices in the morning, one four days later."""
    instruments_set(instruments=[Instrument(SYMBOL, US_EQUITIES.name)])
    api.ingest(*(trade(timestamp=f"2025-01-02T14:3{n}:00Z", volume=1) for n in range(3)))
    api.ingest(trade(timestamp="2025-01-06T14:30:00Z", volume=1, trade_id="monday"))
    return api


def read(api: Api, **params: Any) -> Any:
    response = api.ohlc({**MORNING, **params})
    assert response.status_code == 200, response.content
    return response


def volumes(response: Any) -> list[float]:
    return [bar["volume"] for bar in answer(response)["data"]]


def test_a_lot_of_the_evening_changes_the_tag_of_the_morning(traded: Api, derive: Any) -> None:
    derive()
    before = read(traded)
    assert read(traded)["X-Cache"] == "hit"
    traded.ingest(LATE_LOT)
    after = read(traded)
    assert (volumes(before), volumes(after)) == ([1, 1, 1], [1, 1, 8])
    assert (after["X-Cache"], after["ETag"] == before["ETag"]) == ("miss", False)
    derive()
    RESPONSE_CACHE.local.clear()
    again = read(traded)
    assert (again.content, again["ETag"]) == (after.content, after["ETag"])


@pytest.mark.parametrize("policy", [EVERY_PRINT, US_EQUITIES], ids=lambda policy: policy.name)
@pytest.mark.parametrize("interval", ["1min", "1d"])
def test_a_lot_of_the_next_date_leaves_the_day_before_in_the_cache(
    traded: Api, derive: Any, policy: BarPolicy, interval: str
) -> None:
    instruments_set(instruments=[Instrument(SYMBOL, policy.name)])
    derive()
    day = {"interval": interval, "end": "2025-01-03T00:00:00Z"}
    before = read(traded, **day)
    assert traded.ingest(NEXT_DAY).status_code == 200
    after = read(traded, **day)
    assert (after["X-Cache"], after["ETag"], after.content) == ("hit", before["ETag"], before.content)


def test_a_lot_behind_the_next_price_leaves_the_bar_before_in_the_cache(traded: Api, derive: Any) -> None:
    derive()
    first = {"end": "2025-01-02T14:31:00Z"}
    before = read(traded, **first)
    traded.ingest(trade(timestamp="2025-01-03T14:31:30Z", volume=7, conditions=["odd_lot"]))
    assert (read(traded, **first)["X-Cache"], read(traded, **first)["ETag"]) == ("hit", before["ETag"])


def test_a_walk_through_pages_is_one_snapshot_before_and_after_derivation(traded: Api, derive: Any) -> None:
    first = answer(read(traded, limit=2))
    traded.ingest(LATE_LOT)
    derive()
    RESPONSE_CACHE.local.clear()
    second = answer(read(traded, limit=2, cursor=first["next_cursor"]))
    assert [bar["volume"] for bar in first["data"] + second["data"]] == [1, 1, 1]
    assert volumes(read(traded)) == [1, 1, 8]
