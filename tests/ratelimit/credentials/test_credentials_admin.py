"""The admin: superusers grant people access."""

import json

import pytest
from django.contrib.auth.models import Permission, User

from audit.models import AuditRecord
from ratelimit.models import AccessProfile
from tests.ratelimit.credentials.logins import PASSWORD, called, logged_in, person

pytestmark = pytest.mark.django_db
PROFILES = "/admin/ratelimit/accessprofile/"


@pytest.fixture
def root(client):
    client.force_login(User.objects.create_superuser("root", password=PASSWORD))
    return client


def form(user: User, **changes: object) -> dict[str, object]:
    return {
        "user": user.pk,
        "tier": "default",
        "scopes": ["market:read"],
        "accounts": "a1\na2",
        "sensitivity": "internal",
        "networks": "",
        **changes,
    }


def test_a_superuser_gives_a_person_access_and_leaves_a_record(root):
    user = person()
    response = root.post(f"{PROFILES}add/", form(user, networks="10.0.0.1/32, 127.0.0.0/8"))
    assert response.status_code == 302, response.content.decode()
    profile = AccessProfile.objects.get()
    assert (profile.scopes, profile.accounts) == (["market:read"], ["a1", "a2"])
    assert profile.networks == ["10.0.0.1/32", "127.0.0.0/8"]
    assert called(logged_in()["access"], REMOTE_ADDR="").status_code == 200
    assert "person.granted" in repr(AuditRecord.objects.values())


def test_a_change_is_effective_at_once_here_and_its_record_says_what_changed(root):
    user = person(scopes=["market:read"])
    token = logged_in()["access"]
    assert called(token).status_code == 200
    page = f"{PROFILES}{user.access_profile.pk}/change/"
    assert "market:read" in root.get(page).content.decode()
    changed = form(user, scopes=["audit:read"], revoked_at_0="", revoked_at_1="")
    assert root.post(page, changed).status_code == 302
    assert called(token).status_code == 403
    record = json.dumps(list(AuditRecord.objects.values()), default=str)
    assert "person.changed" in record
    assert "audit:read" in record


@pytest.mark.parametrize(
    "changes",
    [
        {"networks": "everywhere"},
        {"accounts": "a b/c"},
        {"scopes": ["all"]},
        {"scopes": []},
        {"tier": "gold"},
        {"sensitivity": "secret"},
        {"rate": "0"},
        {"rate": "-1"},
    ],
)
def test_a_profile_refuses_grants_that_a_key_refuses(root, changes):
    assert root.post(f"{PROFILES}add/", form(person(), **changes)).status_code == 200
    assert not AccessProfile.objects.exists()


def test_staff_with_every_permission_give_nothing_to_anybody(client):
    clerk = person("clerk", flags={"is_staff": True})
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="ratelimit"))
    profile = AccessProfile.objects.create(user=person("ada"), scopes=["market:read"])
    client.force_login(clerk)
    assert client.get(PROFILES).status_code == 200
    assert client.post(f"{PROFILES}add/", form(clerk, scopes=["keys:manage"])).status_code == 403
    assert client.post(f"{PROFILES}{profile.pk}/change/", form(clerk)).status_code == 403
    assert client.post(f"{PROFILES}{profile.pk}/delete/", {"post": "yes"}).status_code == 403
    assert AccessProfile.objects.get().user != clerk
