"""Audit-first calls of a browser's session, under the project's own middlewares."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from audit.models import AuditRecord
from ratelimit.limits.limiter import process_limiter
from ratelimit.models import ApiKey

pytestmark = pytest.mark.django_db
NEW_KEY = json.dumps({"name": "new", "tier": "default", "scopes": ["market:read"]})


@pytest.fixture
def browser(settings, tmp_path):
    """A superuser's session, whose CSRF tokens are checked."""
    settings.AUDIT_DIR = tmp_path
    process_limiter.cache_clear()
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.create_superuser("root", password="root"))
    yield client
    process_limiter.cache_clear()


def key_made(browser, **headers):
    return browser.post("/api/v1/keys", NEW_KEY, content_type="application/json", headers=headers)


def recorded():
    return list(AuditRecord.objects.filter(path="/api/v1/keys").values_list("method", "status"))


def test_a_session_call_without_a_csrf_token_is_refused_and_recorded(browser):
    assert key_made(browser).status_code == 403
    assert not ApiKey.objects.filter(name="new").exists()
    assert recorded() == [("POST", 403)]


def test_a_session_call_with_its_csrf_token_is_done_and_recorded(browser):
    browser.cookies["csrftoken"] = token = "a" * 32
    assert key_made(browser, **{"X-CSRFToken": token}).status_code == 201
    assert ApiKey.objects.filter(name="new").exists()
    assert recorded() == [("POST", 201)]
