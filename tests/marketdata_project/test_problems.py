"""Every error is one body with a stable code: those of the apps, of DRF, of Django, and those nobody foresaw."""

import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.db import OperationalError
from django.test import Client
from django.utils.module_loading import import_string
from rest_framework import exceptions as drf

from jobs.exceptions import JobError
from marketdata_project.error_codes import DECLARED, ERROR_CODES
from marketdata_project.error_shapes import shape_of
from marketdata_project.problems import OWN_ERRORS, problem_of
from ratelimit.exceptions import CredentialError
from store import exceptions as storage
from store.exceptions import StorageError
from store.protocol import NO_COMMIT
from store.walk import Resync
from tests.api_client import INGEST, OHLC, problem, trade
from tests.memory_store import MemoryStore
from trades.exceptions import BatchRefused
from trading import exceptions as trading
from web.problem_body import problem_body
from web.requests import exceptions as requests
from web.requests.wsgi_variables import BODY_TOO_LARGE

BODY = problem_body(status=404, code="not_found", message="nothing", correlation_id="c")
ARGUMENTS = {
    storage.UnknownSymbol: ("AAPL",),
    storage.IdConflict: ([3],),
    storage.RequestKeyReused: (),
    storage.AliasTaken: (0, "FB", "it is an alias of META"),
    storage.RequestInProgress: (),
    storage.Expired: ("rows before 2025-01-07 have expired", 0),
    storage.OtherVersion: ("/secret/path", "its format is 2"),
    requests.BodyTooLarge: (1,),
    Resync: ("AAPL", NO_COMMIT),
    trading.NoRate: ("EUR", "USD"),
}


class FailingStore(MemoryStore):
    """A store that cannot do anything now."""

    def __init__(self, *, error: str) -> None:
        super().__init__()
        kind = import_string(error)
        self._error = kind(*ARGUMENTS.get(kind, ("it is away: /secret/path",)))

    def append(self, batch):
        raise self._error

    def log(self, dataset, symbol):
        raise self._error


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def fail_with(settings, error: type[Exception]) -> None:
    options = {"error": f"{error.__module__}.{error.__qualname__}"}
    settings.MARKET_STORES = {"default": {"BACKEND": f"{__name__}.FailingStore", "OPTIONS": options}}


CODED = [kind for base in OWN_ERRORS for kind in subclasses(base) if hasattr(kind, "code")] + [Resync]


@pytest.mark.parametrize("kind", CODED, ids=lambda kind: kind.__name__)
def test_every_coded_exception_of_the_apps_is_a_problem_of_its_declaration(kind):
    error = kind(*ARGUMENTS.get(kind, () if takes_nothing(kind) else ("a message",)))
    found, declared = problem_of(error), DECLARED[kind.code]
    assert (found.code, found.status) == (declared.code, declared.status)
    assert found.message == str(error)
    assert found.headers().get("Retry-After") == (
        None if declared.retry_seconds is None else str(declared.retry_seconds)
    )


def takes_nothing(kind: type[Exception]) -> bool:
    try:
        kind()
    except TypeError:
        return False
    return kind.__init__ is not Exception.__init__


@pytest.mark.parametrize(
    "kind", [requests.InvalidParameter, requests.MalformedDocument, BatchRefused, JobError]
)
def test_the_code_of_a_refused_request_decides_about_its_status(kind):
    for declared in ERROR_CODES:
        assert problem_of(kind(declared.code, "a message")).status == declared.status


@pytest.mark.parametrize(
    "error", [requests.InvalidParameter("of_nobody", "a message"), StorageError("a message")], ids=repr
)
def test_an_error_without_a_declared_code_is_one_that_nobody_foresaw(error, caplog):
    assert (problem_of(error).status, problem_of(error).code) == (500, "internal_error")
    assert "a message" not in problem_of(error).message
    assert "a message" in caplog.text


@pytest.mark.parametrize("kind", list(subclasses(CredentialError)), ids=lambda kind: kind.__name__)
def test_every_refusal_of_a_key_has_a_declared_code(kind):
    assert DECLARED[kind.code].status == 401


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (storage.StoreUnavailable, 503, "store_unavailable"),
        (storage.StoreBusy, 503, "store_busy"),
        (storage.LogAheadOfClock, 503, "log_ahead_of_clock"),
        (storage.OutcomeUnknown, 503, "outcome_unknown"),
        (storage.DataDamaged, 503, "data_damaged"),
        (storage.StoreFull, 507, "store_full"),
        (storage.RequestInProgress, 409, "in_progress"),
    ],
)
def test_what_the_store_cannot_do_now_is_to_be_tried_again(api, settings, kind, status, code):
    fail_with(settings, kind)
    for response in (api.ingest(trade()), api.ohlc(symbol="AAPL")):
        assert problem(response) == (status, code)
        assert int(response["Retry-After"]) >= 1


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError, OSError], ids=str)
def test_what_nobody_foresaw_is_500_and_shows_nothing(api, settings, caplog, kind):
    fail_with(settings, kind)
    for response in (api.ingest(trade()), api.ohlc(symbol="AAPL")):
        assert problem(response) == (500, "internal_error")
        assert b"secret" not in response.content
        assert b"Traceback" not in response.content
    assert "/secret/path" in caplog.text


def test_the_log_names_the_request_that_failed(api, settings, caplog):
    fail_with(settings, RuntimeError)
    with caplog.at_level(logging.ERROR):
        api.get(OHLC, {"symbol": "AAPL"}, **{"X-Correlation-ID": "find-me-again"})
    assert any(record.exc_info for record in caplog.records)


def test_a_database_that_is_away_is_503(db, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise OperationalError("unable to open /secret/path")

    monkeypatch.setattr("ratelimit.keys.selectors._load", away)
    response = Client().get(OHLC, headers={"X-API-Key": "md_aaaaaaaa_" + "a" * 43})
    assert problem(response) == (503, "database_unavailable")
    assert int(response["Retry-After"]) >= 1
    assert b"secret" not in response.content


def test_an_error_outside_of_the_api_is_a_problem_too(db, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr("marketdata_project.pages.render", fail)
    response = Client().get("/")
    assert problem(response) == (500, "internal_error")
    assert b"secret" not in response.content


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/api/v1/nope",
        "/v1/",
        "/api",
        "/api/v3",
        "/api/v1/market-data/bonds/A/ohlcv",
        "/api/v1/trades/ingest/more",
        "/.env",
        "/v1/cache/stats",
        "/api/v1//trades/ingest",
        "/%00",
        "/a%ff",
    ],
)
def test_an_unknown_path_is_404_in_json_for_programs(db, path):
    for accept in ("*/*", "application/json", "image/png", "text/*;q=0.1, application/json"):
        assert problem(Client().get(path, headers={"Accept": accept})) == (404, "not_found")
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert problem(Client().generic(method, path, b"{}")) == (404, "not_found")


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz/", "/docs/errors"])
def test_a_page_that_is_only_read_answers_405_to_a_write(db, path):
    response = Client().post(path)
    assert problem(response) == (405, "method_not_allowed")
    assert "GET" in response["Allow"]


@pytest.mark.parametrize(
    "path",
    ["/", "/nope", OHLC],
)
@pytest.mark.parametrize("host", ["evil.example", "a b"])
def test_a_host_that_is_not_ours_is_400(db, settings, path, host):
    settings.ALLOWED_HOSTS = ["example.org"]
    assert problem(Client().get(path, headers={"Host": host})) == (400, "invalid_host")


def test_a_batch_for_a_host_that_is_not_ours_is_not_stored(api, settings):
    settings.ALLOWED_HOSTS = ["example.org"]
    assert problem(api.ingest(trade(), Host="evil.example")) == (400, "invalid_host")
    assert problem(api.ohlc(symbol="AAPL", path=OHLC)) == (400, "invalid_host")
    settings.ALLOWED_HOSTS = ["*"]
    assert problem(api.ohlc(symbol="AAPL")) == (404, "unknown_symbol")


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz", "/readyz/", "/metrics", "/metrics/"])
def test_probes_may_ask_by_address(db, store_path, settings, path):
    store_path.mkdir()
    settings.ALLOWED_HOSTS = ["example.org"]
    assert Client().get(path, headers={"Host": "127.0.0.1:8000"}).status_code == 200


def test_a_body_that_the_front_cut_off_is_413(db):
    cut_off: dict[str, Any] = {BODY_TOO_LARGE: True}
    response = Client().generic("POST", INGEST, b"", "application/json", **cut_off)
    assert problem(response) == (413, "body_too_large")


def test_an_options_request_says_what_there_is(api):
    response = api.call("OPTIONS", OHLC)
    assert response.status_code == 200
    assert orjson.loads(response.content)["name"]


def test_a_problem_lists_at_most_a_hundred_errors():
    wrong = drf.ValidationError({"weights": ["must be an object"] * 150})
    assert len(problem_of(wrong).errors) == requests.ERRORS_LIMIT


# The bodies of errors at the paths of dialects


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/api/v2/stocks/bars", {"code": 40_400_000, "message": "nothing"}),
        ("/api/v1beta3/crypto/us/bars", {"code": 40_400_000, "message": "nothing"}),
        ("/api/v2", {"code": 40_400_000, "message": "nothing"}),
        ("/udf/history", {"s": "error", "errmsg": "nothing"}),
        ("/api/status", {"error": "nothing", "code": 404}),
    ],
)
def test_an_error_has_the_body_of_its_path(path: str, members: dict[str, object]):
    shape = shape_of(path)
    assert shape is not None
    ours = {"reason": "not_found", "correlation_id": "c", "errors": []}
    assert shape(BODY) == members | ours


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v21", "/v2/stocks", "/"])
def test_other_paths_have_the_usual_body(path: str):
    assert shape_of(path) is None
