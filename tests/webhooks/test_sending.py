"""Deliveries: signed, in order, repeated until they are taken; one receiver's failure is not another's."""

from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key
from tests.front.front_server import eventually
from tests.ops.outbound.hostile_server import Server, hangs, in_turn, says
from tests.webhooks.conftest import HOOKS, much_later, received, send, subscribe
from webhooks import sending
from webhooks.events import event_write, events_fan_out
from webhooks.models import DELIVERED, FAILED, PENDING, Delivery, Webhook, WebhookEvent
from webhooks.outcomes import SCHEDULE
from webhooks.sending import LEASE

_numbers = count()


def owner() -> str:
    return f"key:{ApiKey.objects.earliest('pk').pk}"


def tell(subject: str = "job:1", kind: str = "job.succeeded", **more: Any) -> None:
    event_write(
        **{
            "kind": kind,
            "subject": subject,
            "owner": more.get("owner") or owner(),
            "data": {"n": next(_numbers)},
            "now": timezone.now(),
            **more,
        }
    )


def states() -> list[str]:
    return list(Delivery.objects.order_by("event").values_list("state", flat=True))


def test_an_event_is_sent_once_signed_as_standard_webhooks_says(api: Api, receiver) -> None:
    server = receiver()
    hook = subscribe(api, server.url + "/hook?a=b")
    tell()
    send()
    send()
    (event,) = received(server, hook["secret"])
    stored = WebhookEvent.objects.get()
    assert event == {
        "id": f"evt_{stored.uuid.hex}",
        "type": "job.succeeded",
        "timestamp": event["timestamp"],
        "data": stored.data,
    }
    assert server.calls[0][0] == "/hook?a=b"
    assert states() == [DELIVERED]
    with pytest.raises(WebhookVerificationError):
        received(server, "whsec_" + "A" * 43 + "=")


def test_an_event_of_a_kind_that_no_active_webhook_chose_is_sent_to_nobody(api: Api, receiver) -> None:
    hook = subscribe(api, receiver().url, "job.failed")
    tell()
    Webhook.objects.filter(uuid=hook["id"]).update(state="paused")
    tell(kind="job.failed")
    send()
    assert (WebhookEvent.objects.count(), Delivery.objects.count()) == (2, 0)


DOWN = [
    says(b"", 500),
    says(b"", 302, Location="http://127.0.0.1/"),
    says(b"", 404),
    lambda call: None,
    says(b"", 429),
]


@pytest.mark.parametrize("behave", DOWN, ids=["500", "302", "404", "closes", "429"])
def test_a_receiver_that_fails_gets_all_in_order_when_it_is_back(api: Api, receiver, behave) -> None:
    server = receiver(in_turn([behave, behave, behave, says(b"ok")]))
    hook = subscribe(api, server.url)
    for _ in range(10):
        tell()
    for _ in range(4):
        send()
        much_later()
    send()
    events = received(server, hook["secret"])
    stored = [f"evt_{each.uuid.hex}" for each in WebhookEvent.objects.order_by("pk")]
    assert [each["id"] for each in events] == [stored[0]] * 3 + stored
    assert states() == [DELIVERED] * 10


def test_nobody_there_is_a_failure_that_the_log_shows(api: Api, receiver) -> None:
    with_nobody = "http://127.0.0.1:9/hook?key=topsecret"
    hook = subscribe(api, with_nobody)
    tell()
    send()
    (shown,) = answer(api.get(f"{HOOKS}/{hook['id']}/deliveries?state=pending"))["deliveries"]
    assert (shown["attempts"], shown["status"], shown["error"]) == (
        1,
        None,
        "webhook: no answer (ConnectError)",
    )
    assert answer(api.get(f"{HOOKS}/{hook['id']}"))["failing_since"] is not None


def test_the_waits_are_those_of_standard_webhooks_and_then_it_ends(api: Api, receiver) -> None:
    subscribe(api, receiver(says(b"", 500)).url)
    tell()
    for seconds in SCHEDULE:
        send()
        delivery = Delivery.objects.get()
        wait = (delivery.next_at - timezone.now()).total_seconds()
        assert seconds * 0.9 - 10 <= wait <= seconds * 1.1
        much_later()
    send()
    assert states() == [FAILED]


def test_a_receiver_that_takes_some_does_not_fail_for_long(api: Api, receiver) -> None:
    subscribe(api, receiver(by_body({b"poison": says(b"", 500), b"": says(b"")})).url)
    Webhook.objects.update(failing_since=timezone.now() - timedelta(hours=99))
    # Of one subject: sent in order, the one that fails last.
    tell("job:1")
    tell("job:1", data={"poison": True})
    send()
    webhook = Webhook.objects.get()
    assert webhook.state == "active"
    assert webhook.failing_since is not None
    assert timezone.now() - webhook.failing_since < timedelta(hours=1)
    assert sorted(states()) == [DELIVERED, PENDING]


def test_retry_after_is_obeyed(api: Api, receiver) -> None:
    server = receiver(says(b"", 503, Retry_After="3600"))
    subscribe(api, server.url)
    tell()
    tell()
    send()
    send()
    assert len(server.calls) == 1
    for instant in (Delivery.objects.earliest("event").next_at, Webhook.objects.get().retry_at):
        assert instant is not None
        assert timedelta(seconds=3500) < instant - timezone.now() <= timedelta(seconds=3600)


def test_410_ends_the_subscription_and_a_resume_begins_anew(api: Api, receiver) -> None:
    server = receiver(in_turn([says(b"", 410), says(b"")]))
    hook = subscribe(api, server.url)
    tell()
    tell()
    send()
    much_later()
    send()
    shown = answer(api.get(f"{HOOKS}/{hook['id']}"))
    assert (shown["state"], shown["paused_because"], len(server.calls)) == ("paused", "gone", 1)
    assert states() == [FAILED, FAILED]
    assert answer(api.call("PATCH", f"{HOOKS}/{hook['id']}", b'{"state": "active"}'))["state"] == "active"
    tell()
    send()
    assert states() == [FAILED, FAILED, DELIVERED]


def test_a_receiver_that_fails_for_long_is_paused_and_other_webhooks_are_told(api: Api, receiver) -> None:
    dead, other = receiver(in_turn([says(b"", 500)] * 2 + [says(b"")])), receiver()
    hook = subscribe(api, dead.url)
    watch = subscribe(api, other.url, "webhook.paused")
    tell()
    send()
    Webhook.objects.filter(uuid=hook["id"]).update(failing_since=timezone.now() - timedelta(hours=72))
    much_later()
    send()
    (told,) = received(other, watch["secret"])
    assert (told["type"], told["data"]["id"], told["data"]["paused_because"]) == (
        "webhook.paused",
        hook["id"],
        "failing",
    )
    much_later()
    send()
    assert len(dead.calls) == 2
    # What was pending is not lost.
    api.call("PATCH", f"{HOOKS}/{hook['id']}", b'{"state": "active"}')
    send()
    assert len(dead.calls) == 3
    assert DELIVERED in states()


def by_body(behaviours: dict[bytes, Any]) -> Any:
    """Behave by what the body contains."""

    def behave(call: Any) -> None:
        next(each for text, each in behaviours.items() if text in call.body)(call)

    return behave


def test_an_event_that_is_refused_holds_only_its_subject(api: Api, receiver) -> None:
    server = receiver(by_body({b"poison": says(b"", 500), b"": says(b"")}))
    subscribe(api, server.url)
    tell("job:1", data={"poison": True})
    tell("job:1")
    tell("job:2")
    send()
    Webhook.objects.update(retry_at=None)
    send()
    assert states() == [PENDING, PENDING, DELIVERED]


def has_taken(sender: sending.Sender, server: Server, count: int) -> bool:
    sender.round(seconds=0.1)
    return len(server.calls) == count


def test_dead_receivers_hold_no_fast_one_of_their_owner(api: Api, receiver) -> None:
    for _ in range(5):
        subscribe(api, receiver(hangs).url)
    good = receiver()
    subscribe(api, good.url)
    Webhook.objects.filter(url=good.url).update(is_slow=False)
    for number in range(50):
        tell(f"job:{number}")
    sender = sending.Sender()
    assert eventually(lambda: has_taken(sender, good, 50))
    # All others are still being called for the first time.
    assert Delivery.objects.filter(attempts__gt=0).exclude(state=DELIVERED).count() == 0


@pytest.mark.parametrize("is_slow", [True, False], ids=["new", "fast before"])
def test_many_receivers_of_one_owner_that_hang_or_are_slow_delay_nobody_else(
    api: Api, receiver, is_slow: bool
) -> None:
    servers = [receiver(hangs), receiver(lambda call: call.wait(9))]
    subscribe(api, servers[0].url)
    copies = [Webhook.objects.get() for _ in range(119)]
    for number, copy in enumerate(copies):
        copy.pk, copy.uuid, copy.url = None, uuid4(), f"{servers[number % 2].url}/{number}"
    Webhook.objects.bulk_create(copies)
    tell()
    Webhook.objects.update(is_slow=is_slow)
    sender, good = sending.Sender(), receiver()
    sender.round(seconds=0.5)
    subscribe(Api(make_key()), good.url)
    neighbours = Webhook.objects.filter(url=good.url)
    neighbours.update(is_slow=is_slow)
    tell("job:2", owner=neighbours.get().owner)
    assert eventually(lambda: has_taken(sender, good, 1), seconds=8)


@pytest.mark.parametrize("failing", [False, True])
def test_a_failing_receiver_gets_one_call_at_a_time(api: Api, receiver, failing: bool) -> None:
    server = receiver()
    subscribe(api, server.url)
    Webhook.objects.update(failing_since=timezone.now() if failing else None)
    for number in range(20):
        tell(f"job:{number}")
    sender = sending.Sender()
    events_fan_out(now=timezone.now())
    sender._start(timezone.now())
    sender._record(5)
    assert len(server.calls) == (1 if failing else 20)


def test_filters_and_owners_decide_who_gets_an_event(api: Api, receiver) -> None:
    every, one, other = receiver(), receiver(), receiver()
    subscribe(api, every.url)
    subscribe(api, one.url, accounts=["A"], symbols=["AAPL"])
    subscribe(Api(make_key()), other.url)
    tell(account="B")
    tell(account="A", symbol="MSFT")
    tell(account="A", symbol="aapl".upper())
    tell()
    send()
    assert (len(every.calls), len(one.calls), len(other.calls)) == (4, 2, 0)


def test_a_revoked_key_is_told_nothing_more_and_a_rotated_one_is(api: Api, receiver) -> None:
    server = receiver()
    hook = subscribe(api, server.url)
    tell()
    key = ApiKey.objects.get()
    rotated = api.call("POST", f"/api/v1/keys/{key.pk}/rotate", b'{"overlap_seconds": 0}')
    assert rotated.status_code == 201
    send()
    assert len(server.calls) == 1
    tell()
    events_fan_out(now=timezone.now())
    ApiKey.objects.update(revoked_at=timezone.now())
    send()
    tell()
    send()
    assert len(server.calls) == 1
    assert Webhook.objects.get(uuid=hook["id"]).paused_because == "owner_ended"


def test_grants_count_as_they_are_when_an_event_is_sent(api: Api, receiver) -> None:
    server = receiver()
    subscribe(api, server.url)
    tell(account="A")
    events_fan_out(now=timezone.now())
    ApiKey.objects.update(accounts=["B"])
    send()
    assert server.calls == []
    assert (states(), Delivery.objects.get().attempts) == ([FAILED], 0)


def test_both_secrets_verify_until_the_overlap_ends(api: Api, receiver) -> None:
    server = receiver()
    hook = subscribe(api, server.url)
    rotated = answer(api.call("POST", f"{HOOKS}/{hook['id']}/rotate", b'{"overlap_seconds": 60}'))
    tell()
    send()
    received(server, hook["secret"], rotated["secret"])
    Webhook.objects.update(old_secret_until=timezone.now())
    tell()
    send()
    with pytest.raises(WebhookVerificationError):
        received(server, hook["secret"])


def test_a_secret_that_can_no_longer_be_read_pauses(api: Api, receiver, settings) -> None:
    server = receiver()
    subscribe(api, server.url)
    tell()
    settings.SECRET_KEY = "another"
    send()
    assert (server.calls, Webhook.objects.get().paused_because) == ([], "secret_lost")


def test_another_process_has_a_webhook_until_its_lease_ends(api: Api, receiver) -> None:
    server = receiver()
    subscribe(api, server.url)
    tell()
    Webhook.objects.update(leased_until=timezone.now() + LEASE)
    send()
    assert server.calls == []
    # The other process was killed within its call.
    Webhook.objects.update(leased_until=timezone.now())
    send()
    assert (len(server.calls), states()) == (1, [DELIVERED])


def test_a_lease_that_was_lost_meanwhile_is_left_to_the_other(api: Api, receiver) -> None:
    server = receiver()
    subscribe(api, server.url)
    tell()
    sender = sending.Sender()
    events_fan_out(now=timezone.now())
    sender._start(timezone.now())
    others = timezone.now() + 2 * LEASE
    Webhook.objects.update(leased_until=others)
    sender._record(5)
    assert (states(), Webhook.objects.get().leased_until) == ([PENDING], others)


def test_a_receiver_inside_is_never_connected_to(api: Api, receiver, settings) -> None:
    inside = receiver()
    hook = subscribe(api, f"http://localhost:{inside.port}/")
    settings.OUTBOUND_NETWORKS = ()
    tell()
    send()
    assert inside.connections == 0
    (shown,) = answer(api.get(f"{HOOKS}/{hook['id']}/deliveries"))["deliveries"]
    assert "is not public" in shown["error"]


def test_a_hundred_subjects_of_one_webhook_are_one_batch(api: Api, receiver) -> None:
    server: Server = receiver()
    subscribe(api, server.url)
    for number in range(100):
        tell(f"job:{number % 7}")
    send()
    assert states() == [DELIVERED] * 100
    by_subject: dict[str, list[int]] = {}
    for event in received(server):
        by_subject.setdefault(WebhookEvent.objects.get(uuid=event["id"][4:]).subject, []).append(
            event["data"]["n"]
        )
    assert all(numbers == sorted(numbers) for numbers in by_subject.values())
    # A connection for each of the few calls at a time.
    assert server.connections <= 100
