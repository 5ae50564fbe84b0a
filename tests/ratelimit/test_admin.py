import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import path
from django.utils import timezone

from ratelimit.models import ApiKey
from ratelimit.services import key_create

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

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
    key_create(name="feed", tier="default", scopes=["all"], now=timezone.now())
    return ApiKey.objects.get()


def test_keys_can_be_looked_at_but_never_their_digest(staff, key):
    listing = staff.get(CHANGES).content.decode()
    page = staff.get(f"{CHANGES}{key.pk}/change/").content.decode()
    assert key.prefix in listing
    assert key.prefix in page
    assert key.digest not in listing + page


def test_keys_are_neither_made_nor_deleted_nor_edited_here(staff, key):
    assert staff.get(f"{CHANGES}add/").status_code == 403
    assert staff.get(f"{CHANGES}{key.pk}/delete/").status_code == 403
    staff.post(f"{CHANGES}{key.pk}/change/", {"name": "other", "rate": "9"})
    key.refresh_from_db()
    assert (key.name, key.rate) == ("feed", None)


def test_the_action_revokes_the_selected_keys(staff, key):
    response = staff.post(CHANGES, {"action": "revoke", "_selected_action": [key.pk]}, follow=True)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "Revoked: 1." in response.content.decode()
