"""Pages of origins that the setting names may call the API from a browser; those of others may not."""

import os
import subprocess
import sys

import pytest
from django.conf import settings as project
from django.test import Client

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
