"""The worker looks after keys."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketdata_project import duties
from marketdata_project.duties import DUTIES, duty_try
from ratelimit.keys.services import key_create
from ratelimit.models import ApiKey
from web.idempotency.models import SealedAnswer


@pytest.mark.django_db
def test_it_warns_of_keys_and_forgets_answers(monkeypatch):
    monkeypatch.setattr(duties, "close_old_connections", lambda: None)
    now = timezone.now()
    key_create(
        name="feed",
        scopes=["market:read"],
        expires_at=now + timedelta(days=2),
        now=now - timedelta(days=30),
        actor="test",
    )
    SealedAnswer.objects.create(
        identity="key:1", path="/", idempotency_key="k", created_at=now - timedelta(days=2)
    )
    assert all(
        duty_try(each) for each in DUTIES if each.service.__name__ in {"keys_watch", "answers_delete_old"}
    )
    assert ApiKey.objects.get().warned_at is not None
    assert not SealedAnswer.objects.exists()
