"""The API as a client meets it: through Django's whole middleware stack, with a key of its own."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, cast

import orjson
import pytest
from django.core.signals import request_finished
from django.db import close_old_connections, transaction
from django.test import Client
from django.utils import timezone

from marketdata_project.error_codes import ERROR_CODES
from ratelimit.keys.services import key_create
from ratelimit.models import ApiKey

INGEST = "/api/v1/trades/ingest"
CORRECTIONS = "/api/v1/trades/corrections"
OHLC = "/api/v1/stats/ohlc"
UNLIMITED = 1_000_000
# More members that refusals of trading may have.
OF_TRADING = {"checks", "order_id", "preview"}
DECLARED = {(error.status, error.code) for error in ERROR_CODES}


# Tests that ask for the OpenAPI document share a process of pytest-xdist, which makes it once.
OF_SCHEMA = pytest.mark.xdist_group("schema")


def trade(**changes: Any) -> dict[str, Any]:
    """A valid row of `AAPL`; a change to `...` leaves the field out."""
    row = {"timestamp": "2025-01-02T14:30:00Z", "symbol": "AAPL", "price": 189.98, "volume": 100, **changes}
    return {name: value for name, value in row.items() if value is not ...}


def body_of(*rows: Any) -> bytes:
    return orjson.dumps({"trades": rows})


def make_key(*, scopes: tuple[str, ...] = ("all",), rate: int = UNLIMITED, **terms: Any) -> str:
    """A key that is cleared for everything and owns every account, but for what is told in `KeyTerms`."""
    cleared = {"sensitivity": "confidential", "accounts": ["*"], **terms}
    return key_create(
        name="test",
        tier="internal",
        scopes=scopes,
        rate=rate,
        now=timezone.now(),
        actor="test",
        trading_rate=UNLIMITED,
        **cast("Any", cleared),
    ).key


def usual_key() -> str:
    """Store a key of every scope without limits, once in a test that is not about keys; return its text.

    The process makes it once, and stores its row without an audit record: making a key takes half as long as such a test.
    """
    text, columns = _usual_key_and_columns()
    ApiKey.objects.create(**columns)
    return text


@cache
def _usual_key_and_columns() -> tuple[str, dict[str, Any]]:
    with transaction.atomic():
        text = make_key()
        columns = dict[str, Any](ApiKey.objects.values().latest("pk"))
        transaction.set_rollback(True)
    del columns["id"]
    return text, columns


# The streamed answers of the test that runs.
_streams: list[Any] = []


def streams_close() -> None:
    """Close the streamed answers that a test left unread.

    To close one sets a context variable. If the garbage collector closes it while a variable is being set, Python 3.11
    crashes (python/cpython#148891).
    """
    while _streams:
        response = _streams.pop()
        # As Django's client does, so that the connection to the database stays open.
        request_finished.disconnect(close_old_connections)
        response.close()
        request_finished.connect(close_old_connections)
        # Of a closed stream nothing is left, and of a closed file nothing can be read. The client's iterator over it ends, too.
        with suppress(ValueError):
            deque(response.streaming_content, maxlen=0)


class Api:
    """Requests with a key; `key=None` sends none. Paths are whole. Answers are Django's responses."""

    def __init__(self, key: str | None) -> None:
        self._client = Client()
        self._key = {} if key is None else {"X-API-Key": key}

    def get(self, path: str, params: Any = None, **headers: str) -> Any:
        return _noted(self._client.get(path, params or {}, headers=self._headers(headers)))

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        content_type = headers.pop("content_type", "application/json")
        return _noted(self._client.generic(method, path, body, content_type, headers=self._headers(headers)))

    def ingest(self, *rows: Any, query: str = "", path: str = INGEST, **headers: str) -> Any:
        """Post rows; a single `bytes` is the body as it is."""
        body = rows[0] if rows and isinstance(rows[0], bytes) else body_of(*rows)
        return self.call("POST", f"{path}?{query}" if query else path, body, **headers)

    def correct(
        self, *corrections: Any, symbol: str = "AAPL", path: str = CORRECTIONS, **headers: str
    ) -> Any:
        """Post corrections; a single `bytes` is the body as it is."""
        is_body = bool(corrections) and isinstance(corrections[0], bytes)
        body = corrections[0] if is_body else orjson.dumps({"symbol": symbol, "corrections": corrections})
        return self.call("POST", path, body, **headers)

    def ohlc(self, params: Any = None, path: str = OHLC, **named: Any) -> Any:
        """Bars, by a mapping or by names; header names are not taken here."""
        return self.get(path, {**(params or {}), **named})

    def bars(self, symbol: str = "AAPL", **named: Any) -> list[dict[str, Any]]:
        response = self.ohlc(symbol=symbol, **named)
        assert response.status_code == 200, response.content
        data: list[dict[str, Any]] = orjson.loads(response.content)["data"]
        return data

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {**self._key, **{name.replace("_", "-"): value for name, value in headers.items()}}


def _noted(response: Any) -> Any:
    if response.streaming:
        _streams.append(response)
    return response


def until_limited(send: Callable[[], Any]) -> Any:
    """The first 429 among the answers to one request after another."""
    for _ in range(100):
        response = send()
        if response.status_code == 429:
            return response
    raise AssertionError("a hundred requests were admitted")


def answer(response: Any) -> Any:
    return orjson.loads(response.content)


def problem(response: Any) -> tuple[int, str]:
    """Status and code of a refusal, after a look at what every problem must have."""
    found = orjson.loads(response.content)
    assert response["Content-Type"] == "application/problem+json"
    assert set(found) - OF_TRADING == {
        "type", "title", "status", "code", "message", "detail", "correlation_id", "errors",
    }  # fmt: skip
    assert found["status"] == response.status_code
    assert found["correlation_id"] == response["X-Correlation-ID"]
    assert found["title"]
    assert found["message"] == found["detail"] != ""
    assert len(found["errors"]) <= 100
    assert (found["status"], found["code"]) in DECLARED
    return found["status"], found["code"]
