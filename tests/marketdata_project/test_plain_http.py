"""Plain HTTP in production: pages are redirected, calls refused and recorded, keys named, all charged to the address."""

import json
from collections import Counter

import pytest
from django.test import Client, RequestFactory
from rest_framework.exceptions import PermissionDenied

from audit.services import anonymous_refusals, call_spool
from front.preauthorization import check_handshake
from ratelimit.authorize import LimitReached
from tests.api_client import INGEST, OHLC, Api, make_key, problem
from tests.audit.builders import spool_records
from tests.ratelimit.access.programs import Program

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis", "standing_clock", "_tls_alone")]

STREAM = "/ws/v1/stream"
WRONG_HOST = {"Host": "evil.example"}


@pytest.fixture
def _tls_alone(settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^healthz/?$", r"^readyz/?$"]
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.ADDRESS_RATE = 1


@pytest.fixture
def records(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path
    yield lambda: spool_records(tmp_path)
    call_spool().close()


def statuses_told(records) -> Counter[int]:
    """How often each status was recorded whole or counted."""
    anonymous_refusals().close()
    told: Counter[int] = Counter()
    for record in records():
        counted = json.loads(record["detail"])["statuses"] if "event" in record else {record["status"]: 1}
        told.update({int(status): count for status, count in counted.items()})
    return told


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{OHLC}?symbol=AAPL"),
        ("POST", INGEST),
        ("POST", "/v1/trades/ingest"),
        ("GET", "/api/nowhere"),
    ],
)
def test_a_call_is_refused_and_leaves_a_record_that_says_nothing_of_the_key(records, method, path):
    answer = Api(make_key()).call(method, path, b"{}", x_correlation_id="find-me-again")
    assert problem(answer) == (403, "https_required")
    assert "Location" not in answer
    assert answer["X-Correlation-ID"] == "find-me-again"
    (record,) = records()
    assert record["path"] == path.partition("?")[0]
    told = {name: record[name] for name in ("caller", "method", "status", "address", "correlation_id")}
    assert told == {
        "caller": "",
        "method": method,
        "status": 403,
        "address": "127.0.0.1",
        "correlation_id": "find-me-again",
    }


def test_a_call_with_more_slashes_is_refused_as_well(records):
    answer = Client().get("/", headers={"X-API-Key": make_key()}, PATH_INFO=f"/{OHLC}")
    assert problem(answer) == (403, "https_required")
    assert [record["path"] for record in records()] == [f"/{OHLC}"]


@pytest.mark.parametrize("path", ["/", "/docs", "/api/v1/docs", "/api/v1/schema?x=1", "/admin/login/"])
def test_a_page_is_redirected_by_a_method_that_keeps_its_body(records, path):
    answer = Client().post(path, b"{}", content_type="application/json")
    assert (answer.status_code, answer["Location"]) == (308, f"https://testserver{path}")
    assert statuses_told(records) == Counter()


def exposed_in(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if "exposed" in record.getMessage()]


@pytest.mark.parametrize("way", ["X-API-Key", "Api-Key", "Basic"])
def test_a_key_that_came_is_named_without_its_secret(caplog, way):
    key = make_key(networks=["198.51.100.0/24"])
    sent = {
        "X-API-Key": {"X-API-Key": key},
        "Api-Key": {"Authorization": f"Api-Key {key}"},
        "Basic": Program(key[3:11], key).basic,
    }
    assert problem(Client().get(OHLC, headers=sent[way])) == (403, "https_required")
    (told,) = exposed_in(caplog)
    assert told.startswith(f"the API key md_{key[3:11]} came over plain HTTP from 127.0.0.1")
    assert key[12:] not in caplog.text


def test_a_token_that_came_is_named_by_whose_it_is(caplog, django_user_model):
    django_user_model.objects.create_superuser("ada", password="correct horse battery")
    login = {"username": "ada", "password": "correct horse battery"}
    pair = Client().post("/api/v1/auth/token", login, content_type="application/json", secure=True).json()
    assert Client().get(OHLC, headers={"Authorization": f"Bearer {pair['access']}"}).status_code == 403
    (told,) = exposed_in(caplog)
    assert told.startswith("a token of user:")
    assert pair["access"] not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": f"md_aaaaaaaa_{'b' * 43}"},
        {"X-API-Key": "md_nonsense"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Basic %%%"},
        {"Signature": "sig1=:AAAA:"},
    ],
    ids=str,
)
def test_what_is_no_good_key_or_token_fills_no_log(caplog, headers):
    assert Client().get(OHLC, headers=headers).status_code == 403
    assert exposed_in(caplog) == []


def test_a_wrong_host_leaves_a_record_too(records):
    assert problem(Client().get(OHLC, headers=WRONG_HOST)) == (400, "invalid_host")
    assert [record["status"] for record in records()] == [400]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [(OHLC, {}, 403), ("/", {}, 308), ("/static/x.css", {}, 308), (OHLC, WRONG_HOST, 400)],
)
def test_it_is_charged_to_the_address(records, path, headers, status):
    answers = [Client().get(path, headers=headers) for _ in range(5)]
    assert [answer.status_code for answer in answers][:2] == [status] * 2
    assert problem(answers[-1]) == (429, "rate_limited")
    assert [answer["X-RateLimit-Limit"] for answer in answers] == ["2"] * 5
    assert answers[-1]["Retry-After"] == "1"
    assert "Location" not in answers[-1]
    assert "https://" not in answers[-1].content.decode()
    expected = Counter(answer.status_code for answer in answers) if path == OHLC else Counter()
    assert statuses_told(records) == expected


def test_a_refusal_has_the_headers_of_every_answer():
    answers = [Client().get(OHLC) for _ in range(5)]
    assert answers[-1].status_code == 429
    assert {answer["X-Content-Type-Options"] for answer in answers} == {"nosniff"}
    assert answers[-1]["Content-Type"] == "application/problem+json"


def test_what_came_over_tls_is_recorded_once(records):
    assert Client().get(OHLC, secure=True).status_code == 401
    assert Client().get(OHLC, secure=True, headers=WRONG_HOST).status_code == 400
    assert statuses_told(records) == Counter([401, 400])


@pytest.mark.parametrize("path", ["/healthz", "/readyz/"])
def test_signs_of_life_stay_free(path):
    answers = [Client().get(path) for _ in range(5)]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert "X-RateLimit-Limit" not in answers[-1]


@pytest.mark.parametrize("host", ["evil.example", "a b", "x" * 300])
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("path", ["/", OHLC])
def test_a_wrong_host_fills_no_log(caplog, path, secure, host):
    assert problem(Client().get(path, headers={"Host": host}, secure=secure)) == (400, "invalid_host")
    assert caplog.text == ""


class TestHandshakes:
    """The front refuses them before Django."""

    def refused(self, scheme: str, **headers: str) -> tuple[str, int]:
        """The code and the status with which a handshake is refused."""
        environ = RequestFactory().get(STREAM).environ | {"wsgi.url_scheme": scheme, **headers}
        with pytest.raises((PermissionDenied, LimitReached)) as refusal:
            check_handshake(environ)
        return str(refusal.value.get_codes()), refusal.value.status_code

    def test_one_over_tls_of_this_host_is_not(self):
        check_handshake(RequestFactory().get(STREAM, secure=True).environ)

    def test_over_plain_http_it_says_so_and_names_the_key(self, caplog):
        key = make_key()
        assert self.refused("http", HTTP_X_API_KEY=key) == ("https_required", 403)
        assert f"md_{key[3:11]}" in exposed_in(caplog)[0]

    @pytest.mark.parametrize(
        ("scheme", "headers", "code"),
        [
            ("http", {}, "https_required"),
            ("https", {"HTTP_HOST": "evil.example"}, "forbidden"),
            ("https", {"HTTP_ORIGIN": "https://evil.example"}, "forbidden"),
        ],
    )
    def test_it_is_charged_to_the_address(self, scheme, headers, code):
        answers = [self.refused(scheme, **headers) for _ in range(3)]
        assert answers == [(code, 403), (code, 403), ("rate_limited", 429)]
