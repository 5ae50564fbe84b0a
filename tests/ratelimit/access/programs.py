"""Programs and how they get their tokens (OAuth2), as a client meets it."""

from typing import Any
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone

from ratelimit.credentials.programs.clients import client_create
from tests.api_client import answer


def token_of_a_program(**terms: Any) -> dict[str, str]:
    """The header of a program that was granted these terms, with a token for all of them."""
    granted: Any = {"name": "feed", "tier": "internal", **terms}
    client = client_create(now=timezone.now(), actor="test", **granted)
    secret = {"client_id": client.stored.client_id, "client_secret": client.secret}
    form = urlencode({"grant_type": "client_credentials", **secret})
    response = Client().post("/api/v1/oauth/token", form, "application/x-www-form-urlencoded")
    return {"Authorization": f"Bearer {answer(response)['access_token']}"}
