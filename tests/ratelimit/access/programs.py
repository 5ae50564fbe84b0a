"""Programs and how they get their tokens (OAuth2), as a client meets it."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from ratelimit.models import ApiKey
from tests.api_client import answer, make_key
from tests.ratelimit.credentials.logins import next_address

FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}


@dataclass
class Program:
    """An OAuth2 client."""

    client_id: str
    secret: str

    @property
    def basic(self) -> dict[str, str]:
        pair = f"{self.client_id}:{self.secret}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    @property
    def form(self) -> dict[str, str]:
        return {"client_id": self.client_id, "client_secret": self.secret}

    @property
    def key(self) -> ApiKey:
        return ApiKey.objects.get(prefix=self.client_id)


def program(**terms: Any) -> Program:
    """A program with a new key."""
    secret = make_key(**terms)
    return Program(ApiKey.objects.latest("pk").prefix, secret)


def oauth(path: str, form: Any, headers: Any = None, content_type: str = FORM, query: str = "") -> Any:
    """The answer of one of OAuth2's endpoints."""
    body = form if isinstance(form, str | bytes) else urlencode(form, doseq=True)
    url = f"/api/v1/oauth/{path}{query}"
    return Client().generic(
        "POST", url, body, content_type, headers=headers or {}, REMOTE_ADDR=next_address()
    )


def token_of(client: Program, **form: str) -> str:
    response = oauth("token", {**GRANT, **form}, client.basic)
    assert response.status_code == 200, response.content
    return str(answer(response)["access_token"])


def token_of_a_program(**terms: Any) -> dict[str, str]:
    """The header of a program that was granted these terms, with a token for all of them."""
    return {"Authorization": f"Bearer {token_of(program(**terms))}"}
