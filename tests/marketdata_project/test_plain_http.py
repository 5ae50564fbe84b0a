"""Plain HTTP in production: sent on to TLS, recorded, and charged to the address."""

import json
from collections import Counter

import pytest
from django.test import Client

from audit.services import anonymous_refusals, call_spool
from tests.api_client import INGEST, OHLC, Api, make_key, problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis", "standing_clock", "_tls_alone")]

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
    yield lambda: [
        json.loads(line) for file in tmp_path.glob("spool/*") for line in file.read_bytes().splitlines()
    ]
    call_spool().close()


def statuses_told(records) -> Counter[int]:
    """How often each status was recorded whole or counted."""
    anonymous_refusals().close()
    told: Counter[int] = Counter()
    for record in records():
        counted = json.loads(record["detail"])["statuses"] if "event" in record else {record["status"]: 1}
        told.update({int(status): count for status, count in counted.items()})
    return told


@pytest.mark.parametrize(("method", "path"), [("GET", f"{OHLC}?symbol=AAPL"), ("POST", INGEST)])
def test_a_redirect_keeps_method_and_body_and_leaves_a_record_that_says_nothing_of_the_key(
    records, method, path
):
    answer = Api(make_key()).call(method, path, b"{}", x_correlation_id="find-me-again")
    assert (answer.status_code, answer["Location"]) == (308, f"https://testserver{path}")
    assert answer["X-Correlation-ID"] == "find-me-again"
    (record,) = records()
    assert record["path"] == path.partition("?")[0]
    told = {name: record[name] for name in ("caller", "method", "status", "address", "correlation_id")}
    assert told == {
        "caller": "",
        "method": method,
        "status": 308,
        "address": "127.0.0.1",
        "correlation_id": "find-me-again",
    }


def test_a_wrong_host_leaves_a_record_too(records):
    assert problem(Client().get(OHLC, headers=WRONG_HOST)) == (400, "invalid_host")
    assert [record["status"] for record in records()] == [400]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [(OHLC, {}, 308), ("/", {}, 308), ("/static/x.css", {}, 308), (OHLC, WRONG_HOST, 400)],
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


def test_a_refused_redirect_has_the_headers_of_every_answer():
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
