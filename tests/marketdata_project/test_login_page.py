"""The one page to log in: by a key, or by a name and a password."""

import pytest
from django.test import Client

from ratelimit.models import ApiKey
from tests.api_client import make_key, problem
from tests.ratelimit.credentials.logins import PASSWORD, person
from tests.ratelimit.credentials.test_people_admin import events

pytestmark = pytest.mark.django_db
CLOCK = "/api/v1/clock"
BROWSER = {"Accept": "text/html"}


def refusal(client: Client, **entered: str) -> str:
    """Return the page that refuses what was entered. None of it is on the page, and nobody is logged in."""
    response = client.post("/login", entered)
    assert response.status_code == 200
    assert client.get(CLOCK).status_code == 401
    html = response.content.decode()
    assert not any(text in html for text in (*entered.values(), "__all__"))
    return html


def test_a_key_logs_in_and_out():
    client = Client()
    response = client.post("/login?next=/endpoints", {"key": make_key()})
    assert (response.status_code, response["Location"]) == (302, "/endpoints")
    assert client.get(CLOCK).status_code == 200
    assert client.post("/logout").status_code == 302
    assert client.get(CLOCK).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/endpoints",
        CLOCK,
        "/docs",
        "/docs/guide",
        "/docs/guide/limits",
        "/docs/guide?q=key",
        "/docs/errors",
        "/no",
    ],
)
def test_every_page_says_who_is_logged_in(path: str):
    person("test", scopes=["market:read"])
    for entered in ({"username": "test", "password": PASSWORD}, {"key": make_key()}):
        client = Client()
        assert "<span>test</span>" not in client.get(path, headers=BROWSER).content.decode()
        client.post("/login", entered)
        html = client.get(path, headers=BROWSER).content.decode()
        assert "<span>test</span>" in html
        assert ">Log out</button>" in html
        assert ">Log in</a>" not in html


def test_the_page_says_how_to_get_a_link_where_there_are_links(settings):
    for has_links in (True, False):
        settings.LOGIN_LINK = has_links
        assert ("manage.py login_link" in Client().get("/login/").content.decode()) == has_links


def test_a_browser_that_asks_for_an_icon_gets_one():
    response = Client().get("/favicon.ico")
    assert (response.status_code, response["Location"]) == (302, "/static/dashboard/favicon.svg")


def test_the_command_for_a_link_names_the_page_that_was_asked_for(settings):
    settings.LOGIN_LINK = True
    html = Client().get("/login", {"next": "/endpoints?a='$(x)"}).content.decode()
    assert "login_link --url http://testserver --next /endpoints%3Fa%3D%27%24%28x%29</code>" in html


def test_a_name_and_a_password_log_in_and_lead_to_the_dashboard():
    person("clerk", scopes=["market:read"])
    client = Client()
    response = client.post("/login", {"username": "clerk", "password": PASSWORD})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.get(CLOCK).status_code == 200


@pytest.mark.parametrize(
    ("entered", "said"),
    [
        ({"key": "md_wrongkey"}, "The API key is malformed; send it as it was shown."),
        ({"username": "nobody-here", "password": "wrong-password"}, "The name or the password is wrong."),
        ({"username": "nobody-here"}, "Enter a key, or a name and a password."),
        ({"key": "md_wrongkey", "username": "nobody-here", "password": "wrong-password"}, "Enter a key, or"),
    ],
)
def test_what_is_wrong_is_said(entered: dict[str, str], said: str):
    assert said in refusal(Client(), **entered)


def test_a_key_is_refused_from_outside_its_networks():
    key = make_key(networks=["192.0.2.0/24"])
    assert "call from one of its networks" in refusal(Client(REMOTE_ADDR="198.51.100.1"), key=key)


@pytest.mark.parametrize(
    "next_page",
    [
        "https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil.example", "/\\evil.example", "\t//evil.example",
        "https:evil.example", "///evil.example", "http://testserver@evil.example/",
    ],
)  # fmt: skip
def test_a_login_leads_to_no_other_site(next_page: str):
    response = Client().post("/login", {"key": make_key(), "next": next_page})
    assert (response.status_code, response["Location"]) == (302, "/")


def test_the_admin_leads_to_the_page_and_back():
    response = Client().get("/admin/ratelimit/apikey/", follow=True)
    assert response.redirect_chain[-1] == ("/login?next=%2Fadmin%2Fratelimit%2Fapikey%2F", 302)
    person("clerk", flags={"is_staff": True})
    entered = {"username": "clerk", "password": PASSWORD, "next": "/admin/"}
    assert Client().post("/login", entered, follow=True).status_code == 200


def test_a_form_of_another_site_neither_logs_in_nor_out():
    client = Client(enforce_csrf_checks=True)
    assert problem(client.post("/login", {"key": make_key()})) == (403, "forbidden")
    client.handler.enforce_csrf_checks = False
    client.post("/login", {"key": make_key()})
    client.handler.enforce_csrf_checks = True
    assert problem(client.post("/logout")) == (403, "forbidden")
    assert client.get("/logout").status_code == 405
    assert client.get(CLOCK).status_code == 200


def test_logins_by_key_are_recorded_good_and_bad():
    client = Client(REMOTE_ADDR="192.0.2.7")
    key = make_key()
    client.post("/login", {"key": "md_wrong"})
    client.post("/login", {"key": key})
    told = {"name": "", "address": "192.0.2.7"}
    holder = f"key:{ApiKey.objects.get().pk}"
    assert events()[-2:] == [("", "login.failed", "", told), (holder, "login.done", holder, told)]
