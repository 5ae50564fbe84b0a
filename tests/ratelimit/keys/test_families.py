"""What a key has used up is used up for its successor, too."""

import itertools
import math
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ratelimit.callers import Caller
from ratelimit.keys.services import CreatedKey, key_create, key_rotate
from ratelimit.limits.limiter import process_limiter
from ratelimit.models import QuotaUse
from tests.api_client import Api, answer, problem
from tests.patience import PATIENCE_SECONDS
from tests.ratelimit.keys.key_callers import caller_by
from tests.ratelimit.keys.key_calls import KEYS, post

pytestmark = pytest.mark.django_db

CLOCK = "/api/v1/clock"
BY: Any = {"actor": "test"}
DAY = timedelta(days=1)


def made(**terms) -> CreatedKey:
    values = {"name": "feed", "scopes": ["market:read", "keys:manage"], "now": timezone.now()}
    return key_create(**{**values, **BY, **terms})


def successor(api: Api, key_id: int) -> tuple[Api, int]:
    """The successor of a key that rotates itself, and its id."""
    told = answer(post(api, f"{KEYS}/{key_id}/rotate", {}))
    return Api(told["key"]), told["id"]


@pytest.mark.usefixtures("project_redis")
def test_a_key_that_rotates_itself_gets_no_further_quota():
    first = made(daily_quota=4)
    api, key_id = Api(first.key), first.id
    for _ in range(2):
        assert api.get(CLOCK).status_code == 200
        api, key_id = successor(api, key_id)
    assert problem(api.get(CLOCK)) == (429, "quota_exceeded")
    process_limiter().quota_counts.flush()
    assert set(
        QuotaUse.objects.filter(period__contains="-", identity=f"key:{first.id}").values_list(
            "identity", flat=True
        )
    ) == {f"key:{first.id}"}


def asked_in_turns(*callers: Api) -> Iterator[int]:
    """What they are answered, while patience lasts."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        for api in callers:
            yield api.get(CLOCK).status_code


@pytest.mark.usefixtures("project_redis")
def test_a_key_that_rotates_itself_gets_no_further_bucket():
    first = made(rate=1)
    old = Api(first.key)
    new, _ = successor(old, first.id)
    begun = time.monotonic()
    statuses = list(itertools.takewhile(lambda status: status == 200, asked_in_turns(old, new)))
    # The burst, and a token for each second that it took.
    assert 2 <= len(statuses) <= 2 + math.ceil(time.monotonic() - begun)
    assert time.monotonic() - begun < PATIENCE_SECONDS


def test_a_family_is_that_of_the_first_key_of_a_chain():
    first = made()
    second = key_rotate(key=first.stored, overlap=DAY, now=timezone.now(), **BY)
    third = key_rotate(key=second.stored, overlap=DAY, now=timezone.now(), **BY)
    callers = [caller_by(created.key, now=timezone.now()) for created in (first, second, third)]
    assert [caller.identity for caller in callers] == [
        f"key:{created.id}" for created in (first, second, third)
    ]
    assert {caller.principal for caller in callers} == {f"key:{first.id}"}


def test_the_family_of_other_callers_is_their_identity():
    caller = Caller(identity="user:7", name="ada", tier="default", rate=10, scopes=frozenset())
    assert caller.principal == "user:7"
