"""Idempotency-Key at calls that show a key: the same answer again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem
from tests.ratelimit.access.programs import program, token_of
from tests.ratelimit.keys.key_calls import KEYS, NEW, manager, post
from web.idempotency.models import SealedAnswer


@pytest.fixture(autouse=True)
def _redis(project_redis):
    """Buckets that count."""


def test_the_same_idempotency_key_gives_the_same_key_again(api):
    first, again = (post(api, idempotency_key="k1") for _ in range(2))
    assert answer(first) == answer(again)
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert ApiKey.objects.filter(name="feed").count() == 1


def test_a_rotation_is_answered_again_too(api):
    made = answer(post(api))
    path = f"{KEYS}/{made['id']}/rotate"
    first = api.call("POST", path, idempotency_key='"k1"')
    again = api.call("POST", f"{path}/", idempotency_key="k1")
    assert answer(first) == answer(again)
    assert ApiKey.objects.count() == 3


def test_another_body_with_the_same_idempotency_key_is_422(api):
    post(api, idempotency_key="k1")
    response = post(api, body={**NEW, "name": "other"}, idempotency_key="k1")
    assert problem(response) == (422, "idempotency_key_reused")
    assert post(api, body=dict(reversed(NEW.items())), idempotency_key="k1").status_code == 201


def test_an_idempotency_key_is_its_callers_and_its_paths_own(api):
    first = answer(post(api, idempotency_key="k1"))
    second = answer(post(Api(make_key()), idempotency_key="k1"))
    third = answer(api.call("POST", f"{KEYS}/{first['id']}/rotate", b"{}", idempotency_key="k1"))
    assert len({first["id"], second["id"], third["id"]}) == 3


def successor(caller: Api, key_id: int, **headers: str) -> tuple[Api, int]:
    """What a key that rotates itself becomes, and its id."""
    told = answer(post(caller, f"{KEYS}/{key_id}/rotate", {}, **headers))
    return Api(told["key"]), told["id"]


def test_a_successor_that_asks_again_gets_the_key_that_was_made(api):
    caller, key_id = successor(api, ApiKey.objects.get().pk)
    first = post(api, idempotency_key="k1")
    third, _ = successor(caller, key_id)
    for member in (caller, third, api):
        again = post(member, idempotency_key="k1")
        assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
        assert answer(again) == answer(first)
    assert ApiKey.objects.filter(name="feed").count() == 1


def test_a_successor_that_asks_for_its_own_rotation_again_gets_itself(api):
    key_id = ApiKey.objects.get().pk
    caller, successor_id = successor(api, key_id, idempotency_key="k1")
    again = post(caller, f"{KEYS}/{key_id}/rotate", {}, idempotency_key="k1")
    assert again["Idempotency-Replayed"] == "true"
    assert answer(again)["id"] == successor_id
    assert problem(post(caller, f"{KEYS}/{key_id}/rotate", {}, idempotency_key="k2")) == (
        409,
        "not_rotatable",
    )


def test_another_body_of_a_successor_is_422(api):
    post(api, idempotency_key="k1")
    caller, _ = successor(api, ApiKey.objects.earliest("pk").pk)
    response = post(caller, body={**NEW, "name": "other"}, idempotency_key="k1")
    assert problem(response) == (422, "idempotency_key_reused")


def test_a_key_that_was_made_is_not_of_the_family_of_its_maker(api):
    made = answer(post(api, body={**NEW, "scopes": ["market:read", "keys:manage"]}, idempotency_key="k1"))
    again = post(Api(made["key"]), idempotency_key="k1")
    assert again.status_code == 201
    assert "Idempotency-Replayed" not in again


def test_a_token_with_fewer_scopes_is_not_shown_the_key(api):
    desk = program(scopes=("market:read", "keys:manage"))
    assert post(Api(desk.secret), idempotency_key="k1").status_code == 201
    narrow = {"Authorization": f"Bearer {token_of(desk, scope='keys:manage')}"}
    for name in ("k1", "k2"):
        assert problem(post(Api(None), idempotency_key=name, **narrow)) == (403, "grant_exceeded")


def test_refusals_are_not_kept(api):
    desk = manager()
    assert problem(post(desk, body={**NEW, "tier": "internal"}, idempotency_key="k1"))[0] == 403
    assert post(desk, idempotency_key="k1").status_code == 201


def test_a_kept_answer_tells_nothing_without_the_secret_key(api, settings):
    made = answer(post(api, idempotency_key="k1"))
    rows = str(list(SealedAnswer.objects.values()))
    assert made["key"].split("_")[2] not in rows
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert answer(post(api, idempotency_key="k1")) == made
    settings.SECRET_KEY_FALLBACKS = []
    assert problem(post(api, idempotency_key="k1")) == (409, "already_made")


def test_of_an_idempotency_key_only_the_hash_is_kept(api):
    secret = make_key()
    first = answer(post(api, idempotency_key=secret))
    assert secret not in str(list(SealedAnswer.objects.values()))
    assert answer(post(api, idempotency_key=secret)) == first


def test_an_answer_is_kept_for_a_day(api):
    first = answer(post(api, idempotency_key="k1"))
    SealedAnswer.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    assert answer(post(api, idempotency_key="k1"))["id"] == first["id"]
    SealedAnswer.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert answer(post(api, idempotency_key="k1"))["id"] != first["id"]


@pytest.mark.parametrize("key", ["", "a b"])
def test_a_malformed_idempotency_key_is_400(api, key):
    assert problem(post(api, idempotency_key=key)) == (400, "invalid_idempotency_key")
