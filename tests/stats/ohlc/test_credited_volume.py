"""Volume that is credited to a bar from behind it: tags, caches and pages follow, under the policies that credit any."""

from typing import Any

import pytest
import time_machine

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
NOW = "2026-01-05T18:00:0{}Z"


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


@pytest.mark.parametrize(
    ("exchange", "at", "expected"),
    [
        ("XNYS", "2025-01-03T00:30:00Z", 8),  # 19:30 of the day before in New York
        ("XNYS", "2025-01-03T05:00:00Z", 1),
        ("XCME", "2025-01-02T22:59:00Z", 8),
        ("XCME", "2025-01-02T23:00:00Z", 1),  # 17:00 in Chicago
        (None, "2025-01-02T23:59:00Z", 8),
        (None, "2025-01-03T00:00:00Z", 1),
    ],
)
def test_credit_ends_with_the_trading_date_of_the_exchange(
    traded: Api, derive: Any, exchange: str | None, at: str, expected: int
) -> None:
    instruments_set(instruments=[Instrument(SYMBOL, US_EQUITIES.name, exchange=exchange)])
    derive()
    assert volumes(read(traded)) == [1, 1, 1]
    traded.ingest(trade(timestamp=at, volume=7, conditions=["odd_lot"]))
    assert volumes(read(traded)) == [1, 1, expected]
    derive()
    RESPONSE_CACHE.local.clear()
    assert volumes(read(traded)) == [1, 1, expected]


def test_a_day_gets_no_volume_of_other_days(traded: Api, derive: Any) -> None:
    traded.ingest(LATE_LOT, NEXT_DAY)
    derive()
    assert volumes(read(traded, interval="1d", end="2025-01-10T00:00:00Z")) == [10, 1]


def test_a_lot_behind_the_next_price_leaves_the_bar_before_in_the_cache(traded: Api, derive: Any) -> None:
    derive()
    first = {"end": "2025-01-02T14:31:00Z"}
    before = read(traded, **first)
    traded.ingest(trade(timestamp="2025-01-03T14:31:30Z", volume=7, conditions=["odd_lot"]))
    assert (read(traded, **first)["X-Cache"], read(traded, **first)["ETag"]) == ("hit", before["ETag"])


def test_a_cancel_of_the_next_price_credits_what_came_behind_it(traded: Api, derive: Any) -> None:
    traded.ingest(
        trade(timestamp="2025-01-02T16:00:00Z", volume=1, trade_id="next"),
        trade(timestamp="2025-01-02T16:01:00Z", volume=7, conditions=["odd_lot"]),
    )
    derive()
    assert volumes(read(traded)) == [1, 1, 1]
    cancel = {"action": "cancel", "timestamp": "2025-01-02T16:00:00Z", "trade_id": "next"}
    assert traded.correct(cancel).status_code == 200
    assert volumes(read(traded)) == [1, 1, 8]
    derive()
    RESPONSE_CACHE.local.clear()
    assert volumes(read(traded)) == [1, 1, 8]


def test_as_of_gives_what_was_known_also_from_rollups(api: Api, derive: Any) -> None:
    with time_machine.travel(NOW.format(0), tick=False):
        instruments_set(instruments=[Instrument(SYMBOL, US_EQUITIES.name)])
    known = []
    for number in range(4):
        with time_machine.travel(NOW.format(2 * number), tick=False):
            rows = [trade(timestamp=f"2025-01-02T14:3{n}:0{number}Z", volume=number + 1) for n in range(4)]
            api.ingest(*rows, trade(timestamp=f"2025-01-02T19:0{number}:00Z", conditions=["odd_lot"]))
            known.append(read(api, interval="5min").content)
            derive()
    assert len({*known}) == 4
    RESPONSE_CACHE.local.clear()
    with time_machine.travel(NOW.format(9), tick=False):
        for number, expected in enumerate(known):
            as_of = NOW.format(2 * number + 1)
            assert read(api, interval="5min", as_of=as_of).content == expected


def test_a_walk_through_pages_is_one_snapshot_before_and_after_derivation(traded: Api, derive: Any) -> None:
    first = answer(read(traded, limit=2))
    traded.ingest(LATE_LOT)
    derive()
    RESPONSE_CACHE.local.clear()
    second = answer(read(traded, limit=2, cursor=first["next_cursor"]))
    assert [bar["volume"] for bar in first["data"] + second["data"]] == [1, 1, 1]
    assert volumes(read(traded)) == [1, 1, 8]
