"""The permission as a request meets it: accounts, and what is not declared."""

from typing import Any

import orjson
import pytest

from ratelimit.callers import Caller
from tests.api_client import Api, make_key, problem, until_limited
from tests.ratelimit.access import accounts_site

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.ratelimit.access.accounts_site")]


def holder(*accounts: str, scopes: tuple[str, ...] = ("all",), sensitivity: str = "confidential") -> Api:
    return Api(make_key(scopes=scopes, accounts=accounts, sensitivity=sensitivity))


# What differs from one call to the next of the same thing.
VARYING = {"X-Correlation-ID", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "X-Degraded"}


def refusal(response) -> dict[str, Any]:
    """A refusal but for what names the request itself."""
    found = orjson.loads(response.content)
    del found["correlation_id"]
    return {
        **found,
        "headers": {name: value for name, value in response.headers.items() if name not in VARYING},
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_the_own_account_passes(api, method):
    assert holder("A1").call(method, "/accounts/A1").status_code == 200
    assert holder("A2", "A1").call(method, "/accounts/A1").status_code == 200
    assert holder("*").call(method, "/accounts/A1").status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_another_account_is_answered_like_an_unknown_one(api, method):
    owner = holder("A1", "A9")
    unknown = owner.call(method, "/accounts/A9")
    another = owner.call(method, "/accounts/A2")
    assert problem(unknown) == problem(another) == (404, "not_found")
    assert refusal(unknown) == refusal(another)


@pytest.mark.parametrize("account", ["A2", "A9"], ids=["another's", "not there"])
def test_an_unknown_object_is_charged_like_another_accounts(api, project_redis, account):
    owner = Api(make_key(accounts=("A1", "A9"), rate=1))
    path = f"/accounts/{account}"
    assert owner.get(path).status_code == 404
    assert problem(until_limited(lambda: owner.get(path))) == (429, "rate_limited")


def test_a_browser_page_of_a_refusal_is_charged_once(api, project_redis, standing_clock):
    owner = Api(make_key(accounts=("A1", "A9"), rate=1))
    pages = [owner.get(f"/accounts/{account}", accept="text/html") for account in ("A2", "A9")]
    assert [page.status_code for page in pages] == [404, 404]
    assert [page["X-RateLimit-Remaining"] for page in pages] == ["1", "0"]


def test_a_refused_call_costs_what_an_answered_one_does(api, project_redis, standing_clock):
    """OPTIONS asks for each method whether it is allowed, to describe it."""
    reader = Api(make_key(scopes=("market:read",), rate=1))
    told = [reader.call("OPTIONS", "/api/v1/instruments/AAPL") for _ in range(2)]
    assert [answer["X-RateLimit-Remaining"] for answer in told] == ["1", "0"]
    assert "actions" not in told[0].json()


def test_a_missing_grant_is_charged(api, project_redis):
    reader = Api(make_key(scopes=("market:read",), rate=1))
    assert reader.get("/accounts/A1").status_code == 403
    assert problem(until_limited(lambda: reader.get("/accounts/A1"))) == (429, "rate_limited")


@pytest.mark.parametrize(
    ("scopes", "sensitivity", "code"),
    [
        (("trading:write",), "confidential", "missing_scope"),
        (("trading:read",), "internal", "insufficient_sensitivity"),
    ],
)
def test_a_caller_without_the_grant_gets_the_same_answer_for_every_account(api, scopes, sensitivity, code):
    caller = holder("A1", scopes=scopes, sensitivity=sensitivity)
    answers = [caller.get(f"/accounts/{account}") for account in ("A1", "A2", "A9")]
    assert {problem(answer) for answer in answers} == {(403, code)}
    assert len({str(refusal(answer)) for answer in answers}) == 1


class OfJwt:
    """Authenticates as a person whose credential was of another kind than a key."""

    def authenticate(self, request):
        caller = Caller(
            identity="user:7",
            name="ada",
            tier="default",
            rate=10,
            scopes=frozenset({"trading:read"}),
            credential="jwt",
            accounts=frozenset({"A1", "A9"}),
            sensitivity="confidential",
        )
        return caller, None

    def authenticate_header(self, request):
        return "Bearer"


def test_accounts_hold_for_callers_of_every_kind(api, monkeypatch):
    monkeypatch.setattr(accounts_site.AccountView, "authentication_classes", [OfJwt])
    person = Api(None)
    assert person.get("/accounts/A1").json() == {"account": "A1", "caller": "user:7"}
    assert refusal(person.get("/accounts/A2")) == refusal(person.get("/accounts/A9"))
    assert problem(person.get("/accounts/A2")) == (404, "not_found")
    assert problem(person.call("PUT", "/accounts/A1")) == (403, "missing_scope")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, "/undeclared") for method in ("GET", "HEAD", "OPTIONS", "DELETE", "POST")),
        ("GET", "/nameless"),
    ],
)
def test_a_handler_without_a_declaration_is_denied_to_everybody(api, path, method):
    response = api.call(method, path)
    assert response.status_code == 403
    if method != "HEAD":
        assert problem(response) == (403, "forbidden")


def test_a_method_without_a_row_is_denied_and_one_that_is_not_there_is_405(api):
    assert problem(api.call("DELETE", "/plain")) == (403, "forbidden")
    assert problem(api.call("POST", "/plain")) == (405, "method_not_allowed")
    assert api.get("/plain").status_code == 200


def test_options_needs_a_caller_only(api):
    assert (
        Api(make_key(scopes=("risk:write",), sensitivity="public")).call("OPTIONS", "/plain").status_code
        == 200
    )
    assert problem(Api(None).call("OPTIONS", "/plain")) == (401, "not_authenticated")
    assert holder().call("OPTIONS", "/accounts/A2").status_code == 200


def test_an_open_endpoint_needs_no_caller(api):
    nobody = Api(None)
    assert nobody.call("POST", "/open").json() == {"open": True}
    assert nobody.call("OPTIONS", "/open").status_code == 200
    assert problem(nobody.get("/open")) == (405, "method_not_allowed")
