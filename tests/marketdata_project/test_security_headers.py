"""What answers say to browsers, what cookies are like, and what goes where without TLS."""

import re
import secrets
from contextlib import closing
from importlib import import_module

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api_client import OF_SCHEMA, OHLC, Api, problem, trade

ON_ALL = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
}
PAGES = [
    "/",
    "/endpoints",
    "/docs",
    "/api/v1/docs",
    "/api/v1/docs/errors",
    "/docs/guide",
    "/docs/guide/limits",
    "/login",
]
OTHERS = [
    "/healthz",
    pytest.param("/api/v1/schema", marks=OF_SCHEMA),
    "/nothing",
    "/static/dashboard/site.css",
    "/static/rest_framework/js/default.js",
    OHLC,
]
HTML = {"Accept": "text/html"}


@pytest.fixture
def staff(api: Api) -> Client:
    api.ingest(trade())
    client = Client()
    client.force_login(User.objects.create_user("lovelace", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_every_answer_has_the_headers_that_cost_nothing(api, client, path):
    with closing(client.get(path)) as response:
        assert {name: response.headers.get(name) for name in ON_ALL} == ON_ALL
        assert "Server" not in response.headers


def assert_has_policy(response):
    assert response.headers["Content-Type"].startswith("text/html")
    directives = [part.split() for part in response.headers["Content-Security-Policy"].split(";")]
    assert {name: values for name, *values in directives} == POLICY
    assert "camera=()" in response.headers["Permissions-Policy"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_policy_without_inline_scripts(api, client, path):
    assert_has_policy(client.get(path))


@pytest.mark.parametrize(
    "path",
    [
        f"{OHLC}?symbol=AAPL",
        f"{OHLC}?symbol=NOPE",
        "/admin/",
        "/admin/audit/auditrecord/",
        "/v1/trades/ingest",
    ],
)
def test_pages_for_the_staff_have_it_too(staff, path):
    assert_has_policy(staff.get(path, headers=HTML))


@pytest.mark.parametrize("path", OTHERS)
def test_what_is_no_page_has_no_policy(api, client, path):
    with closing(client.get(path)) as response:
        assert "Content-Security-Policy" not in response.headers
        assert "Permissions-Policy" not in response.headers


@pytest.mark.parametrize("path", [*PAGES, f"{OHLC}?symbol=AAPL", "/admin/", "/admin/audit/auditrecord/"])
def test_no_page_has_a_script_a_style_or_a_handler_in_it(staff, path):
    page = staff.get(path, headers=HTML).content.decode()
    scripts = re.findall(r"<script(?![^>]*\ssrc=)([^>]*)>", page)
    assert [attributes for attributes in scripts if "application/json" not in attributes] == []
    assert re.findall(r"<style|<[^>]+\s(?:on[a-z]+|style)=|javascript:", page) == []


def test_the_script_of_the_documentation_is_one_of_ours(client):
    page = client.get("/api/v1/docs").content.decode()
    sources = re.findall(r'<script src="([^"]*)"', page)
    assert len(sources) == 4
    assert all(source.startswith("/") and not source.startswith("//") for source in sources)
    script = client.get(sources[-1])
    assert script.headers["Content-Type"] == "application/javascript"
    assert b"SwaggerUIBundle" in script.content


def test_cookies_are_for_the_server_alone(db, client):
    User.objects.create_user("lovelace", password="the analytical engine 1843", is_staff=True)
    sent = {"username": "lovelace", "password": "the analytical engine 1843", "next": "/"}
    response = client.post("/login", sent)
    assert response.status_code == 302
    paths = {name: cookie["path"] for name, cookie in response.cookies.items()}
    assert paths == {"sessionid": "/", "csrftoken": "/", "refresh": "/api/v1/auth"}
    for cookie in response.cookies.values():
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")
    assert response.cookies["sessionid"]["max-age"] == ""
    session = client.session
    assert session.get_expire_at_browser_close()


def test_a_form_without_its_token_is_a_problem(db):
    response = Client(enforce_csrf_checks=True).post("/login", {"username": "a", "password": "b"})
    assert problem(response) == (403, "forbidden")


@pytest.fixture
def in_production(settings, monkeypatch):
    """What `settings/production.py` has beyond the others."""
    monkeypatch.setenv("SECRET_KEY", secrets.token_urlsafe(64))
    production = import_module("marketdata_project.settings.production")
    for name in vars(production):
        if name.startswith(("SECURE_", "SESSION_", "CSRF_", "REFRESH_COOKIE_")):
            setattr(settings, name, getattr(production, name))
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    return settings


def test_cookies_in_production_are_of_this_very_host_over_tls(db, in_production, client):
    User.objects.create_user("lovelace", password="the analytical engine 1843", is_staff=True)
    sent = {"username": "lovelace", "password": "the analytical engine 1843"}
    response = client.post("/login?next=/admin/", sent, secure=True)
    assert set(response.cookies) == {"__Host-sessionid", "__Host-csrftoken", "__Secure-refresh"}
    for name, cookie in response.cookies.items():
        path = "/" if name.startswith("__Host-") else "/api/v1/auth"
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, path, "")
    assert client.get("/admin/", secure=True).status_code == 200


def test_plain_http_is_refused_or_redirected_and_never_answered(db, in_production, client):
    assert problem(client.get(f"{OHLC}?symbol=AAPL")) == (403, "https_required")
    response = client.get("/admin/?next=/")
    assert (response.status_code, response["Location"]) == (308, "https://testserver/admin/?next=/")
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz", "/readyz/", "/metrics", "/metrics/"])
def test_whoever_asks_for_health_needs_no_tls(db, in_production, client, path):
    assert client.get(path).status_code in {200, 503}


@pytest.mark.parametrize(
    ("path", "status"), [("/healthzz", 308), ("/healthz/x", 308), ("/api/v1/healthz", 403)]
)
def test_nothing_else_is_exempt(db, in_production, client, path, status):
    assert client.get(path).status_code == status


def test_answers_over_tls_have_browsers_stay_with_it(db, in_production, client):
    said = client.get("/", secure=True).headers["Strict-Transport-Security"]
    assert said == "max-age=31536000; includeSubDomains; preload"


def test_another_host_is_refused_and_never_redirected_to(db, in_production, client):
    response = client.get("/", headers={"Host": "evil.example"})
    assert problem(response) == (400, "invalid_host")
