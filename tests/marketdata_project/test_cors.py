"""Pages of origins that the setting names may call the API and open WebSockets from a browser; those of others may not."""

import os
import subprocess
import sys

import pytest
from django.conf import settings as project
from django.test import Client

from marketdata_project.browsers import is_own_origin

DESK = "https://desk.example"
PROGRAM = "import django; django.setup(); from django.conf import settings; print(settings.CORS_ALLOWED_ORIGINS, *settings.MIDDLEWARE)"


@pytest.fixture
def client(settings) -> Client:
    settings.CORS_ALLOWED_ORIGINS = [DESK]
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    return Client()


def preflight(client: Client, origin: str, asked: str):
    return client.options(
        "/api/v1/stats/ohlc",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": asked,
        },
    )


def test_a_page_of_a_named_origin_may_send_a_key(client):
    response = preflight(client, DESK, "x-api-key, if-none-match")
    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == DESK
    assert {"x-api-key", "if-none-match"} <= set(response["Access-Control-Allow-Headers"].split(", "))


def test_a_page_of_another_origin_may_not(client):
    assert "Access-Control-Allow-Origin" not in preflight(client, "https://other.example", "x-api-key")


def test_a_page_may_read_what_is_said_beside_the_body(client, db):
    response = client.get("/api/v1/stats/ohlc", headers={"Origin": DESK})
    assert {"Link", "X-Commit", "X-Cache"} <= set(response["Access-Control-Expose-Headers"].split(", "))


def test_without_origins_the_middleware_is_off(settings):
    assert "corsheaders.middleware.CorsMiddleware" not in settings.MIDDLEWARE


@pytest.mark.system
def test_the_environment_names_the_origins(tmp_path):
    environment = {
        **os.environ,
        "CORS_ALLOWED_ORIGINS": DESK,
        "DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
    }
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=project.BASE_DIR,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "corsheaders.middleware.CorsMiddleware" in printed
    assert DESK in printed


# Which pages may open a WebSocket: browsers send client certificates with those of any page


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        (None, True),
        ("https://data.example", True),
        ("https://dashboard.example", True),
        ("https://evil.example", False),
        ("https://data.example.evil.example", False),
        ("null", False),
        ("", False),
        ("https://[::", False),
        ("https://data.example]", False),
    ],
)
def test_a_page_of_another_origin_may_not_open_a_web_socket(settings, origin: str | None, is_own: bool):
    settings.CORS_ALLOWED_ORIGINS = ["https://dashboard.example"]
    assert is_own_origin(environ_of("https", origin)) is is_own


@pytest.mark.parametrize(
    ("scheme", "origin", "is_own"),
    [
        ("https", "http://data.example", False),
        ("https", "ftp://data.example", False),
        ("https", "http://local.example", True),
        ("http", "http://data.example", True),
        # A proxy that is not trusted to say so has ended TLS.
        ("http", "https://data.example", True),
    ],
)
def test_over_tls_a_page_without_tls_may_not_open_a_web_socket(
    settings, scheme: str, origin: str, is_own: bool
):
    settings.CORS_ALLOWED_ORIGINS = ["http://local.example"]
    assert is_own_origin(environ_of(scheme, origin)) is is_own


def environ_of(scheme: str, origin: str | None) -> dict[str, str]:
    environ = {"HTTP_HOST": "data.example", "wsgi.url_scheme": scheme}
    return environ if origin is None else environ | {"HTTP_ORIGIN": origin}
