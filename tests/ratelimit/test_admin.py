import html
import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.urls import path
from django.utils import timezone

from ratelimit.keys.services import key_create
from ratelimit.models import AccessProfile, ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__), pytest.mark.system]

urlpatterns = [path("admin/", admin.site.urls)]

CHANGES = "/admin/ratelimit/apikey/"


@pytest.fixture
def staff(client, settings):
    """A superuser's browser, behind Django's own middleware."""
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def key():
    key_create(name="feed", tier="default", scopes=["all"], now=timezone.now(), actor="test")
    return ApiKey.objects.get()


def test_the_admin_shows_keys_without_their_digest(staff, key):
    listing = staff.get(CHANGES).content.decode()
    page = staff.get(f"{CHANGES}{key.pk}/change/").content.decode()
    assert key.prefix in listing
    assert key.prefix in page
    assert key.digest not in listing + page


def test_the_list_shows_a_keys_name_and_state(staff, key):
    listing = staff.get(CHANGES).content.decode()
    assert ">feed</td>" in listing
    assert '<td class="field-state">active</td>' in listing


def test_keys_cannot_be_edited_or_deleted_in_the_admin(staff, key):
    assert staff.get(f"{CHANGES}{key.pk}/delete/").status_code == 403
    staff.post(f"{CHANGES}{key.pk}/change/", {"name": "other", "rate": "9"})
    key.refresh_from_db()
    assert (key.name, key.rate) == ("feed", None)


def test_the_action_revokes_the_selected_keys(staff, key):
    response = staff.post(CHANGES, {"action": "revoke", "_selected_action": [key.pk]}, follow=True)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "Revoked: 1." in response.content.decode()


NEW = {
    "name": "made",
    "tier": "premium",
    "rate": "7",
    "scopes": ["market:read", "trading:read"],
    "accounts": "A, B",
    "networks": "10.0.0.0/8\n192.0.2.1",
    "expires_at": "2099-01-02 03:04:05",
    "before_expiry": "rotate",
}


def page(response) -> str:
    return html.unescape(response.content.decode())


def test_the_admin_creates_a_key_and_shows_it_once(staff, events):
    assert "the lowest that the scopes need" in page(staff.get(f"{CHANGES}add/"))
    shown = page(staff.post(f"{CHANGES}add/", NEW, follow=True))
    made = ApiKey.objects.get()
    assert (made.tier, made.rate, made.accounts, made.sensitivity) == (
        "premium",
        7,
        ["A", "B"],
        "confidential",
    )
    assert (made.networks, made.certificate) == (["10.0.0.0/8", "192.0.2.1/32"], None)
    assert f"md_{made.prefix}_" in shown
    assert "mds_" in shown
    assert f"md_{made.prefix}_" not in page(staff.get(CHANGES))
    user = User.objects.get()
    assert made.owner == f"user:{user.pk}"
    assert [(told["event"], told["actor"]) for told in events] == [("key.created", f"user:{user.pk}")]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"scopes": []},
        {"tier": "gold"},
        {"rate": "0"},
        {"networks": "everywhere"},
        {"expires_at": "2001-01-01"},
        {"certificate": "zz"},
    ],
    ids=str,
)
def test_a_wrong_form_makes_no_key(staff, change):
    response = staff.post(f"{CHANGES}add/", {**NEW, **change})
    assert response.status_code == 200
    assert "errorlist" in page(response)
    assert not ApiKey.objects.exists()


def test_an_error_of_the_service_is_shown(staff):
    ok = {**NEW, "certificate": "0f" * 32}
    staff.post(f"{CHANGES}add/", ok)
    shown = page(staff.post(f"{CHANGES}add/", ok, follow=True))
    assert "belongs to another key" in shown
    assert ApiKey.objects.count() == 1


def act(client, action: str, *keys: ApiKey) -> str:
    selected = {"action": action, "_selected_action": [key.pk for key in keys]}
    return page(client.post(CHANGES, selected, follow=True))


def test_the_action_rotates_the_selected_keys_and_shows_them(staff, key, events):
    events.clear()
    shown = act(staff, "rotate", key)
    assert f"Key feed ({key.prefix}): md_{key.prefix}_" in shown
    assert [told["event"] for told in events] == ["key.rotated"]
    assert f"Key feed ({key.prefix}): the key {key.pk} was rotated before" in act(staff, "rotate", key)
    assert ApiKey.objects.count() == 1


def test_actions_revoke_an_old_secret_and_a_key_once(staff, key, events):
    act(staff, "rotate", key)
    events.clear()
    for action, again in (("end_overlap", "has no old secret."), ("revoke", "was revoked before.")):
        assert "Revoked: 1." in act(staff, action, key)
        shown = act(staff, action, key)
        assert (f"Key {key} {again}" in shown, "Revoked:" in shown) == (True, False)
    assert [told["event"] for told in events] == ["key.overlap_ended", "key.revoked"]


@pytest.fixture
def clerk(staff):
    """A person who may use all of the admin's pages of keys, and who was granted little."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="ratelimit"))
    staff.force_login(user)
    return staff


def granted(**grants) -> AccessProfile:
    terms = {"scopes": ["market:read", "keys:manage", "keys:admin"], "sensitivity": "confidential", **grants}
    return AccessProfile.objects.create(user=User.objects.get(username="clerk"), **terms)


def test_staff_grant_at_most_their_own_grants(clerk):
    granted(tier="premium", accounts=["A"])
    little = {
        "name": "made",
        "tier": "default",
        "scopes": ["market:read"],
        "accounts": "A",
        "before_expiry": "warn",
    }
    shown = page(clerk.post(f"{CHANGES}add/", NEW, follow=True))
    assert "what the caller itself was granted" in shown
    clerk.post(f"{CHANGES}add/", little)
    assert list(ApiKey.objects.values_list("name", flat=True)) == ["made"]


def test_staff_change_no_key_with_more_grants(clerk, key):
    granted()
    for action in ("rotate", "revoke"):
        assert "what the caller itself was granted" in act(clerk, action, key)
    key.refresh_from_db()
    assert (key.revoked_at, ApiKey.objects.count()) == (None, 1)


def test_keys_of_other_accounts_are_not_listed(clerk, key):
    granted(accounts=["A"])
    ApiKey.objects.update(accounts=["B"])
    assert key.prefix not in page(clerk.get(CHANGES))
    ApiKey.objects.update(accounts=["A"])
    assert key.prefix in page(clerk.get(CHANGES))


def test_without_keys_admin_staff_see_and_change_only_the_keys_that_they_made(clerk, key):
    granted(scopes=["market:read", "keys:manage"])
    clerk.post(
        f"{CHANGES}add/",
        {"name": "made", "tier": "default", "scopes": ["market:read"], "before_expiry": "warn"},
    )
    assert re.findall(r">(feed|made)</td>", page(clerk.get(CHANGES))) == ["made"]
    assert "you may not see any of the selected keys" in act(clerk, "rotate", key)
    assert "They are shown only now." in act(clerk, "rotate", ApiKey.objects.get(name="made"))


@pytest.mark.parametrize("action", ["rotate", "revoke", "end_overlap"])
def test_actions_on_invisible_keys_do_nothing_and_say_so(clerk, key, action):
    granted(accounts=["A"])
    ApiKey.objects.update(accounts=["B"])
    shown = act(clerk, action, key)
    assert "Nothing was done: you may not see any of the selected keys." in shown
    assert "Revoked:" not in shown
    assert not ApiKey.objects.exclude(revoked_at=None).exists()


@pytest.mark.parametrize("state", ["active", "expired", "revoked", "unknown"])
def test_keys_are_filtered_by_state(staff, key, state):
    now = timezone.now()
    for name, columns in (("old", {"expires_at": now}), ("spent", {"revoked_at": now})):
        made = key_create(name=name, scopes=["all"], now=now - timedelta(days=1), actor="test")
        ApiKey.objects.filter(pk=made.id).update(**columns)
    listed = page(staff.get(CHANGES, {"state": state}))
    expected = {"active": ["feed"], "expired": ["old"], "revoked": ["spent"]}.get(
        state, ["feed", "old", "spent"]
    )
    assert [name for name in ("feed", "old", "spent") if f">{name}</td>" in listed] == expected
