"""What may start is sent, the most urgent first, and again if its message was lost."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from jobs.claims import job_claim
from jobs.kinds import JOB_KINDS
from jobs.models import Job
from jobs.relay import RESEND, jobs_send

pytestmark = pytest.mark.django_db(transaction=True)


def sent(*, later: timedelta = timedelta(0)) -> list[UUID]:
    uuids: list[UUID] = []
    jobs_send(now=timezone.now() + later, send=uuids.append)
    return uuids


def test_a_new_job_is_sent_once(submit) -> None:
    job = submit()
    assert sent() == [job.uuid]
    assert sent() == []


def test_a_lost_message_is_sent_again(submit) -> None:
    job = submit()
    sent()
    assert sent(later=RESEND + timedelta(seconds=1)) == [job.uuid]


def test_the_most_urgent_start_first_and_only_as_many_as_may_run(submit) -> None:
    usual, other = submit(at_once=3), submit(at_once=3)
    urgent = submit(at_once=3, urgency=1)
    assert sent() == [urgent.uuid, usual.uuid]
    assert sent() == []
    assert job_claim(urgent.uuid, kinds=JOB_KINDS.get().values(), now=timezone.now()) is not None
    assert sent() == [], "two are running or on their way, and the third place is for another owner"
    elsewhere = submit(at_once=3, owner="key:2")
    assert sent() == [elsewhere.uuid]
    assert sent() == []
    Job.objects.filter(uuid=urgent.uuid).delete()
    assert sent() == [other.uuid]


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_owners_take_turns(submit, at_once: int) -> None:
    many = [submit(owner="key:1", at_once=at_once).uuid for _ in range(5)]
    few = [submit(owner=owner, at_once=at_once).uuid for owner in ("key:2", "key:3", "key:2")]
    order: list[UUID] = []
    for second in range(8):
        order += sent(later=timedelta(seconds=second))
        # What was sent has ended.
        Job.objects.filter(uuid__in=order).update(state="succeeded")
    assert order == [many[0], few[0], few[1], many[1], few[2], *many[2:]]


def test_an_urgent_job_does_not_take_the_turn_of_another_owner(submit) -> None:
    urgent = [submit(owner="key:1", urgency=1, at_once=1) for _ in range(2)]
    other = submit(owner="key:2", at_once=1)
    assert sent() == [urgent[0].uuid]
    Job.objects.filter(uuid=urgent[0].uuid).update(state="succeeded")
    assert sent() == [other.uuid]


def test_a_job_that_waits_for_its_time_is_not_sent(submit) -> None:
    job = submit()
    Job.objects.update(not_before=timezone.now() + timedelta(minutes=1))
    assert sent() == []
    assert sent(later=timedelta(minutes=2)) == [job.uuid]


def test_a_job_whose_worker_was_lost_is_sent_again(submit) -> None:
    job = submit(at_once=1)
    sent()
    assert job_claim(job.uuid, kinds=JOB_KINDS.get().values(), now=timezone.now()) is not None
    assert sent(later=timedelta(seconds=10)) == []
    assert sent(later=timedelta(seconds=30)) == [job.uuid]


def test_without_redis_the_job_is_sent_later(submit) -> None:
    job = submit()

    def fail(_: UUID) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        jobs_send(now=timezone.now(), send=fail)
    assert sent() == [job.uuid]


def test_a_kind_that_is_no_longer_there_is_left_alone(submit, use_kinds) -> None:
    submit()
    use_kinds()
    assert sent() == []


def test_a_job_whose_turn_is_taken_is_not_sent(submit) -> None:
    first, second, other = (
        submit(turn=lambda _: "a", at_once=3),
        submit(turn=lambda _: "a", at_once=3),
        submit(at_once=3),
    )
    assert job_claim(first.uuid, kinds=JOB_KINDS.get().values(), now=timezone.now()) is not None
    assert sent() == [other.uuid]
    Job.objects.filter(uuid=first.uuid).delete()
    assert sent() == [second.uuid]


def test_a_lost_job_comes_before_more_urgent_ones_with_its_turn_or_slot(submit) -> None:
    options = {"turn": lambda _: "a", "at_once": 1}
    lost = submit(**options)
    assert job_claim(lost.uuid, kinds=JOB_KINDS.get().values(), now=timezone.now()) is not None
    submit(urgency=1, **options)
    assert sent(later=timedelta(seconds=30)) == [lost.uuid]
