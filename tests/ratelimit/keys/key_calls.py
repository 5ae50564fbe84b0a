"""Calls to the endpoints of keys, and keys to call about."""

from typing import Any

import orjson
from django.utils import timezone

from ratelimit.keys.services import key_create
from ratelimit.models import ApiKey
from tests.api_client import Api, answer

KEYS = "/api/v1/keys"
NEW = {"name": "feed", "scopes": ["market:read"]}


def post(api: Api, path: str = KEYS, body: object = NEW, **headers: str) -> Any:
    return api.call("POST", path, orjson.dumps(body), **headers)


def keys_of(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["name"] for row in answer(response)["keys"]]


def manager(**grants) -> Api:
    """A key that manages the keys of the account A, whoever made them, of the tier premium."""
    terms = {
        "name": "manager",
        "tier": "premium",
        "scopes": ["market:read", "keys:manage", "keys:admin"],
        "accounts": ["A"],
        **grants,
    }
    return Api(key_create(**terms, now=timezone.now(), actor="test").key)


def stored(name: str, **terms) -> ApiKey:
    scopes = terms.pop("scopes", ["market:read"])
    return key_create(name=name, scopes=scopes, now=timezone.now(), actor="test", **terms).stored
