"""Alerts of prices: a level, a move, silence; each fires once per arming."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import numpy as np
import orjson
import pytest
import time_machine
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.models import ApiKey
from stats.live.tokens import head_of
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Append, Dedupe
from store.timestamps import format_timestamp
from tests.api_client import Api, answer, make_key, problem, trade
from tests.patience import is_kept
from tests.stats.market_data.tapes import trades
from tests.webhooks.conftest import received, send, subscribe
from trades.instruments.services import is_known
from trades.stores import market_store
from webhooks import alerts, firings
from webhooks.alerts import alerts_watch
from webhooks.firings import AlertPrints
from webhooks.models import MOVE, MarketAlert, WebhookEvent
from webhooks.services import events_delete_old

ALERTS = "/api/v1/alerts"


def make(api: Api, **body: Any) -> dict[str, Any]:
    symbol = body.setdefault("symbol", "AAPL")
    if not is_known(symbol):
        market_store().set_instrument(Instrument(symbol))
    response = api.call("POST", ALERTS, orjson.dumps(body))
    assert response.status_code == 201, response.content
    document: dict[str, Any] = answer(response)
    return document


def store(api: Api, *prices: float, seconds: float = 0, symbol: str = "AAPL") -> None:
    """Store trades of now, or of so many seconds from now."""
    at_ns = time.time_ns() + int(seconds * 1e9)
    rows = [
        trade(symbol=symbol, price=price, timestamp=format_timestamp(at_ns + number))
        for number, price in enumerate(prices)
    ]
    assert api.ingest(*rows).status_code in (200, 201)


def look() -> None:
    alerts_watch(now=timezone.now())


def shown(api: Api, made: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = answer(api.get(made["links"]["self"]))
    return document


def test_a_level_fires_once_and_again_when_it_is_armed_again(api: Api, receiver) -> None:
    server = receiver()
    hook = subscribe(api, server.url, "alert.fired")
    store(api, 500.0)
    made = make(api, kind="level", direction="above", price=200)
    look()
    store(api, 199.0)
    look()
    assert shown(api, made)["state"] == "armed"
    store(api, 199.5, 200.0, 201.0)
    look()
    fired = shown(api, made)
    assert (fired["state"], fired["fired"]["price"], fired["fired"]["reference"]) == ("fired", 200.0, 200.0)
    store(api, 300.0)
    look()
    assert WebhookEvent.objects.count() == 1
    assert answer(api.call("POST", f"{made['links']['self']}/rearm"))["state"] == "armed"
    look()
    assert shown(api, made)["state"] == "armed"
    store(api, 201.0)
    look()
    send()
    events = received(server, hook["secret"])
    assert [each["data"]["price"] for each in events] == [200.0, 201.0]
    assert events[0]["data"]["id"] == made["id"]


def test_old_trades_that_are_stored_late_fire_nothing(api: Api) -> None:
    made = make(api, kind="level", direction="below", price=200)
    store(api, 1.0, seconds=-60)
    look()
    assert shown(api, made)["state"] == "armed"


def test_a_print_that_sets_no_high_and_low_fires_nothing(api: Api) -> None:
    made = make(api, kind="level", direction="above", price=200)
    market_store().set_instrument(Instrument("AAPL", bar_policy="consolidated"))
    api.ingest(trade(price=999, timestamp=format_timestamp(time.time_ns()), conditions=["average_price"]))
    look()
    assert shown(api, made)["state"] == "armed"


def test_what_was_stored_while_no_worker_ran_is_not_missed(api: Api) -> None:
    made = [
        make(api, kind="level", direction="above", price=200),
        make(api, kind="level", direction="above", price=300),
    ]
    look()
    store(api, 250.0)
    look()
    assert [shown(api, each)["state"] for each in made] == ["fired", "armed"]
    store(api, 350.0)
    look()
    assert [shown(api, each)["state"] for each in made] == ["fired", "fired"]


def test_a_log_that_was_cut_fires_nothing_by_what_it_lost(api: Api, store_path: Path) -> None:
    made = make(api, kind="level", direction="above", price=200)
    store(api, 190)
    look()
    files, log = cast("CsvStore", market_store()), market_store().log(TRADES, "AAPL")
    begun_ns = log.committed_at(1)
    store(api, 210)
    files.cut(TRADES, "AAPL", files.planned_cut(TRADES, "AAPL", begun_ns))
    look()
    assert shown(api, made)["state"] == "armed"
    store(api, 220)
    look()
    assert shown(api, made)["fired"]["price"] == 220.0


def test_an_alert_that_is_behind_the_others_of_its_symbol_misses_nothing(api: Api) -> None:
    make(api, kind="level", direction="above", price=900)
    late = make(api, kind="level", direction="above", price=200)
    MarketAlert.objects.filter(uuid=late["id"]).update(state="fired")
    store(api, 250.0)
    look()
    MarketAlert.objects.filter(uuid=late["id"]).update(state="armed")
    look()
    assert shown(api, late)["state"] == "fired"


@pytest.mark.parametrize(
    ("direction", "prices", "fires"),
    [
        (None, [100, 104.9], False),
        (None, [100, 105], True),
        (None, [100, 95], True),
        ("above", [100, 95], False),
        ("below", [100, 95], True),
        ("above", [100, 90, 94.5], True),
    ],
)
def test_a_move_within_its_window_fires(
    api: Api, direction: str | None, prices: list[float], fires: bool
) -> None:
    given_direction = {"direction": direction} if direction else {}
    made = make(api, kind="move", percent=5, seconds=3600, **given_direction)
    for price in prices:
        store(api, price)
        look()
    assert (shown(api, made)["state"] == "fired") is fires


def test_a_move_is_compared_with_no_trade_before_the_arming_nor_before_the_window(api: Api) -> None:
    store(api, 50.0)
    made = make(api, kind="move", percent=5, seconds=3600)
    store(api, 80.0, seconds=0.001)
    # Calls take seconds on a busy machine: the window is longer.
    MarketAlert.objects.update(seconds=60)
    store(api, 100.0, seconds=120)
    look()
    assert shown(api, made)["state"] == "armed"
    store(api, 106.0, seconds=121)
    look()
    assert shown(api, made)["fired"]["reference"] == 100.0


def test_a_move_that_is_armed_again_does_not_fire_by_the_former_move(api: Api) -> None:
    made = make(api, kind="move", percent=5, seconds=3600)
    store(api, 100.0, 106.0)
    look()
    assert shown(api, made)["state"] == "fired"
    api.call("POST", f"{made['links']['self']}/rearm")
    store(api, 106.0, 111.0)
    look()
    assert shown(api, made)["state"] == "armed"
    store(api, 112.0)
    look()
    assert shown(api, made)["fired"]["reference"] == 106.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(50, 150)), max_size=30), st.integers(1, 20))
def test_a_move_is_that_of_a_naive_comparison(rows: list[tuple[int, int]], window: int) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    times, prices = (np.array([row[each] for row in rows], dtype=float) for each in (0, 1))
    prints = AlertPrints((times * 1e9).astype(np.int64), prices, np.ones(len(rows), np.int64))
    alert = MarketAlert(kind=MOVE, value=10, seconds=window, armed_at=datetime.fromtimestamp(0, UTC))
    expected = []
    for number, (at, price) in enumerate(rows):
        within = [other for when, other in rows[: number + 1] if when >= at - window]
        low, high = min(within), max(within)
        if price * 10 >= low * 11 or price * 10 <= high * 9:
            expected = [(alert, (at * 10**9, price, low if price * 10 >= low * 11 else high))]
            break
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(firings, "CHUNK", 8)
        assert list(firings.firings([alert], prints)) == expected


@pytest.mark.parametrize(("first", "second"), [(100, 110), (50, 55), (3, 3.3), (3, 2.7), (0.7, 0.63)])
def test_a_move_of_exactly_its_percent_fires(api: Api, first: float, second: float) -> None:
    made = make(api, kind="move", percent=10, seconds=60)
    store(api, first, second)
    look()
    assert shown(api, made)["state"] == "fired"


@pytest.mark.seconds
def test_many_moves_on_a_busy_symbol_delay_no_other_alert(api: Api) -> None:
    made = make(api, kind="move", percent=10_000, seconds=86_400)
    moves = [MarketAlert.objects.get() for _ in range(300)]
    for move in moves:
        move.pk, move.uuid = None, uuid4()
    MarketAlert.objects.bulk_create(moves)
    MarketAlert.objects.update(armed_at=timezone.now() - timedelta(hours=1))
    other = make(api, kind="level", direction="above", price=200, symbol="MSFT")
    begin_ns = time.time_ns() - 3600 * 10**9
    prints = trades(np.random.default_rng(1), begin_ns + np.arange(200_000) * 10**7)
    market_store().append(Append(TRADES, "AAPL", prints, "test", Dedupe.NONE))
    store(api, 201.0, symbol="MSFT")
    began = time.monotonic()
    look()
    assert is_kept(10, time.monotonic() - began)
    assert (shown(api, other)["state"], shown(api, made)["state"]) == ("fired", "armed")


def test_an_alert_of_an_unknown_symbol_is_refused(api: Api) -> None:
    body = {"symbol": "NOPEX", "kind": "silence", "seconds": 5}
    assert problem(api.call("POST", ALERTS, orjson.dumps(body))) == (404, "unknown_symbol")


def test_moves_for_which_there_is_no_time_wait_for_a_later_round(api: Api, monkeypatch) -> None:
    move, level = (
        make(api, kind="move", percent=5, seconds=60),
        make(api, kind="level", direction="above", price=105),
    )
    store(api, 100.0, 106.0)
    monkeypatch.setattr(alerts, "_MOVES_SECONDS", -1)
    look()
    assert [shown(api, each)["state"] for each in (move, level)] == ["armed", "fired"]
    monkeypatch.undo()
    look()
    assert shown(api, move)["state"] == "fired"


def test_silence_fires_while_the_symbol_is_traded(api: Api) -> None:
    store(api, 100.0)
    made = make(api, kind="silence", seconds=60)
    look()
    assert shown(api, made)["state"] == "armed"
    MarketAlert.objects.update(armed_at=timezone.now() - timedelta(hours=1))
    look()
    assert shown(api, made)["state"] == "armed"
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=61)):
        look()
    assert "silent_since" in shown(api, made)["fired"]


@pytest.mark.parametrize(
    ("at", "fires"),
    [("2026-11-27T03:00:00Z", False), ("2026-11-27T14:31:00Z", False), ("2026-11-27T15:00:00Z", True)],
)
def test_a_closed_exchange_is_not_silent(api: Api, at: str, fires: bool) -> None:
    market_store().set_instrument(Instrument("AAPL", exchange="XNYS"))
    made = make(api, kind="silence", seconds=600)
    MarketAlert.objects.update(armed_at="2026-11-01T00:00:00Z")
    with time_machine.travel(at):
        look()
    assert (shown(api, made)["state"] == "fired") is fires


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"kind": "level", "price": 1}, "direction", "required"),
        ({"kind": "level", "direction": "above"}, "price", "required"),
        ({"kind": "move", "percent": 1}, "seconds", "required"),
        ({"kind": "silence", "seconds": 5, "price": 1}, "price", "unknown_field"),
        ({"kind": "move", "percent": 0, "seconds": 5}, "percent", "out_of_range"),
        ({"kind": "move", "percent": 101, "seconds": 5, "direction": "below"}, "percent", "out_of_range"),
        ({"kind": "wish"}, "kind", "invalid_choice"),
        ({"kind": "silence", "seconds": 86_401}, "seconds", "out_of_range"),
    ],
)
def test_what_is_no_alert_is_refused(api: Api, body: dict[str, Any], field: str, code: str) -> None:
    response = api.call("POST", ALERTS, orjson.dumps({"symbol": "AAPL", **body}))
    (error,) = answer(response)["errors"]
    assert (response.status_code, error["path"], error["code"]) == (422, field, code)


def test_alerts_are_ones_own(api: Api) -> None:
    made, other = make(api, kind="silence", seconds=9), Api(make_key())
    make(api, kind="silence", seconds=9, symbol="MSFT")
    path = made["links"]["self"]
    assert [each["symbol"] for each in answer(api.get(ALERTS, {"symbol": "aapl"}))["alerts"]] == ["AAPL"]
    assert answer(other.get(ALERTS))["alerts"] == []
    for method, each in (("GET", path), ("DELETE", path), ("POST", f"{path}/rearm")):
        assert problem(other.call(method, each)) == (404, "not_found")
    assert api.call("DELETE", path).status_code == 204
    assert problem(api.get(path)) == (404, "not_found")


def test_an_alert_that_is_deleted_while_it_is_armed_stays_deleted(api: Api, monkeypatch) -> None:
    made = make(api, kind="silence", seconds=9)

    def delete_meanwhile(*log: Any) -> Any:
        MarketAlert.objects.all().delete()
        return head_of(*log)

    monkeypatch.setattr("webhooks.alerts.head_of", delete_meanwhile)
    assert problem(api.call("POST", f"{made['links']['self']}/rearm")) == (404, "not_found")
    assert not MarketAlert.objects.exists()


def test_an_alert_that_is_armed_again_while_the_worker_reads_does_not_fire_by_what_was_stored_before(
    api: Api, monkeypatch
) -> None:
    made = make(api, kind="level", direction="above", price=200)
    store(api, 100.0)
    read_new = alerts._read_new

    def read_then_arm_again(*given: Any) -> list[MarketAlert]:
        found = read_new(*given)
        # A print that is dated later than the arming, and is stored before it.
        store(api, 201.0, seconds=5)
        assert api.call("POST", f"{made['links']['self']}/rearm").status_code == 200
        return found

    monkeypatch.setattr(alerts, "_read_new", read_then_arm_again)
    look()
    monkeypatch.undo()
    assert MarketAlert.objects.get().commit == head_of(market_store(), TRADES, "AAPL").number == 2
    look()
    assert shown(api, made)["state"] == "armed"


def test_alerts_of_a_revoked_key_are_deleted(api: Api) -> None:
    make(api, kind="silence", seconds=9)
    other = Api(make_key())
    kept = make(other, kind="silence", seconds=9)
    ApiKey.objects.filter(pk=ApiKey.objects.earliest("pk").pk).update(revoked_at=timezone.now())
    events_delete_old(now=timezone.now())
    assert [str(each.uuid) for each in MarketAlert.objects.all()] == [kept["id"]]
