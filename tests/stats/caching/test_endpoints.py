"""What the endpoints of the cache refuse; their answers are tested in tests/stats/ohlc/test_caching.py."""

import pytest

from tests.api_client import Api, make_key, problem

INVALIDATE = "/api/v1/cache/invalidate"
STATISTICS = "/api/v1/cache/stats"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{bad", 400, "malformed_json"),
        (b'{"symbol":"A","symbol":"B"}', 400, "duplicate_key"),
        (b"[" * 10_000, 400, "nesting_too_deep"),
        (b"[" * 100_000, 413, "body_too_large"),
        (b"", 400, "malformed_json"),
        (b"{}", 422, "validation_failed"),
        (b'{"symbol":1}', 422, "validation_failed"),
        (b'{"symbol":"../x"}', 422, "validation_failed"),
        (b'{"symbol":"A","all":true}', 422, "validation_failed"),
    ],
    ids=lambda value: ascii(value)[:32],
)
def test_a_wrong_body_is_refused(api, body, status, code):
    assert problem(api.call("POST", INVALIDATE, body)) == (status, code)


@pytest.mark.parametrize(("method", "path"), [("GET", STATISTICS), ("POST", INVALIDATE)])
def test_an_unknown_parameter_is_400(api, method, path):
    response = api.call(method, f"{path}?symbol=A", b'{"symbol":"A"}')
    assert problem(response) == (400, "unknown_parameter")


@pytest.mark.parametrize(
    ("method", "path", "scope"), [("GET", STATISTICS, "market:write"), ("POST", INVALIDATE, "market:read")]
)
def test_each_needs_its_scope(api, method, path, scope):
    other = Api(make_key(scopes=(scope,)))
    assert problem(other.call(method, path, b'{"symbol":"A"}')) == (403, "missing_scope")
    assert problem(Api(None).call(method, path)) == (401, "not_authenticated")


@pytest.mark.parametrize(("method", "path"), [("POST", STATISTICS), ("GET", INVALIDATE)])
def test_another_method_is_405(api, method, path):
    assert problem(api.call(method, path)) == (405, "method_not_allowed")


def test_they_have_no_short_path(api):
    assert problem(api.get("/v1/cache/stats")) == (404, "not_found")
