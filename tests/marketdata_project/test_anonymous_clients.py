"""Public pages and unknown paths have a limit: the address's, or the caller's own; signs of life have none."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.services import call_spool
from ratelimit.models import ApiKey
from tests.api_client import Api, make_key, problem
from tests.audit.builders import spool_records

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("project_redis", "standing_clock"),
    pytest.mark.system,
]

PAGES = [
    "/",
    "/endpoints",
    "/docs",
    "/docs/errors",
    "/schema?format=json",
    "/api/v1/docs",
    "/api/v1/docs/errors",
    "/api/v1/schema?format=json",
]


@pytest.fixture
def _few(settings) -> None:
    settings.ADDRESS_RATE = 1


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize(("path", "status"), [(path, 200) for path in PAGES] + [("/nothing/here", 404)])
def test_what_is_open_to_anybody_is_charged_to_the_address(api, path, status):
    answers = [Api(None).get(path) for _ in range(5)]
    assert [answer.status_code for answer in answers][:2] == [status] * 2
    assert [answer["X-RateLimit-Limit"] for answer in answers] == ["2"] * 5
    assert problem(answers[-1]) == (429, "rate_limited")
    assert answers[-1]["Retry-After"] == "1"


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("path", ["/", "/nothing/here", "/api/v1/limits"])
def test_a_browser_gets_the_refusal_as_a_page_that_says_how_long_to_wait(db, path):
    refused = [Client().get(path, headers={"Accept": "text/html"}) for _ in range(5)][-1]
    assert (refused.status_code, refused["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert (refused["Retry-After"], refused["X-RateLimit-Limit"]) == ("1", "2")
    assert "retry in 1 s" in refused.content.decode()


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/api/v1/schema?format=json", 200), ("/nothing/here", 404)]
)
def test_whoever_is_known_is_charged_its_own_instead(api, path, status):
    caller = Api(make_key(rate=50))
    answers = [caller.get(path) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {status}
    assert '"access-read";q=100;w=2' in answers[-1]["RateLimit-Policy"]


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("path", ["/docs/errors", "/nothing/here"])
def test_a_wrong_credential_is_nobody(api, path):
    stranger = Api("md_nosuchkey")
    assert [stranger.get(path).status_code for _ in range(5)][-1] == 429


@pytest.mark.usefixtures("_few")
def test_a_format_that_there_is_not_is_charged_although_nobody_was_asked_for(api):
    answers = [Api(None).get("/api/v1/instruments", accept="image/png") for _ in range(5)]
    assert [answer.status_code for answer in answers][:2] == [406, 406]
    assert problem(answers[-1]) == (429, "rate_limited")


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_signs_of_life_are_free(path):
    check_is_free(Client(), path)


ADMIN = ["/admin/", "/admin/nothing", "/login"]


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("path", ADMIN)
def test_the_admin_and_its_login_page_are_charged_to_the_address_of_a_stranger(path):
    answers = [Client().get(path, headers={"Accept": "text/html"}) for _ in range(5)]
    assert {answer.status_code for answer in answers[:2]} <= {200, 302}
    assert (answers[-1].status_code, answers[-1]["Retry-After"]) == (429, "1")
    assert "retry in 1 s" in answers[-1].content.decode()


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("path", ADMIN)
def test_the_admin_is_free_for_staff_who_are_logged_in(path):
    client = Client()
    client.force_login(User.objects.create_user("lovelace", is_staff=True))
    check_is_free(client, path)


def check_is_free(client: Client, path: str) -> None:
    answers = [client.get(path) for _ in range(5)]
    assert len({answer.status_code for answer in answers}) == 1
    assert answers[-1].status_code != 429
    assert "X-RateLimit-Limit" not in answers[-1]


@pytest.fixture
def callers(tmp_path, settings):
    """The callers of the calls that were recorded."""
    settings.AUDIT_DIR = tmp_path
    yield lambda: [record["caller"] for record in spool_records(tmp_path)]
    call_spool().close()


UNSERVED = [
    pytest.param("GET", "/api/v1/nothing", 404, id="unknown-path"),
    pytest.param("POST", "/api/v1/keys/999/nothing", 404, id="unknown-path-below-a-known-one"),
    pytest.param("GET", "/api/v1/clock?format=xml", 406, id="unknown-format"),
]


@pytest.mark.parametrize(("method", "path", "status"), UNSERVED)
def test_what_is_charged_to_a_key_is_recorded_as_its_call(api, callers, method, path, status):
    caller = Api(make_key())
    identity = f"key:{ApiKey.objects.latest('pk').pk}"
    assert caller.call(method, path).status_code == status
    assert callers() == [identity]


def test_what_is_refused_by_a_callers_own_limit_is_recorded_as_its_call(api, callers):
    caller = Api(make_key(rate=1))
    identity = f"key:{ApiKey.objects.latest('pk').pk}"
    assert [caller.get("/api/v1/nothing").status_code for _ in range(5)][-1] == 429
    assert set(callers()) == {identity}


@pytest.mark.parametrize(("method", "path", "status"), UNSERVED)
def test_what_a_session_asks_in_vain_is_recorded_as_its_persons(api, callers, method, path, status):
    person = User.objects.create_user("lovelace", is_superuser=True)
    client = Client()
    client.force_login(person)
    assert client.generic(method, path).status_code == status
    assert callers() == [f"user:{person.pk}"]


@pytest.mark.parametrize(("method", "path", "status"), UNSERVED)
def test_what_nobody_asks_is_recorded_as_nobodys(api, callers, method, path, status):
    assert [Api(key).call(method, path).status_code for key in (None, "md_nosuchkey")] == [status] * 2
    # Refusals of one address are counted after the first.
    assert set(callers()) == {""}
