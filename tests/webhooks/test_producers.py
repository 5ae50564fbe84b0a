"""What webhooks are told of: accounts, gaps, corrections, keys."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.backfills.models import EXHAUSTED, FILLED
from jobs.backfills.services import backfill_record
from ratelimit.keys.expiry import keys_watch
from ratelimit.models import ApiKey
from sources.feed_events import feeds_watch
from sources.feed_status import publish
from store.protocol import Window
from tests.api_client import Api, trade
from tests.sources.test_feed_status import status
from tests.trading.recorded import RecordedAccount
from tests.webhooks.conftest import received, send, subscribe
from trading.core.events import ZONE_ALERT, Alert
from webhooks.events import CHOOSABLE, EVENT_KINDS, chosen_kinds
from webhooks.models import WebhookEvent


def kinds() -> list[str]:
    return list(WebhookEvent.objects.order_by("pk").values_list("kind", flat=True))


@pytest.fixture
def watched(api: Api, receiver) -> tuple[Any, str]:
    """A receiver of all kinds, and its secret."""
    server = receiver()
    return server, subscribe(api, server.url, *CHOOSABLE)["secret"]


def test_orders_and_fills_are_told_in_the_order_of_the_account(watched) -> None:
    account = RecordedAccount(deposit=10_000)
    first = account.order("COIN", "buy", 2)
    account.fill(first, 1, 100, seconds=1)
    account.fill(first, 1, 101, seconds=2)
    second = account.order("COIN", "buy", 1, seconds=3)
    account.cancel(second, seconds=4)
    account.record(
        Alert(kind=ZONE_ALERT, message="caution"), Alert(kind="margin_call", message="pay"), seconds=5
    )
    expected = [
        "order.accepted", "order.partially_filled", "execution", "order.filled", "execution",
        "order.accepted", "order.cancelled", "account.alert", "account.alert",
    ]  # fmt: skip
    assert sorted(kinds()) == sorted(expected)
    send()
    events = received(*watched)
    assert [each["type"] for each in events] == kinds()
    numbers = [each["data"]["number"] for each in events]
    assert numbers == sorted(numbers)
    filled = next(each["data"] for each in events if each["type"] == "order.filled")
    assert (filled["id"], filled["account"], filled["filled_quantity"], filled["symbol"]) == (
        first,
        "ACC",
        2.0,
        "COIN",
    )


def test_an_account_costs_a_query_a_second_and_no_row_if_nobody_is_told(api: Api) -> None:
    account = RecordedAccount()
    chosen_kinds.cache_clear()
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            account.order("COIN", "buy", 2)
    assert len([each for each in queries if "webhooks_" in each["sql"]]) == 1
    assert kinds() == []


def test_an_account_is_told_only_to_who_may_read_it(watched) -> None:
    ApiKey.objects.update(scopes=["market:read"])
    RecordedAccount().order("COIN", "buy", 2)
    send()
    assert (kinds(), received(*watched)) == (["order.accepted"], [])


def test_a_rolled_back_change_tells_nothing(watched) -> None:
    account = RecordedAccount()
    with transaction.atomic():
        account.record(Alert(kind="halt", message="x"))
        transaction.set_rollback(True)
    assert kinds() == []


@pytest.mark.parametrize("state", [FILLED, EXHAUSTED, "empty"])
def test_what_became_of_a_gap_is_told(watched, state: str) -> None:
    gap: dict[str, Any] = {
        "dataset": "trades",
        "symbol": "AAPL",
        "window": Window(0, 60 * 10**9),
        "state": state,
    }
    backfill_record(**gap, told=[], now=timezone.now(), job=uuid4())
    send()
    told = [(each["type"], each["data"]["symbol"], each["data"]["end"]) for each in received(*watched)]
    assert told == ([] if state == "empty" else [(f"gap.{state}", "AAPL", "1970-01-01T00:01:00Z")])


def test_a_feed_that_is_down_and_up_again_is_told_once(watched, settings, project_redis) -> None:
    settings.FEEDS = (("binance", "BTC/USDT", ""),)
    start = timezone.now()
    for seconds, state in ((0, "waiting"), (60, "waiting"), (90, "waiting"), (100, "live"), (160, "live")):
        publish([status("BTC-USDT", state=state)])
        feeds_watch(now=start + timedelta(seconds=seconds))
    send()
    told = [(each["type"], each["data"]["symbol"], each["data"]["state"]) for each in received(*watched)]
    assert told == [("feed.down", "BTC-USDT", "waiting"), ("feed.up", "BTC-USDT", "live")]


def test_a_correction_is_told_once(api: Api, watched) -> None:
    api.ingest(trade(trade_id="1"))
    cancel = {"action": "cancel", "timestamp": trade()["timestamp"], "trade_id": "1"}
    answers = [orjson.loads(api.correct(cancel).content) for _ in range(2)]
    send()
    (told,) = received(*watched)
    data = {"symbol": "AAPL", "dataset": "trades", "stored": 1, "commit": told["data"]["commit"]}
    assert (told["type"], told["data"]) == ("correction", data)
    assert data["commit"].startswith(f"{answers[0]['commit']}-")


def test_a_correction_whose_event_was_not_written_is_told_when_the_call_is_repeated(
    api: Api, watched, monkeypatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("the disk is full")

    api.ingest(trade(trade_id="1"))
    cancel = {"action": "cancel", "timestamp": trade()["timestamp"], "trade_id": "1"}
    with monkeypatch.context() as patched:
        patched.setattr(WebhookEvent.objects, "get_or_create", fail)
        assert api.correct(cancel, Idempotency_Key="1").status_code == 503
    assert api.correct(cancel, Idempotency_Key="1").status_code == 200
    assert kinds() == ["correction"]


def test_a_key_that_expires_soon_is_told_to_itself(watched) -> None:
    now = timezone.now()
    ApiKey.objects.update(created_at=now - timedelta(days=90), expires_at=now + timedelta(days=6))
    keys_watch(now=now)
    keys_watch(now=now)
    send()
    (told,) = received(*watched)
    assert (told["type"], told["data"]["id"]) == ("key.expiring", ApiKey.objects.get().pk)


def test_each_kind_has_a_text() -> None:
    assert all(kind.text.endswith(".") for kind in EVENT_KINDS.values())
