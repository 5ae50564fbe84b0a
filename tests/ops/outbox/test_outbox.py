"""Events are written with their change, and delivered once each, in order."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from ops.outbox.models import Event
from ops.outbox.services import LIFETIME, event_add, events_delete_old, events_deliver

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

Delivered = Callable[[], list[str]]


@pytest.fixture
def delivered(caplog: pytest.LogCaptureFixture) -> Delivered:
    """The subjects of the events that were delivered."""
    caplog.set_level(logging.INFO, logger="ops.outbox")
    return lambda: [message.split()[1] for message in caplog.messages if message.startswith("test.happened ")]


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
def test_events_are_delivered_once_and_in_order(delivered: Delivered) -> None:
    for subject in "abc":
        add(subject)
    events_deliver(now=NOW)
    events_deliver(now=NOW)
    assert delivered() == ["a", "b", "c"]


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_after_a_later_one_is_delivered(delivered: Delivered) -> None:
    add("second")
    second = Event.objects.get()
    events_deliver(now=NOW)
    Event.objects.create(pk=second.pk - 1 or -1, kind="test.happened", subject="first", at=NOW)
    events_deliver(now=NOW)
    assert delivered() == ["second", "first"]


@pytest.mark.django_db(transaction=True)
def test_only_delivered_events_are_deleted() -> None:
    add("sent")
    events_deliver(now=NOW)
    add("unsent")
    events_delete_old(now=NOW + LIFETIME)
    assert Event.objects.count() == 2
    events_delete_old(now=NOW + LIFETIME + timedelta(seconds=1))
    assert [event.subject for event in Event.objects.all()] == ["unsent"]
