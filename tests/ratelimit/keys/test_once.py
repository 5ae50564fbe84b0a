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
    assert answer(first)["id"] == made["id"]


def test_another_body_with_the_same_idempotency_key_is_422(api):
    post(api, idempotency_key="k1")
    response = post(api, body={**NEW, "name": "other"}, idempotency_key="k1")
    assert problem(response) == (422, "idempotency_key_reused")
    assert post(api, body=dict(reversed(NEW.items())), idempotency_key="k1").status_code == 201


def test_an_idempotency_key_is_its_callers_and_its_paths_own(api):
    first = answer(post(api, idempotency_key="k1"))
    second = answer(post(Api(make_key()), idempotency_key="k1"))
    third = answer(api.call("POST", f"{KEYS}/{first['id']}/rotate", b"{}", idempotency_key="k1"))
    assert len({first["key"], second["key"], third["key"]}) == 3


def test_either_secret_that_asks_again_gets_the_key_that_was_made(api):
    first = post(api, idempotency_key="k1")
    own = ApiKey.objects.earliest("pk").pk
    new = Api(answer(post(api, f"{KEYS}/{own}/rotate", {}))["key"])
    for each in (api, new):
        again = post(each, idempotency_key="k1")
        assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
        assert answer(again) == answer(first)
    assert problem(post(new, body={**NEW, "name": "other"}, idempotency_key="k1")) == (
        422,
        "idempotency_key_reused",
    )


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
