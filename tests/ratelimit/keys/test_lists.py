"""The list of keys: filters, pages, cursors."""

import pytest
from django.utils import timezone

from ratelimit.keys.views import KeyFilter, KeysViewSet
from ratelimit.models import ApiKey
from tests.api_client import OF_SCHEMA, answer, problem
from tests.ratelimit.keys.key_calls import KEYS, keys_of, stored
from web.lists.pages import PAGE_PARAMETERS


@pytest.fixture(autouse=True)
def _redis(project_redis):
    """Buckets that count."""


@pytest.fixture
def some(api):
    """Five keys beside the caller's own, `test`."""
    now = timezone.now()
    made = [stored(f"feed {number}") for number in range(3)]
    made += [stored("Desk", tier="premium"), stored("gone")]
    ApiKey.objects.filter(name="gone").update(revoked_at=now)
    ApiKey.objects.filter(name="feed 2").update(expires_at=now)
    return made


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"tier": "premium"}, ["Desk"]),
        ({"state": "revoked"}, ["gone"]),
        ({"state": "expired"}, ["feed 2"]),
        ({"state": "active"}, ["test", "feed 0", "feed 1", "Desk"]),
        ({"name": "feed"}, ["feed 0", "feed 1", "feed 2"]),
        ({"name": "desk"}, ["Desk"]),
        ({"name": "eed"}, []),
        ({"state": "active", "name": "feed", "sort": "desc"}, ["feed 1", "feed 0"]),
        ({"prefix": "zzzzzzz0"}, []),
    ],
    ids=str,
)
def test_filters_hold_together(api, some, query, names):
    assert keys_of(api.get(KEYS, query)) == names


def test_a_key_is_found_by_its_prefix(api, some):
    assert keys_of(api.get(KEYS, {"prefix": some[1].prefix})) == ["feed 1"]


def test_a_cursor_behind_the_last_key_of_its_walk_is_an_empty_page(api, some):
    cursor = answer(api.get(KEYS, {"limit": 5}))["next_cursor"]
    ApiKey.objects.filter(name="gone").delete()
    page = answer(api.get(KEYS, {"limit": 5, "cursor": cursor}))
    assert (page["keys"], page["next_cursor"]) == ([], None)
    back = answer(api.get(KEYS, {"limit": 5, "cursor": page["prev_cursor"]}))
    assert ([row["name"] for row in back["keys"]][-1], back["next_cursor"]) == ("Desk", None)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_limit"),
        ("limit=10001", "invalid_limit"),
        ("limit=1.5", "invalid_limit"),
        ("sort=up", "invalid_parameter"),
        ("state=gone", "invalid_parameter"),
        ("tier=gold", "invalid_parameter"),
        ("name=%00", "invalid_parameter"),
        ("teir=default", "unknown_parameter"),
        ("zzzzzz=1", "unknown_parameter"),
        ("tier=", "empty_parameter"),
        ("tier=default&tier=default", "repeated_parameter"),
    ],
)
def test_a_wrong_parameter_is_400(api, query, code):
    assert problem(api.get(f"{KEYS}?{query}")) == (400, code)


def test_a_browser_is_shown_the_list_with_its_filters(api):
    page = api.get(KEYS, accept="text/html")
    assert page.status_code == 200
    for name in (*KeyFilter.base_filters, *PAGE_PARAMETERS):
        assert f'name="{name}"' in page.content.decode()


@OF_SCHEMA
def test_the_form_and_the_schema_have_each_parameter(api):
    names = {*KeyFilter.base_filters, *PAGE_PARAMETERS}
    assert set(KeysViewSet(action="list").query_form().fields) == names
    schema = answer(api.get("/api/v1/schema", {"format": "json"}))
    operation = schema["paths"][KEYS]["get"]
    assert {parameter["name"] for parameter in operation["parameters"]} - {"format"} == names
    reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    envelope = schema["components"]["schemas"][reference.rpartition("/")[2]]
    assert set(envelope["properties"]) == set(answer(api.get(KEYS)))
