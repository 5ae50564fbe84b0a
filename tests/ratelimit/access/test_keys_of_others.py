"""Keys of other accounts: to whoever manages keys for its own accounts they are not there."""

import re

import pytest

from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.ratelimit.access.test_permissions import refusal

pytestmark = pytest.mark.django_db

CALLS = [("GET", ""), ("DELETE", ""), ("POST", "/rotate")]


def stored(key: str) -> ApiKey:
    return ApiKey.objects.get(prefix=key.split("_")[1])


def called(manager: Api, method: str, number: int, tail: str):
    return manager.call(method, f"/api/v1/keys/{number}{tail}")


@pytest.mark.parametrize(
    "accounts", [["A2"], ["A1", "A2"], ["*"]], ids=["another's", "shared", "everybody's"]
)
@pytest.mark.parametrize(("method", "tail"), CALLS)
def test_a_key_of_another_account_is_as_one_that_is_not_there(api, method, tail, accounts):
    manager = Api(make_key(accounts=["A1"]))
    another = stored(make_key(accounts=accounts)).pk
    not_there = another + 1_000
    found, missing = (called(manager, method, number, tail) for number in (another, not_there))
    assert problem(found) == problem(missing) == (404, "unknown_key")
    same, other = (
        re.sub(rf"\b{number}\b", "N", str(refusal(answer)))
        for number, answer in ((another, found), (not_there, missing))
    )
    assert same == other
    assert ApiKey.objects.get(pk=another).revoked_at is None
    assert ApiKey.objects.get(pk=another).old_digest is None


@pytest.mark.parametrize(("method", "tail"), CALLS)
def test_a_key_of_the_own_account_is_there(api, method, tail):
    manager = Api(make_key(accounts=["A1"]))
    own = stored(make_key(accounts=["A1"])).pk
    assert called(manager, method, own, tail).status_code in {200, 201}


def test_the_list_has_the_own_keys_only(api):
    manager = Api(make_key(accounts=["A1"]))
    own, other = stored(make_key(accounts=["A1"])).pk, stored(make_key(accounts=["A2"])).pk
    listed = {key["id"] for key in answer(manager.get("/api/v1/keys"))["keys"]}
    assert own in listed
    assert other not in listed
