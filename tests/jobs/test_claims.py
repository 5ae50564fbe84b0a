"""Which job a worker takes next: lost ones first, owners by turns, no more than may run."""

from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from django.db.models.functions import Now
from django.utils import timezone

from jobs.claims import job_claim, job_end
from jobs.models import SUCCEEDED, Job

pytestmark = pytest.mark.django_db(transaction=True)


def taken(*, only_awaited: bool = False) -> UUID | None:
    job = job_claim(only_awaited=only_awaited)
    return None if job is None else job.uuid


def ended(job: UUID) -> None:
    Job.objects.filter(uuid=job).update(state=SUCCEEDED, lease=None, leased_until=None)


def test_a_job_is_taken_once(submit) -> None:
    job = submit()
    assert taken() == job.uuid
    assert taken() is None


def test_the_most_urgent_start_first_and_only_as_many_as_may_run(submit) -> None:
    usual, other = submit(at_once=3), submit(at_once=3)
    urgent = submit(at_once=3, urgency=1)
    assert [taken(), taken()] == [urgent.uuid, usual.uuid]
    assert taken() is None, "the third place is for another owner"
    elsewhere, fourth = (submit(at_once=3, owner=owner) for owner in ("key:2", "key:3"))
    assert [taken(), taken()] == [elsewhere.uuid, None]
    ended(urgent.uuid)
    assert taken() == fourth.uuid, "its owner has waited longest"
    ended(usual.uuid)
    assert taken() == other.uuid


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_owners_take_turns(submit, at_once: int) -> None:
    many = [submit(owner="key:1", at_once=at_once).uuid for _ in range(5)]
    few = [submit(owner=owner, at_once=at_once).uuid for owner in ("key:2", "key:3", "key:2")]
    order: list[UUID] = []
    while (job := job_claim()) is not None:
        order.append(job.uuid)
        ended(job.uuid)
    assert order == [many[0], few[0], few[1], many[1], few[2], *many[2:]]


def test_an_urgent_job_does_not_take_the_turn_of_another_owner(submit) -> None:
    urgent = [submit(owner="key:1", urgency=1, at_once=1) for _ in range(2)]
    other = submit(owner="key:2", at_once=1)
    assert taken() == urgent[0].uuid
    ended(urgent[0].uuid)
    assert taken() == other.uuid


def test_an_owner_whose_jobs_fail_again_and_again_waits_for_its_turn(submit) -> None:
    failing, other = submit(owner="key:1", at_once=1), submit(owner="key:2", at_once=1)
    assert taken() == failing.uuid
    Job.objects.filter(uuid=failing.uuid).update(state="queued", lease=None, leased_until=None)
    assert taken() == other.uuid


def test_the_last_thread_takes_only_jobs_that_somebody_awaits(submit) -> None:
    usual, awaited = submit(), submit(urgency=1)
    assert taken(only_awaited=True) == awaited.uuid
    assert taken(only_awaited=True) is None
    assert taken() == usual.uuid


def test_a_job_that_waits_for_its_time_is_not_taken(submit) -> None:
    job = submit()
    Job.objects.update(not_before=Now() + timedelta(minutes=1))
    assert taken() is None
    Job.objects.update(not_before=Now())
    assert taken() == job.uuid


def test_the_clocks_of_hosts_do_not_matter(submit) -> None:
    ahead = time_machine.travel(timezone.now() + timedelta(hours=1))
    with ahead:
        job = submit()
    assert taken() == job.uuid
    with ahead:
        assert taken() is None, "the lease holds"


def test_a_kind_that_is_no_longer_there_is_left_alone(submit, use_kinds) -> None:
    submit()
    use_kinds()
    assert taken() is None


def test_jobs_with_one_turn_run_one_after_another(submit) -> None:
    first, second = submit(turn=lambda _: "a"), submit(turn=lambda _: "a")
    other = submit(turn=lambda _: "b")
    assert [taken(), taken(), taken()] == [first.uuid, other.uuid, None]
    ended(first.uuid)
    assert taken() == second.uuid


def test_a_lost_job_comes_first_and_keeps_its_place_and_its_turn(submit) -> None:
    options = {"turn": lambda _: "a", "at_once": 1}
    lost = submit(**options)
    before = job_claim()
    submit(urgency=1, **options)
    assert taken() is None
    Job.objects.filter(uuid=lost.uuid).update(leased_until=Now())
    assert taken(only_awaited=True) is None, "nobody awaits it"
    again = job_claim()
    assert before is not None
    assert again is not None
    assert (again.uuid, again.attempts) == (lost.uuid, 2)
    assert not job_end(before, state=SUCCEEDED, now=timezone.now()), "the earlier lease is over"
