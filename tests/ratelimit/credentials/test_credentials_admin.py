"""The admin: what people may is given by superusers, clients are withdrawn, and no token is anywhere to be seen."""

import json
import re

import pytest
from django.contrib import admin
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from audit.models import AuditRecord
from ratelimit.credentials.programs.clients import client_create
from ratelimit.models import AccessProfile, OAuthClient
from tests.ratelimit.credentials.logins import PASSWORD, called, logged_in, person

pytestmark = pytest.mark.django_db
PROFILES = "/admin/ratelimit/accessprofile/"
CLIENTS = "/admin/ratelimit/oauthclient/"


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


def test_clients_are_shown_and_revoked_but_not_created_or_edited(root):
    created = client_create(now=timezone.now(), actor="command:test", name="desk", scopes=["market:read"])
    stored = OAuthClient.objects.get()
    page = root.get(f"{CLIENTS}{stored.pk}/change/").content.decode() + root.get(CLIENTS).content.decode()
    assert stored.client_id in page
    assert stored.client_secret not in page
    assert created.secret not in page
    assert root.get(f"{CLIENTS}add/").status_code == 403
    assert root.post(f"{CLIENTS}{stored.pk}/delete/", {"post": "yes"}).status_code == 403
    root.post(f"{CLIENTS}{stored.pk}/change/", {"name": "another"})
    assert OAuthClient.objects.get().name == "desk"
    answer = root.post(CLIENTS, {"action": "revoke", "_selected_action": [stored.pk]}, follow=True)
    assert "effective everywhere within a second" in answer.content.decode()
    assert OAuthClient.objects.get().revoked_at is not None


def test_the_secret_of_a_client_is_rotated_and_shown_once(root):
    created = client_create(now=timezone.now(), actor="command:test", name="desk", scopes=["market:read"])
    sent = {"action": "rotate", "_selected_action": [created.stored.pk]}
    shown = root.post(CLIENTS, sent, follow=True).content.decode()
    [secret] = re.findall(r"md_oauth2cl_\w+", shown)
    stored = OAuthClient.objects.get()
    assert check_password(secret, stored.client_secret)
    assert check_password(created.secret, stored.old_secret)
    page = root.get(f"{CLIENTS}{stored.pk}/change/").content.decode() + root.get(CLIENTS).content.decode()
    assert secret not in page
    assert stored.old_secret not in page
    assert "is valid until" in root.post(CLIENTS, sent, follow=True).content.decode()


@pytest.mark.parametrize("app", ["oauth2_provider"])
def test_the_libraries_have_no_pages_of_their_own(root, app):
    assert not [model for model in admin.site._registry if model._meta.app_label == app]
    assert root.get(f"/admin/{app}/").status_code == 404
