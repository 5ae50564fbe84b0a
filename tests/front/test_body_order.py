"""The order of work on a large body: its endpoint's limit, who sends it, may it, its cost; then the body, then its digest."""

from io import BytesIO
from typing import Any

import pytest
from django.test import Client

from front.application import DjangoHandler
from front.environ import environ_for
from front.preauthorization import authorize_large_body
from ratelimit.credentials.signed_requests import RequestVerifier
from ratelimit.keys.selectors import key_cache
from ratelimit.models import ApiKey, UsedNonce
from tests.api_client import INGEST, body_of, make_key, problem, trade
from tests.front.front_server import ask, echo, running
from tests.ratelimit.credentials.signatures.signing import prefix_of, secret_of, signed
from web.endpoints import SMALL_BODY_BYTES, body_limit
from web.requests.wsgi_variables import ADMISSION, BODY_UNREAD

ROWS = [trade(trade_id=f"{number:09}") for number in range(300)]
BODY = body_of(*ROWS)
URL = f"http://localhost{INGEST}"
JSON = {"Content-Type": "application/json"}


def environ_of(headers: dict[str, str], *, body: bytes = BODY, path: str = INGEST) -> dict[str, Any]:
    """A call with a large body, of which nothing has been read."""
    sent = {"Host": "localhost", "Content-Length": str(len(body)), **JSON, **headers}
    return environ_for(
        {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
        }
    )


def answered(environ: dict[str, Any], body: bytes = BODY, *, reads: bool = True) -> Any:
    """Django's answer once the front has asked whose body it is, and has read it if it `reads` it."""
    assert (authorize_large_body(environ) is not None) is reads
    if not reads:
        environ[BODY_UNREAD], body = True, b""
    environ.update({"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    return DjangoHandler().respond(environ)


def headers_by(key: str, *, body: bytes = BODY, **options: Any) -> dict[str, str]:
    options = {"key_id": prefix_of(key), "secret": secret_of(key), "body": body, "headers": JSON, **options}
    return signed("POST", URL, **options)


@pytest.fixture
def key(api) -> str:
    return make_key()


def test_the_body_is_large():
    assert SMALL_BODY_BYTES < len(BODY) < body_limit(INGEST, "POST")


def test_the_headers_and_the_nonce_of_a_signed_call_are_looked_at_once(key, monkeypatch):
    verified: list[str] = []
    verify = RequestVerifier.verify

    def counted(self: RequestVerifier, message: Any) -> Any:
        verified.append(message.url)
        return verify(self, message)

    monkeypatch.setattr(RequestVerifier, "verify", counted)
    environ = environ_of(headers_by(key))
    assert answered(environ).status_code == 200
    assert UsedNonce.objects.count() == 1
    assert verified == [URL]


WRONG = {
    "another key's": {"secret": "another"},
    "too old": {"age": 3600},
    "without a nonce": {"nonce": None},
    "without the target": {"covered": ("@method", "content-digest", "content-type")},
    "without the digest": {"body": None},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_a_body_is_not_read_whose_headers_are_signed_wrong(key, options):
    environ = environ_of(headers_by(key, **options))
    refused = problem(answered(environ, reads=False))
    assert refused in {(401, "invalid_signature"), (401, "signature_expired")}


def test_a_body_that_was_not_signed_is_refused_after_it_was_read(key):
    other = body_of(*ROWS[1:], trade(trade_id="another"))
    environ = environ_of(headers_by(key))
    assert problem(answered(environ, other)) == (401, "digest_mismatch")


def test_headers_that_come_again_cost_their_signer_nothing(api, project_redis, standing_clock):
    key = make_key(rate=5)
    headers = headers_by(key)
    first = answered(environ_of(headers))
    replays = [problem(answered(environ_of(headers), reads=False)) for _ in range(3)]
    assert replays == [(401, "nonce_used")] * 3
    after = answered(environ_of({"X-API-Key": key}))
    assert [answer["X-RateLimit-Remaining"] for answer in (first, after)] == ["9", "8"]


def test_a_key_that_is_revoked_while_its_body_comes_stores_nothing(key):
    environ = environ_of(headers_by(key))
    assert authorize_large_body(environ) is not None
    environ.update({"wsgi.input": BytesIO(BODY)})
    ApiKey.objects.update(revoked_at="2025-01-01T00:00:00Z")
    key_cache.clear()
    assert problem(DjangoHandler().respond(environ)) == (401, "revoked_api_key")


@pytest.mark.parametrize("way", ["shown", "signed"])
def test_who_may_not_is_refused_without_the_body_and_charged_once(api, project_redis, standing_clock, way):
    key = make_key(scopes=("market:read",), rate=5)
    headers = {"X-API-Key": key} if way == "shown" else headers_by(key)
    response = answered(environ_of(headers), reads=False)
    assert problem(response) == (403, "missing_scope")
    assert response["X-RateLimit-Remaining"] == "9"


def test_who_is_over_the_limit_is_refused_without_the_body(api, project_redis, standing_clock):
    shown = {"X-API-Key": make_key(rate=1)}
    answers = [answered(environ_of(shown), reads=number < 2) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert problem(answers[-1]) == (429, "rate_limited")


def test_what_was_refused_without_its_body_is_not_let_in_by_a_grant_made_since(api):
    key = make_key(scopes=("market:read",))
    environ = environ_of(headers_by(key))
    assert authorize_large_body(environ) is None
    ApiKey.objects.update(scopes=["market:write"])
    key_cache.clear()
    environ.update({BODY_UNREAD: True, "wsgi.input": BytesIO(), "CONTENT_LENGTH": "0"})
    assert problem(DjangoHandler().respond(environ)) == (413, "body_too_large")


def test_the_endpoints_limit_is_before_the_sender():
    asked: list[Any] = []
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000001\r\nConnection: close\r\n\r\n"
    with running(echo, max_body_bytes=1_000_000, authorize_large_body=asked.append) as port:
        reply = ask(port, post)
    assert reply.json()["marketdata.body_unread"] is True
    assert asked == []


def test_what_is_refused_over_plain_http_is_not_read_and_costs_its_key_nothing(api, settings):
    settings.SECURE_SSL_REDIRECT = True
    environ = environ_of({"X-API-Key": make_key()})
    assert authorize_large_body(environ) is None
    assert ADMISSION not in environ


@pytest.mark.parametrize(
    ("token", "status"), [(True, 200), (False, 403)], ids=["with", "without a CSRF token"]
)
def test_a_browser_sends_a_large_file_by_its_session(api, settings, tmp_path, *, token: bool, status: int):
    settings.DATA_DIR = tmp_path
    browser = Client()
    browser.post("/login", {"key": make_key(scopes=("market:write",))})
    secret = "a" * 32
    cookies = {settings.SESSION_COOKIE_NAME: browser.session.session_key, settings.CSRF_COOKIE_NAME: secret}
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    headers |= {"X-CSRFToken": secret} if token else {}
    rows = b"timestamp,symbol,price,volume\n" + b"2025-01-02T14:30:00Z,X,1,1\n" * 1000
    environ = environ_of(headers | {"Content-Type": "text/csv"}, body=rows, path="/api/v1/trades/ingest")
    assert answered(environ, rows, reads=token).status_code == status
