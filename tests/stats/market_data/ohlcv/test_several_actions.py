"""Several corporate actions of one ex-date: cash leaves the share that had the close, and is added up."""

from typing import Any

import pytest

from store.instruments import Instrument
from tests.api_client import answer
from tests.stats.market_data.builders import SPLIT, Market, ingest, midnight_ns
from trades.stores import market_store

pytestmark = pytest.mark.django_db
PATH = f"/api/v1/market-data/equities/{SPLIT}/ohlcv"
EX_DATE = "2024-12-26"
HOUR_NS = 3_600 * 10**9
DIVIDEND = {"kind": "dividend", "amount": 1.0, "currency": "USD"}
SPECIAL = {"kind": "special_dividend", "amount": 4.0, "currency": "USD"}
SPIN_OFF = {"kind": "spin_off", "amount": 15.0, "ratio": 0.5, "currency": "USD"}
PAID = [DIVIDEND, SPECIAL, SPIN_OFF]


@pytest.fixture
def traded(empty_market: Market) -> Market:
    """A close of 100 before the ex-date, and one of 80 on it."""
    rows = [
        {"time_ns": midnight_ns(day) + 15 * HOUR_NS, "price": price, "volume": 1.0}
        for day, price in (("2024-12-24", 100.0), (EX_DATE, 80.0))
    ]
    empty_market.add("trades", SPLIT, rows)
    market_store().set_instrument(Instrument(SPLIT, exchange="XNYS", currency="USD"))
    return empty_market


def act(market: Market, *actions: dict[str, Any], date: str = EX_DATE) -> None:
    for action in actions:
        ingest(market.api, "corporate_actions", SPLIT, [{"time_ns": midnight_ns(date), **action}])


def page(market: Market, adjustment: str = "all", **query: str) -> dict[str, Any]:
    wanted = {"start": "2024-12-23", "end": "2024-12-28", "adjustment": adjustment, **query}
    found: dict[str, Any] = answer(market.api.get(PATH, wanted))
    return found


def closes(market: Market, adjustment: str = "all", **query: str) -> list[float]:
    return [bar["close"] for bar in page(market, adjustment, **query)["bars"]]


@pytest.mark.parametrize("actions", [PAID, PAID[::-1]])
def test_cash_of_one_ex_date_is_added_up(traded: Market, actions: tuple[dict[str, Any], ...]):
    """1 + 4 + 15 of a close of 100 leave 80, not 0.99 · 0.96 · 0.85 of it."""
    act(traded, *actions)
    for query in ({}, {"session": "utc"}, {"resolution": "1m"}):
        assert closes(traded, **query) == [80, 80]
    (week,) = page(traded, resolution="1w")["bars"]
    assert (week["open"], week["high"], week["close"]) == (80, 80, 80)
    assert closes(traded, "split") == [100, 80]
    assert "not_applied" not in page(traded)


@pytest.mark.parametrize("is_split_first", [True, False])
def test_with_a_split_all_refer_to_the_old_share(traded: Market, is_split_first: bool):
    split = {"kind": "split", "ratio": 2.0}
    act(traded, *([split, *PAID] if is_split_first else [*PAID, split]))
    assert closes(traded) == [40, 80]
    assert [bar["volume"] for bar in page(traded)["bars"]] == [2, 1]
    assert closes(traded, "split") == [50, 80]


def test_actions_of_the_next_date_refer_to_its_own_close(traded: Market):
    """0.8 of the first date, and 1 - 8 / 80 of the second."""
    act(traded, *PAID)
    act(traded, DIVIDEND | {"amount": 8.0}, date="2024-12-27")
    assert closes(traded) == [72, 72]


def test_a_sum_that_is_not_below_the_close_is_not_applied(traded: Market):
    act(traded, DIVIDEND | {"amount": 60.0}, SPECIAL | {"amount": 40.0}, {"kind": "split", "ratio": 2.0})
    found = page(traded)
    assert [bar["close"] for bar in found["bars"]] == [50, 80]
    assert [(each["kind"], each["reason"]) for each in found["not_applied"]] == [
        ("dividend", "not_below_close"),
        ("special_dividend", "not_below_close"),
    ]


def test_amounts_of_another_currency_are_not_added(traded: Market):
    act(traded, SPECIAL | {"amount": 30.0, "currency": "EUR"}, DIVIDEND, SPIN_OFF)
    found = page(traded)
    assert [bar["close"] for bar in found["bars"]] == [84, 80]
    named = [{"timestamp": f"{EX_DATE}T00:00:00Z", "kind": "special_dividend", "reason": "other_currency"}]
    assert found["not_applied"] == named


def test_dates_without_a_session_are_the_next_ex_date(traded: Market):
    """Christmas is closed: its dividend leaves the share with those of the day after."""
    act(traded, DIVIDEND, date="2024-12-25")
    act(traded, SPECIAL, SPIN_OFF)
    assert closes(traded) == [80, 80]


def test_a_cancelled_action_is_not_added_but_as_of_the_past_it_is(traded: Market, clock: Any):
    act(traded, *PAID)
    moment = clock()
    cancel = {"action": "cancel", "timestamp": EX_DATE, "kind": "spin_off"}
    response = traded.api.correct(cancel, symbol=SPLIT, path="/api/v1/corporate-actions/corrections")
    assert response.status_code == 200, response.content
    assert closes(traded) == [95, 80]
    assert closes(traded, as_of=moment) == [80, 80]
