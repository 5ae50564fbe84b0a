"""Operators see webhooks, events, deliveries and alerts, without a secret, and change nothing."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api_client import Api
from tests.webhooks.conftest import send, subscribe
from tests.webhooks.test_alerts import make
from tests.webhooks.test_sending import tell
from webhooks.models import Delivery, MarketAlert, Webhook, WebhookEvent


@pytest.mark.parametrize("model", [Webhook, WebhookEvent, Delivery, MarketAlert])
def test_lists_and_pages_are_shown_without_secrets(api: Api, receiver, model) -> None:
    server = receiver()
    secret = subscribe(api, server.url)["secret"]
    make(api, kind="silence", seconds=9)
    tell()
    send()
    client = Client()
    client.force_login(User.objects.create_superuser("lovelace"))
    row = model.objects.get()
    path = f"/admin/webhooks/{model._meta.model_name}/"
    for url in (path, f"{path}?q=x", f"{path}{row.pk}/change/"):
        response = client.get(url)
        assert response.status_code == 200
        assert secret not in response.content.decode()
        assert Webhook.objects.get().secret not in response.content.decode()
    assert client.post(f"{path}{row.pk}/change/", {}).status_code == 403
    assert client.get(f"{path}add/").status_code == 403
