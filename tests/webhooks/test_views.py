"""Callers manage their own webhooks, and see what was sent."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.generics import GenericAPIView

from store.instruments import Instrument
from tests.api_client import Api, answer, make_key, problem
from tests.webhooks.conftest import HOOKS, received, send, subscribe
from tests.webhooks.test_sending import tell
from trades.stores import market_store
from webhooks import alerts, services
from webhooks.events import events_fan_out
from webhooks.models import DELIVERED, Delivery, Webhook, WebhookEvent
from webhooks.services import events_delete_old

URL = "https://receiver.example/hook"


def test_a_webhook_is_made_shown_changed_and_deleted(api: Api) -> None:
    made = subscribe(api, URL, "job.failed", "job.failed", symbols=["aapl"])
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert (made["kinds"], made["symbols"], made["state"]) == (["job.failed"], ["AAPL"], "active")
    path = made["links"]["self"]
    assert answer(api.get(path)) == made
    assert answer(api.get(HOOKS))["webhooks"] == [made]
    assert secret not in str(Webhook.objects.values().get())
    changed = answer(api.call("PATCH", path, b'{"kinds": ["job.cancelled"], "state": "paused"}'))
    assert changed == {**made, "kinds": ["job.cancelled"], "state": "paused", "paused_because": "by_owner"}
    assert answer(api.call("PATCH", path, b'{"state": "active"}'))["state"] == "active"
    assert api.call("DELETE", path).status_code == 204
    assert problem(api.get(path)) == (404, "not_found")


def test_a_repeated_creation_gives_the_same_answer(api: Api) -> None:
    body = orjson.dumps({"url": URL, "kinds": ["job.failed"]})
    first, again = (api.call("POST", HOOKS, body, Idempotency_Key="1") for _ in range(2))
    assert answer(first) == answer(again)
    assert again["Idempotency-Replayed"] == "true"
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "ftp://receiver.example/"}, "invalid_format"),
        ({"url": "https://user@receiver.example/"}, "invalid_format"),
        ({"url": "https://169.254.169.254/latest"}, "invalid_format"),
        ({"url": "https://2886729729/"}, "invalid_format"),
        ({"url": ""}, "invalid_text"),
        ({"url": 7}, "invalid_type"),
        ({"kinds": []}, "empty"),
        ({"kinds": ["webhook.test"]}, "invalid_choice"),
        ({"kinds": ["x"]}, "invalid_choice"),
        ({"symbols": ["../x"]}, "invalid_symbol"),
        ({"secret": "whsec_AAAA"}, "unknown_field"),
        ({"state": "paused"}, "unknown_field"),
    ],
)
def test_what_is_no_webhook_is_refused(api: Api, body, code: str) -> None:
    response = api.call("POST", HOOKS, orjson.dumps({"url": URL, "kinds": ["job.failed"], **body}))
    assert (problem(response), answer(response)["errors"][0]["code"]) == ((422, "validation_failed"), code)
    assert not Webhook.objects.exists()


def test_a_caller_has_so_many_webhooks_at_most(api: Api, monkeypatch) -> None:
    monkeypatch.setattr(services, "MOST_WEBHOOKS", 1)
    subscribe(api, URL)
    response = api.call("POST", HOOKS, orjson.dumps({"url": URL, "kinds": ["job.failed"]}))
    assert (response.status_code, answer(response)["errors"][0]["code"]) == (422, "too_many")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("call", ["PATCH ", "DELETE ", "POST /rotate", "POST /test", "POST replay"])
def test_a_row_is_read_in_the_transaction_that_changes_it(api: Api, monkeypatch, call: str) -> None:
    """Otherwise a deletion comes between, and the call fails or brings the row back."""
    path = subscribe(api, URL)["links"]["self"]
    replay = answer(api.call("POST", f"{path}/test"))["links"]["replay"]
    usual, within = GenericAPIView.get_object, []

    def get_object(view: GenericAPIView[Any]) -> Any:
        within.append(connection.in_atomic_block)
        return usual(view)

    monkeypatch.setattr(GenericAPIView, "get_object", get_object)
    method, end = call.split(" ")
    assert api.call(method, replay if end == "replay" else f"{path}{end}", b"{}").status_code in (200, 204)
    assert within == [True]


@pytest.mark.django_db(transaction=True)
def test_rows_are_counted_in_the_transaction_that_adds_one(api: Api, monkeypatch) -> None:
    """Otherwise concurrent calls make more than the most."""
    usual, within = services.check_fewer, []

    def check_fewer(*counted: Any, **named: Any) -> None:
        within.append(connection.in_atomic_block)
        usual(*counted, **named)

    for module in (services, alerts):
        monkeypatch.setattr(module, "check_fewer", check_fewer)
    subscribe(api, URL)
    market_store().set_instrument(Instrument("AAPL"))
    body = {"symbol": "AAPL", "kind": "silence", "seconds": 9}
    assert api.call("POST", "/api/v1/alerts", orjson.dumps(body)).status_code == 201
    assert within == [True, True]


def test_no_rotation_breaks_the_overlap_of_an_earlier_one_unless_asked(api: Api) -> None:
    path = f"{subscribe(api, URL)['links']['self']}/rotate"
    assert api.call("POST", path, b'{"overlap_seconds": 600}').status_code == 200
    refused = api.call("POST", path, b'{"overlap_seconds": 600}')
    assert (refused.status_code, answer(refused)["errors"][0]["code"]) == (422, "out_of_range")
    assert api.call("POST", path, b'{"overlap_seconds": 0}').status_code == 200
    assert api.call("POST", path, b'{"overlap_seconds": 600}').status_code == 200


def test_a_repeated_rotation_gives_the_same_secret(api: Api) -> None:
    path = f"{subscribe(api, URL)['links']['self']}/rotate"
    first, again = (api.call("POST", path, b"{}", Idempotency_Key="1") for _ in range(2))
    assert (first.status_code, again.status_code, answer(first)) == (200, 200, answer(again))


def test_others_see_and_change_nothing(api: Api) -> None:
    made = subscribe(api, URL)
    path, other = made["links"]["self"], Api(make_key())
    delivery = answer(api.call("POST", f"{path}/test"))
    assert answer(other.get(HOOKS))["webhooks"] == []
    calls = [
        ("GET", path), ("PATCH", path), ("DELETE", path), ("POST", f"{path}/rotate"),
        ("POST", f"{path}/test"), ("GET", f"{path}/deliveries"), ("POST", delivery["links"]["replay"]),
    ]  # fmt: skip
    for method, each in calls:
        assert problem(other.call(method, each, b"{}" if method != "GET" else b"")) == (404, "not_found")
    assert problem(api.get(f"{HOOKS}/x")) == (404, "not_found")
    assert Api(None).get(HOOKS).status_code == 401


def test_the_test_button_calls_even_one_that_fails(api: Api, receiver) -> None:
    server = receiver()
    made = subscribe(api, server.url)
    Webhook.objects.update(failing_since=timezone.now(), retry_at=timezone.now() + timedelta(hours=1))
    delivery = answer(api.call("POST", f"{made['links']['self']}/test"))
    assert (delivery["type"], delivery["state"]) == ("webhook.test", "pending")
    send()
    assert [each["type"] for each in received(server, made["secret"])] == ["webhook.test"]


def test_the_log_shows_calls_and_one_is_replayed_with_the_same_id(api: Api, receiver) -> None:
    server = receiver()
    made = subscribe(api, server.url)
    tell()
    send()
    log = f"{made['links']['self']}/deliveries"
    (shown,) = answer(api.get(log, {"state": DELIVERED}))["deliveries"]
    assert (shown["status"], shown["answer"], shown["error"], shown["next_at"]) == (200, "ok", None, None)
    assert answer(api.get(log, {"state": "failed"}))["deliveries"] == []
    replayed = answer(api.call("POST", shown["links"]["replay"]))
    assert (replayed["state"], replayed["attempts"]) == ("pending", 0)
    send()
    first, again = received(server, made["secret"])
    assert first == again


def test_old_events_go_with_their_deliveries(api: Api, receiver, settings) -> None:
    made = subscribe(api, receiver().url)
    tell()
    send()
    events_delete_old(now=timezone.now())
    assert Delivery.objects.count() == 1
    events_delete_old(now=timezone.now() + timedelta(days=settings.WEBHOOK_RETENTION_DAYS))
    assert not WebhookEvent.objects.exists()
    assert Webhook.objects.filter(uuid=made["id"]).exists()


def test_an_owner_keeps_its_newest_deliveries_and_no_origin_without_them(api: Api, monkeypatch) -> None:
    hook = subscribe(api, URL)
    owner = Webhook.objects.get().owner
    for number in range(5):
        tell()
        callback = f"https://receiver-{number}.example/done"
        tell(owner=owner, callback_url=callback, kind="job.cancelled")
    tell(owner="key:999", callback_url="https://other.example/done")
    events_fan_out(now=timezone.now())
    monkeypatch.setattr(services, "MOST_DELIVERIES", 3)
    monkeypatch.setattr(services, "_DELETED_AT_ONCE", 2)
    newest = set(
        Delivery.objects.filter(webhook__owner=owner).order_by("-pk").values_list("pk", flat=True)[:3]
    )
    events_delete_old(now=timezone.now())
    kept = Delivery.objects.filter(webhook__owner=owner)
    assert set(kept.values_list("pk", flat=True)) == newest
    assert Delivery.objects.count() == 4
    assert Webhook.objects.filter(uuid=hook["id"]).exists()
    assert not Webhook.objects.filter(is_callback=True, deliveries=None).exists()
    assert Webhook.objects.count() < 7
