"""The admin shows keys and the audit log to whom the API shows them: Django's permission alone is not enough."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from ratelimit.models import ApiKey
from tests.api_client import make_key
from tests.audit.builders import record
from tests.ratelimit.credentials.logins import PASSWORD, person

pytestmark = [pytest.mark.django_db, pytest.mark.system]
KEYS, RECORDS = "/admin/ratelimit/apikey/", "/admin/audit/auditrecord/"
GRANTED: dict[str, Any] = {
    "scopes": ["keys:admin", "audit:read"],
    "sensitivity": "confidential",
    "accounts": ["*"],
}
TOO_LITTLE: dict[str, dict[str, Any]] = {
    "no profile": {},
    "another scope": {**GRANTED, "scopes": ["market:read"]},
    "less cleared": {**GRANTED, "sensitivity": "internal"},
    "revoked": {**GRANTED, "revoked_at": timezone.now()},
    "expired": {**GRANTED, "expires_at": timezone.now() - timedelta(seconds=1)},
    "from elsewhere": {**GRANTED, "networks": ["192.0.2.0/24"]},
}


def staff(*, permissions: bool = True, **profile: Any) -> Client:
    """The browser of a clerk with every permission of Django's, or none, and a profile if anything is said of one."""
    user = person("clerk", flags={"is_staff": True}, **profile)
    user.user_permissions.set(Permission.objects.all() if permissions else [])
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def key() -> ApiKey:
    return ApiKey.objects.get(prefix=make_key().split("_")[1])


def pages(key: ApiKey) -> list[str]:
    kept = record(0)
    return [
        KEYS,
        f"{KEYS}{key.pk}/change/",
        f"{KEYS}add/",
        RECORDS,
        f"{RECORDS}{kept.pk}/change/",
    ]


@pytest.mark.parametrize("profile", TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_no_page_shows_what_the_api_refuses(key: ApiKey, profile: dict[str, Any]) -> None:
    client = staff(**profile)
    assert client.get("/api/v1/audit").status_code in {401, 403}
    assert {client.get(page).status_code for page in pages(key)} == {403}
    index = client.get("/admin/").content.decode()
    assert KEYS not in index
    assert RECORDS not in index


@pytest.mark.parametrize("profile", TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_no_action_does_what_the_api_refuses(key: ApiKey, profile: dict[str, Any]) -> None:
    client, kept = staff(**profile), record(0)
    for action in ("rotate", "revoke", "end_overlap"):
        sent = {"action": action, "_selected_action": [key.pk]}
        assert client.post(KEYS, sent).status_code == 403
    key.refresh_from_db()
    assert (key.revoked_at, ApiKey.objects.count()) == (None, 1)
    chosen = {"action": "export_selected", "_selected_action": [kept.pk]}
    assert client.post(RECORDS, chosen).status_code == 403


def test_a_person_with_both_grants_sees_both_pages(key: ApiKey) -> None:
    client = staff(**GRANTED)
    assert {client.get(page).status_code for page in pages(key)} == {200}
    index = client.get("/admin/").content.decode()
    assert KEYS in index
    assert RECORDS in index


def test_a_profile_alone_is_not_enough_either(key: ApiKey) -> None:
    client = staff(permissions=False, **GRANTED)
    assert {client.get(page).status_code for page in pages(key)} == {403}


def test_one_scope_shows_its_own_pages_only(key: ApiKey) -> None:
    client = staff(**{**GRANTED, "scopes": ["audit:read"]})
    assert client.get(RECORDS).status_code == 200
    assert client.get(KEYS).status_code == 403


def test_superusers_are_shown_all(key: ApiKey) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=PASSWORD))
    assert {client.get(page).status_code for page in pages(key)} == {200}
