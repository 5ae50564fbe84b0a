"""What is sent again, when, and what is told at last. No server can be made to answer such sequences: a transport does."""

import asyncio
import json
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from marketdata_client import (
    AsyncClient,
    Client,
    Conflict,
    InvalidRequest,
    MarketDataError,
    NotAuthenticated,
    RateLimited,
    Refused,
    Retries,
    ServerFailed,
    Signer,
    Unreachable,
)

URL = "https://desk.example"
OK: Any = (200, {}, {"fine": True})


class Script:
    """Answers in order: (status, headers, document), or an exception. requests: those that came."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, headers, found = answer
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(json.dumps(found).encode()))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []

    async def note(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("marketdata_client._sync.session.time", SimpleNamespace(sleep=made.append))
    monkeypatch.setattr("marketdata_client._async.session.asyncio.sleep", note)
    return made


def problem(code: str) -> dict[str, Any]:
    errors = [{"path": "rows[3].price", "code": "required", "message": "is missing"}]
    return {"code": code, "message": "said", "correlation_id": "c-1", "errors": errors}


def synchronous(script: Script, **options: Any) -> Any:
    with Client(URL, "md_key", transport=httpx.MockTransport(script), **options) as client:
        return client.get("/api/v1/limits")


def asynchronous(script: Script, **options: Any) -> Any:
    async def call() -> Any:
        async with AsyncClient(URL, "md_key", transport=httpx.MockTransport(script), **options) as client:
            return await client.get("/api/v1/limits")

    return asyncio.run(call())


either = pytest.mark.parametrize("get", [synchronous, asynchronous])


@either
def test_a_429_is_repeated_when_the_server_says(get: Callable[..., Any], pauses: list[float]):
    script = Script(
        (429, {"Retry-After": "3"}, problem("rate_limited")),
        (503, {"Retry-After": "1"}, problem("store_busy")),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        OK,
    )
    assert get(script) == {"fine": True}
    assert pauses[:2] == [3.0, 1.0]
    assert 0 < pauses[2] < 2
    assert len(script.requests) == 5


@either
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((401, {}, problem("invalid_api_key")), NotAuthenticated),
        ((409, {}, problem("resync")), Conflict),
        ((422, {}, problem("invalid_symbol")), InvalidRequest),
        ((500, {}, problem("internal_error")), ServerFailed),
        ((503, {"Retry-After": "1"}, problem("data_damaged")), ServerFailed),
        ((429, {"Retry-After": "7200"}, problem("quota_exceeded")), RateLimited),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    get: Callable[..., Any], pauses: list[float], answer: Any, kind: type[Refused]
):
    with pytest.raises(kind) as caught:
        get(Script(answer))
    assert pauses == []
    found = caught.value
    assert (found.status, found.code, found.correlation_id) == (answer[0], answer[2]["code"], "c-1")
    assert [(each.path, each.code, each.message) for each in found.errors] == [
        ("rows[3].price", "required", "is missing")
    ]


@either
def test_attempts_are_bounded(get: Callable[..., Any], pauses: list[float]):
    script = Script(*[(429, {"Retry-After": "2"}, problem("rate_limited"))] * 3)
    with pytest.raises(RateLimited) as caught:
        get(script, retries=Retries(attempts=3))
    assert (pauses, caught.value.retry_after) == ([2.0, 2.0], 2.0)
    script = Script(*[httpx.ConnectError("refused")] * 3)
    with pytest.raises(Unreachable):
        get(script, retries=Retries(attempts=3))
    script = Script(*[httpx.ConnectError("refused")] * 3)
    with (
        Client("http://x", transport=httpx.MockTransport(script), retries=Retries(attempts=3)) as client,
        pytest.raises(Unreachable),
    ):
        client.trades("AAPL")


@either
def test_a_patient_program_waits_for_what_it_names_and_is_told_why(
    get: Callable[..., Any], pauses: list[float]
):
    told: list[tuple[str, float]] = []
    patience = Retries(
        attempts=math.inf,
        first_pause=1.0,
        longest_pause=8.0,
        statuses={401, 503},
        on_pause=lambda error, seconds: told.append((type(error).__name__, seconds)),
    )
    script = Script(
        (401, {}, problem("invalid_api_key")),
        (503, {"Retry-After": "0"}, problem("data_damaged")),
        (429, {"Retry-After": "7200"}, problem("quota_exceeded")),
        *[httpx.ConnectError("refused")] * 20,
        OK,
    )
    assert get(script, retries=patience) == {"fine": True}
    assert [name for name, _ in told] == [
        "NotAuthenticated",
        "ServerFailed",
        "RateLimited",
        *["Unreachable"] * 20,
    ]
    assert [seconds for _, seconds in told] == pauses
    assert (0.5 <= pauses[0] <= 1, 1 <= pauses[1] <= 2, pauses[2]) == (True, True, 8.0)
    assert all(4 <= pause <= 8 for pause in pauses[3:])
    with pytest.raises(ServerFailed):
        get(Script((500, {}, problem("internal_error"))), retries=patience)


@pytest.mark.parametrize("text", ["-1", "nan", "1e9", "٣", "9" * 30, "Fri, 31 Dec 1999 23:59:59 GMT", ""])
def test_a_retry_after_that_is_no_number_is_none(text: str, pauses: list[float]):
    script = Script((429, {"Retry-After": text.encode()}, problem("rate_limited")), OK)
    synchronous(script)
    assert 0 < pauses[0] < 1


def test_a_post_is_repeated_only_with_an_idempotency_key(pauses: list[float]):
    failing = [(503, {}, problem("store_unavailable")), httpx.ReadError("cut"), OK]
    script = Script(*failing)
    with Client(URL, "md_key", transport=httpx.MockTransport(script)) as client:
        assert client.post("/api/v1/x", {"a": 1}, idempotency_key="once") == {"fine": True}
        assert {request.headers["Idempotency-Key"] for request in script.requests} == {"once"}
        script.answers = list(failing)
        with pytest.raises(ServerFailed):
            client.post("/api/v1/x", {"a": 1})
        with pytest.raises(Unreachable):
            client.post("/api/v1/x", {"a": 1})


def test_each_attempt_is_signed_anew(pauses: list[float]):
    script = Script(httpx.ReadError("cut"), (503, {}, problem("store_busy")), OK)
    signer = Signer("AbCd1234", "mds_secret")
    with Client(URL, credential=signer, transport=httpx.MockTransport(script)) as client:
        client.post("/api/v1/x", {"a": 1}, idempotency_key="once")
    inputs = [request.headers["Signature-Input"] for request in script.requests]
    assert len(set(inputs)) == 3
    assert all('"idempotency-key"' in each and '"content-digest"' in each for each in inputs)
    assert "mds_secret" not in str([dict(request.headers) for request in script.requests])


@pytest.mark.parametrize(
    "url", ["ftp://desk.example", "desk.example", "", "file:///etc", "http://", "https://a:b@desk.example", "http://a/?x=1", "http://a/#x"]
)  # fmt: skip
def test_a_base_url_is_of_http(url: str):
    with pytest.raises(ValueError, match="base URL"):
        Client(url, "md_key")


@pytest.mark.parametrize("key", ["", "md_a\r\nX: y", "md_ a", "mdé", "md_\x7f"])
def test_a_credential_is_visible_ascii_and_not_shown(key: str):
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        Client(URL, key)
    assert not key or key not in str(caught.value)
    with pytest.raises(ValueError, match="visible ASCII"):
        Client(URL, token=key)
    with pytest.raises(ValueError, match="visible ASCII"):
        Signer("AbCd1234", key)
    with pytest.raises(ValueError, match="one of"):
        Client(URL, "md_a", token="b")


def test_no_representation_has_the_secret():
    configs = [Client(URL, "md_secret")._session.config]
    configs.append(Client(URL, credential=Signer("AbCd1234", "mds_secret"))._session.config)
    assert "secret" not in repr([configs, *(each.credential for each in configs)])


@pytest.mark.parametrize("path", ["api", "//other.example/x", "/x?a=1", "/x#a"])
def test_a_path_stays_on_the_server(path: str):
    with Client(URL) as client, pytest.raises(ValueError, match="path"):
        client.get(path)


def test_a_symbol_is_one_segment_of_the_path():
    script = Script((404, {}, problem("unknown_symbol")), (404, {}, problem("unknown_symbol")))
    with Client(URL, transport=httpx.MockTransport(script)) as client:
        for symbol in ("../../admin", "A/B?x=1"):
            with pytest.raises(MarketDataError):
                client.trades(symbol)
        with pytest.raises(ValueError, match="part of a path"):
            client.trades("..")
    assert [request.url.raw_path.split(b"/")[6] for request in script.requests] == [b"trades", b"trades"]
