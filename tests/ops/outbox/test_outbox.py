"""Events are written with their change, and delivered once each, in order."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from ops.outbox.models import Event
from ops.outbox.services import LIFETIME, RECEIVERS, event_add, events_delete_old, events_deliver

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def add(subject: str) -> None:
    with transaction.atomic():
        event_add(kind="test.happened", subject=subject, payload={"n": 1}, at=NOW)


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        event_add(kind="test.happened", subject="a", payload={}, at=NOW)


@pytest.mark.django_db(transaction=True)
def test_an_event_goes_with_its_change() -> None:
    with transaction.atomic():
        event_add(kind="test.happened", subject="a", payload={}, at=NOW)
        transaction.set_rollback(True)
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_events_are_delivered_once_and_in_order() -> None:
    seen: list[str] = []
    for subject in "abc":
        add(subject)
    with RECEIVERS.replaced([lambda event: seen.append(event.subject)]):
        events_deliver(now=NOW)
        events_deliver(now=NOW)
    assert seen == ["a", "b", "c"]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_stops_the_later_events() -> None:
    seen: list[str] = []

    def receive(event: Event) -> None:
        if event.subject == "b" and "failed" not in seen:
            seen.append("failed")
            raise OSError("away")
        seen.append(event.subject)

    for subject in "abc":
        add(subject)
    with RECEIVERS.replaced([receive]):
        with pytest.raises(OSError, match="away"):
            events_deliver(now=NOW)
        assert seen == ["a", "failed"]
        events_deliver(now=NOW)
    assert seen == ["a", "failed", "b", "c"]


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_after_a_later_one_is_delivered() -> None:
    seen: list[str] = []
    add("second")
    first = Event.objects.get()
    with RECEIVERS.replaced([lambda event: seen.append(event.subject)]):
        events_deliver(now=NOW)
        Event.objects.create(pk=first.pk - 1 or -1, kind="test.happened", subject="first", at=NOW)
        events_deliver(now=NOW)
    assert seen == ["second", "first"]


@pytest.mark.django_db(transaction=True)
def test_only_delivered_events_are_deleted() -> None:
    add("sent")
    with RECEIVERS.replaced([]):
        events_deliver(now=NOW)
    add("unsent")
    events_delete_old(now=NOW + LIFETIME)
    assert Event.objects.count() == 2
    events_delete_old(now=NOW + LIFETIME + timedelta(seconds=1))
    assert [event.subject for event in Event.objects.all()] == ["unsent"]
