"""Who owns a key, and who may see, rotate and revoke whose."""

from typing import Any

import pytest

from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.ratelimit.access.programs import token_of_a_program
from tests.ratelimit.credentials.logins import logged_in, person
from tests.ratelimit.keys.key_calls import KEYS, NEW, keys_of, post, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis")]

MANAGES = ("market:read", "keys:manage")
WHOSE = ("own", "made", "another's", "operator's")
CALLS = (("GET", ""), ("POST", "/rotate"), ("DELETE", ""))
NOT_THERE = (404, 404, 404)
FREE, ROTATED, LASTING = (200, 201, 200), (200, 409, 200), (200, 403, 200)
# The answers to CALLS about keys: the manager's own, which was rotated, a key that the manager made, a key of another
# manager, and an operator's. The old secret expires with its overlap, so it rotates no key that lasts.
ANSWERS = {
    "the old secret": (ROTATED, LASTING, NOT_THERE, NOT_THERE),
    "the new secret": (ROTATED, FREE, NOT_THERE, NOT_THERE),
    "another manager": (NOT_THERE, NOT_THERE, FREE, NOT_THERE),
    # Whose own grants lack `keys:manage`, which the manager's key has.
    "an admin": ((200, 409, 403), FREE, FREE, FREE),
    "an admin who manages, too": (ROTATED, FREE, FREE, FREE),
    "an admin of another account": (NOT_THERE,) * 4,
    "no manager": ((403, 403, 403),) * 4,
}


def number_of(key: str) -> int:
    return ApiKey.objects.get(prefix=key.split("_")[1]).pk


@pytest.mark.parametrize("who", ANSWERS)
def test_without_keys_admin_a_caller_touches_only_its_own_keys(who):
    manager, another = (make_key(scopes=MANAGES, accounts=["A"]) for _ in range(2))
    made, anothers = (
        answer(post(Api(key), body={**NEW, "accounts": ["A"]}))["id"] for key in (manager, another)
    )
    rotated = answer(post(Api(manager), f"{KEYS}/{number_of(manager)}/rotate", {}))
    operators = stored("operator's", accounts=["A"]).pk
    key = {
        "the old secret": lambda: manager,
        "the new secret": lambda: rotated["key"],
        "another manager": lambda: another,
        "an admin": lambda: make_key(scopes=("market:read", "keys:admin")),
        "an admin who manages, too": lambda: make_key(scopes=(*MANAGES, "keys:admin")),
        "an admin of another account": lambda: make_key(scopes=(*MANAGES, "keys:admin"), accounts=["B"]),
        "no manager": lambda: make_key(scopes=("market:read", "audit:read")),
    }[who]()
    numbers = dict(zip(WHOSE, (rotated["id"], made, anothers, operators), strict=True))
    # The caller's own key comes last, because it is revoked.
    found = {
        whose: tuple(Api(key).call(method, f"{KEYS}/{number}{tail}").status_code for method, tail in CALLS)
        for whose, number in sorted(numbers.items(), key=lambda item: item[1] == number_of(key))
    }
    assert found == dict(zip(WHOSE, ANSWERS[who], strict=True))


def test_a_manager_cannot_take_over_a_key_without_accounts():
    manager, victim = Api(make_key(scopes=MANAGES)), stored("victim")
    missing = problem(post(manager, f"{KEYS}/{victim.pk + 100}/rotate", {}))
    assert problem(post(manager, f"{KEYS}/{victim.pk}/rotate", {})) == missing == (404, "unknown_key")
    assert keys_of(manager.get(KEYS)) == ["test"]
    victim.refresh_from_db()
    assert (victim.revoked_at, victim.old_digest) == (None, None)


def test_a_key_belongs_to_the_key_that_made_it_by_either_secret():
    first = make_key(scopes=MANAGES)
    owner = f"key:{number_of(first)}"
    second = Api(answer(post(Api(first), f"{KEYS}/{number_of(first)}/rotate", {}))["key"])
    assert [answer(post(each))["owner"] for each in (Api(first), second)] == [owner, owner]
    assert answer(second.get(f"{KEYS}/{number_of(first)}"))["owner"] is None
    assert keys_of(second.get(KEYS, {"owner": owner})) == ["feed", "feed"]
    assert keys_of(second.get(KEYS, {"owner": f"{owner}0"})) == []


def test_people_and_programs_own_the_keys_that_they_make():
    terms: dict[str, Any] = {"scopes": list(MANAGES), "sensitivity": "confidential"}
    user = person(**terms)
    token = {"Authorization": f"Bearer {logged_in()['access']}"}
    program = token_of_a_program(**{**terms, "scopes": MANAGES})
    owners = []
    for headers in (token, program):
        made = answer(post(Api(None), **headers))
        assert Api(None).get(f"{KEYS}/{made['id']}", **headers).status_code == 200
        owners.append(made["owner"])
    assert owners[0] == f"user:{user.pk}"
    assert owners[1] == f"key:{ApiKey.objects.get(name='test').pk}"
    assert keys_of(Api(None).get(KEYS, **program)) == ["test", "feed"]


def test_a_caller_creates_so_many_keys_and_a_rotated_one_counts_once(monkeypatch):
    monkeypatch.setattr("ratelimit.keys.services.MOST_KEYS_OF_OWNER", 2)
    manager, another = (Api(make_key(scopes=MANAGES, accounts=["A"])) for _ in range(2))
    body = {**NEW, "accounts": ["A"]}
    made = [answer(post(manager, body=body))["id"] for _ in range(2)]
    post(manager, f"{KEYS}/{made[0]}/rotate", {})
    assert problem(post(manager, body=body)) == (409, "too_many_keys")
    assert post(another, body=body).status_code == 201
    manager.call("DELETE", f"{KEYS}/{made[1]}")
    assert post(manager, body=body).status_code == 201
