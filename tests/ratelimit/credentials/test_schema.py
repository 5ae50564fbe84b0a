"""What the document of the API says of credentials, and of the endpoints at which tokens are got."""

import orjson
import pytest
from django.test import Client

from ratelimit.access.scopes import SCOPES
from tests.api_client import OF_SCHEMA

pytestmark = OF_SCHEMA


@pytest.fixture(scope="module")
def document():
    return orjson.loads(Client().get("/api/v1/schema", {"format": "json"}).content)


def test_every_kind_of_credential_is_a_scheme(document):
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {
        "ApiKey": "apiKey",
        "XApiKey": "apiKey",
        "Bearer": "http",
        "OAuth2": "oauth2",
        "Signature": "apiKey",
        "Certificate": "mutualTLS",
        "Session": "apiKey",
    }
    flow = schemes["OAuth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] in document["paths"]
    assert set(flow["scopes"]) == set(SCOPES)


def test_each_alone_suffices(document):
    security = document["paths"]["/api/v1/clock"]["get"]["security"]
    assert [list(alternative) for alternative in security] == [
        [name] for name in ("ApiKey", "XApiKey", "Bearer", "OAuth2", "Signature", "Certificate", "Session")
    ]


@pytest.mark.parametrize("path", ["auth/token", "auth/refresh", "auth/logout", "oauth/token", "oauth/revoke"])
def test_tokens_are_got_without_a_credential(document, path):
    operation = document["paths"][f"/api/v1/{path}"]["post"]
    assert not any(operation.get("security", []))
    media = "application/x-www-form-urlencoded" if path.startswith("oauth") else "application/json"
    assert list(operation["requestBody"]["content"]) == [media]
    assert operation["requestBody"]["content"][media]["examples"]
    assert ("401" in operation["responses"]) is ("oauth" in path)
