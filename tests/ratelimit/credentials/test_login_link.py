"""The link that logs a browser of this machine in, once."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from ratelimit.credentials.login_link import login_link_create
from web.requests.wsgi_variables import IS_FORWARDED

pytestmark = pytest.mark.django_db
BASE = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def _links_are_on(settings) -> None:
    settings.LOGIN_LINK = True


def link() -> str:
    parts = urlsplit(login_link_create(base=BASE))
    return f"{parts.path}?{parts.query}"


def opened(path: str, client: Client | None = None, *, host: str = "127.0.0.1:8000", **meta: Any) -> Any:
    return (client or Client()).get(path, headers={"host": host}, **meta)


def test_a_link_logs_in_once_and_goes_to_the_dashboard():
    path, client = link(), Client()
    response = opened(path, client)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.get("/admin/").status_code == 200
    refreshed = client.post("/api/v1/auth/refresh", headers={"X-Refresh": "cookie"})
    assert refreshed.status_code == 200
    assert opened(path).status_code == 403
    again = opened(path, client)
    assert (again.status_code, again["Location"]) == (302, "/")
    user = User.objects.get()
    assert (user.username, user.is_superuser, user.has_usable_password()) == ("local", True, False)


@pytest.mark.parametrize(
    ("page", "place"), [("%2Fendpoints%3Fa%3D1", "/endpoints?a=1"), ("https%3A%2F%2Fevil.example", "/")]
)
def test_a_link_leads_to_a_page_of_this_site(capsys, page: str, place: str):
    call_command("login_link", url=BASE, next=page)
    path, client = capsys.readouterr().out.strip().removeprefix(BASE), Client()
    assert [opened(path, client)["Location"] for _ in range(2)] == [place, place]


def test_of_two_requests_at_once_one_logs_in(monkeypatch):
    path, check, statuses = link(), default_token_generator.check_token, []

    def check_slowly(user: User, token: str) -> bool:
        is_valid = check(user, token)
        monkeypatch.setattr(default_token_generator, "check_token", check)
        statuses.append(opened(path).status_code)
        return is_valid

    monkeypatch.setattr(default_token_generator, "check_token", check_slowly)
    assert [opened(path).status_code, *statuses] == [403, 302]


def test_a_login_ends_every_link():
    first, second = link(), link()
    assert opened(first).status_code == 302
    assert opened(second).status_code == 403


def test_a_link_expires(settings):
    path = link()
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert opened(path).status_code == 403


@pytest.mark.parametrize(
    ("host", "meta"),
    [
        ("127.0.0.1", {"REMOTE_ADDR": "192.0.2.7"}),
        ("desk.example", {}),
        ("desk.example:8000", {}),
        ("127.0.0.1.desk.example", {}),
        ("127.0.0.1", {IS_FORWARDED: True}),
    ],
)
def test_a_link_is_refused_elsewhere_and_stays_valid(host, meta):
    path = link()
    assert opened(path, host=host, **meta).status_code == 403
    assert opened(path).status_code == 302


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "[::1]:8000", "[::1]", "127.0.0.1"])
def test_a_link_is_for_every_local_name(host):
    assert opened(link(), host=host).status_code == 302


@pytest.mark.parametrize("token", ["", "x", "é", "\ud800".encode("utf-8", "surrogatepass").decode("latin1")])
def test_another_token_is_refused(token):
    link()
    assert opened(f"/login/link?token={token}").status_code == 403


def test_looking_at_a_link_does_not_use_it():
    path = link()
    assert Client().head(path).status_code == 405
    assert opened(path).status_code == 302


def test_a_person_who_was_deactivated_is_refused():
    assert opened(link()).status_code == 302
    User.objects.update(is_active=False)
    assert opened(link()).status_code == 403


def test_a_link_is_refused_once_links_are_off(settings):
    path = link()
    settings.LOGIN_LINK = False
    assert opened(path).status_code == 403


def test_a_person_of_that_name_who_is_no_superuser_is_not_logged_in():
    User.objects.create_user("local", is_staff=True)
    assert opened(link()).status_code == 403


def test_the_command_makes_another(capsys, settings, tmp_path):
    settings.RUN_DIR = tmp_path
    (tmp_path / "serve.url").write_text("http://127.0.0.1:18430")
    for options, base in (({"url": "http://localhost:9/"}, "localhost:9"), ({}, "127.0.0.1:18430")):
        call_command("login_link", **options)
        assert capsys.readouterr().out.startswith(f"http://{base}/login/link?token=")
    (tmp_path / "serve.url").unlink()
    call_command("login_link")
    assert capsys.readouterr().out.startswith(f"http://127.0.0.1:{settings.PORT}/login/link?token=")
    settings.LOGIN_LINK = False
    with pytest.raises(CommandError, match="LOGIN_LINK is off"):
        call_command("login_link")
