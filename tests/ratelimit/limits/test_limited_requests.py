"""Limits as a request meets them: through Django's whole middleware stack."""

from typing import Any

import http_sf
import orjson
import pytest
from django.test import Client
from django.utils import timezone
from django_redis import get_redis_connection

from ratelimit.keys.services import key_create
from ratelimit.limits.admission import Admission, admission_headers, admission_lines
from ratelimit.limits.costs import COST_RULES
from ratelimit.limits.quotas import DAY, MONTH, QuotaState, period_at
from ratelimit.limits.services import admit_address
from ratelimit.limits.token_bucket import BucketState
from ratelimit.models import ApiKey
from tests.api_client import Api, answer, make_key, problem, trade, until_limited

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project_redis", "standing_clock")]

LIMITS = "/api/v1/limits"


def key_of(**terms) -> str:
    values = {
        "name": "desk",
        "tier": "default",
        "scopes": ("all",),
        "now": timezone.now(),
        "actor": "command:test",
    }
    return key_create(**{**values, **terms}).key


def numbers(header: str) -> dict[str, dict[str, int]]:
    """A field of policies or limits by its rules, as a client's library reads it."""
    members: Any = http_sf.parse(header.encode(), tltype="list")
    return dict(members)


def test_lines_of_headers_say_what_the_headers_say():
    bucket = BucketState(True, "read", 200, 150, 2_000_000, 1_800_000_000_000_001, 500_000, 0)
    quotas = [
        QuotaState(period_at(unit, bucket.now_us), limit, remaining, admitted=True, now_us=bucket.now_us)
        for unit, limit, remaining in ((DAY, 1000, 20), (MONTH, 5000, 4000))
    ]
    for admission in (Admission(bucket), Admission(bucket, tuple(quotas))):
        lines = admission_lines(admission).decode()
        assert lines.endswith("\r\n")
        assert dict(line.split(": ") for line in lines.splitlines()) == admission_headers(admission)


def test_reads_writes_and_the_groups_of_endpoints_have_buckets_of_their_own(api):
    one = Api(make_key(rate=1))
    assert [one.get("/api/v1/instruments").status_code for _ in range(3)] == [200, 200, 429]
    assert one.ingest(trade()).status_code == 200
    assert one.get(LIMITS).status_code == 200
    assert list(numbers(one.get(LIMITS)["RateLimit-Policy"])) == ["access-read"]


def test_a_refusal_says_when_to_come_again_in_both_syntaxes(api):
    caller = Api(make_key(rate=1))
    refused = until_limited(lambda: caller.get("/api/v1/instruments"))
    assert problem(refused) == (429, "rate_limited")
    assert answer(refused)["message"].startswith('the limit "read" is reached: 1 token a second; retry in ')
    assert refused["Retry-After"] == "1"
    assert numbers(refused["RateLimit-Policy"]) == {"read": {"q": 2, "w": 2}}
    assert numbers(refused["RateLimit"]) == {"read": {"r": 0, "t": 1}}


def test_who_comes_again_when_the_message_says_has_waited_long_enough() -> None:
    bucket = BucketState(False, "read", 200, 0, 2_000_000, 0, 0, 149_000_000)
    assert Admission(bucket).message.endswith("; retry in 3 min")


def test_a_used_up_quota_is_a_problem_of_its_own_and_costs_nothing(api):
    caller = Api(key_of(daily_quota=2, monthly_quota=50))
    answers = [caller.get("/api/v1/instruments") for _ in range(4)]
    assert [response.status_code for response in answers] == [200, 200, 429, 429]
    refused = answers[-1]
    assert problem(refused) == (429, "quota_exceeded")
    assert "of the day" in answer(refused)["message"]
    policies, limits = numbers(refused["RateLimit-Policy"]), numbers(refused["RateLimit"])
    assert list(policies) == list(limits) == ["read", "day", "month"]
    assert (policies["day"], policies["month"]["q"]) == ({"q": 2, "w": 86_400}, 50)
    assert (limits["day"]["r"], limits["month"]["r"]) == (0, 48)
    assert limits["day"]["t"] == int(refused["Retry-After"])
    assert 0 < limits["day"]["t"] <= 86_400
    assert (refused["X-RateLimit-Limit"], refused["X-RateLimit-Remaining"]) == ("2", "0")
    assert int(refused["X-RateLimit-Reset"]) % 86_400 == 0


def test_the_headers_show_the_tightest_limit(api):
    caller = Api(key_of(daily_quota=3))
    told = caller.get("/api/v1/instruments")
    assert (told["X-RateLimit-Limit"], told["X-RateLimit-Remaining"]) == ("3", "2")
    wide = Api(key_of(daily_quota=300)).get("/api/v1/instruments")
    assert (wide["X-RateLimit-Limit"], wide["X-RateLimit-Remaining"]) == ("20", "19")


def test_a_keys_own_limits_go_before_its_tiers_and_no_quota_is_a_choice(api):
    told = answer(Api(key_of(rate=7, trading_rate=3, daily_quota=0, monthly_quota=9)).get(LIMITS))
    rates = {bucket["name"]: (bucket["rate"], bucket["limit"]) for bucket in told["buckets"]}
    assert [rates[name] for name in ("read", "write", "trading", "closing")] == [
        (7, 14),
        (7, 14),
        (3, 6),
        (7, 14),
    ]
    assert [(quota["name"], quota["limit"]) for quota in told["quotas"]] == [("month", 9)]
    tier = answer(Api(key_of()).get(LIMITS))
    assert [(quota["name"], quota["limit"]) for quota in tier["quotas"]] == [
        ("day", 100_000),
        ("month", 2_000_000),
    ]
    assert answer(Api(make_key()).get(LIMITS))["quotas"] == []


def test_limits_tells_how_the_caller_stands_and_charges_nothing_but_itself(api):
    caller = Api(key_of(daily_quota=100))
    for _ in range(3):
        caller.get("/api/v1/instruments")
    caller.ingest(trade())
    first, second = (answer(caller.get(LIMITS)) for _ in range(2))
    assert (first["name"], first["tier"], first["credential"]) == ("desk", "default", "api_key")
    assert first["scopes"] == sorted(ApiKey.objects.latest("id").scopes)
    assert first["identity"] == f"key:{ApiKey.objects.latest('id').pk}"
    assert {b["name"] for b in first["buckets"]} >= {
        "read", "write", "trading", "closing", "access-read", "access-write",
    }  # fmt: skip
    for told in (first, second):
        assert [(q["used"], q["remaining"]) for q in told["quotas"] if q["name"] == "day"] == [(4, 96)]
        assert told["quotas"][0]["reset"].endswith("T00:00:00Z")
    assert {cost["name"] for cost in first["costs"]} == set(COST_RULES)
    used = {bucket["name"]: bucket["limit"] - bucket["remaining"] for bucket in second["buckets"]}
    assert (used["trading"], used["access-write"]) == (0, 0)
    assert used["access-read"] <= 2
    get_redis_connection("default").flushall()
    # The process knows what Redis had counted.
    assert answer(caller.get(LIMITS))["quotas"][0]["used"] == 4


def test_limits_needs_a_caller_and_takes_no_parameters(api):
    assert problem(Api(None).get(LIMITS)) == (401, "not_authenticated")
    assert problem(api.get(LIMITS, {"a": "1"})) == (400, "unknown_parameter")


def test_ones_limits_are_json_where_that_is_asked_for(api):
    assert answer(api.get(LIMITS, {"format": "json"}))["tier"] == answer(api.get(LIMITS))["tier"]
    assert problem(api.get(LIMITS, {"format": "csv"})) == (406, "not_acceptable")


def test_the_slowest_key_may_ask_for_the_largest_page(api):
    api.ingest(trade())
    query = {"start": "2025-01-02T14:00", "end": "2025-01-02T15:00", "limit": 10_000}
    assert Api(make_key(rate=1)).get("/api/v1/market-data/equities/AAPL/trades", query).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/api/v1/instruments", {}, "not_authenticated"),
        ("/api/v1/instruments", {"x_api_key": "md_nosuchkey"}, "invalid_api_key"),
        ("/v1/stats/ohlc?symbol=A", {"authorization": "Bearer a.b.c"}, None),
    ],
)
def test_each_401_is_charged_to_the_address_once_and_over_its_limit_is_429(
    api, settings, path, headers, code
):
    settings.ADDRESS_RATE = 2
    nobody = Api(None)
    answers = [nobody.get(path, **headers) for _ in range(6)]
    assert [response.status_code for response in answers] == [401] * 4 + [429] * 2
    assert [response["X-RateLimit-Remaining"] for response in answers] == ["3", "2", "1", "0", "0", "0"]
    assert problem(answers[0])[1] == code or code is None
    assert problem(answers[-1]) == (429, "rate_limited")
    assert answers[-1]["Retry-After"] == "1"
    assert numbers(answers[-1]["RateLimit-Policy"]) == {"address": {"q": 4, "w": 2}}
    # Whoever is known is not kept from calling by strangers at the same address.
    assert api.get("/api/v1/instruments").status_code == 200


def test_a_public_endpoint_is_charged_to_the_address_before_anything_is_looked_at(api, settings):
    settings.ADDRESS_RATE = 1
    body = orjson.dumps({"username": "ada", "password": "wrong"})
    answers = [Api(None).call("POST", "/api/v1/auth/token", body) for _ in range(4)]
    assert [response.status_code for response in answers] == [401, 401, 429, 429]
    assert [response["X-RateLimit-Remaining"] for response in answers] == ["1", "0", "0", "0"]


def test_ipv6_addresses_are_limited_by_their_64(settings):
    settings.ADDRESS_RATE = 1
    customers = [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("192.0.2.2",),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"),
        ("2001:db8:0:2::1",),
        ("", ""),
        ("x" * 500, "x" * 400),
    ]
    for addresses in customers:
        admitted = [admit_address(addresses[i % len(addresses)]).admitted for i in range(4)]
        assert admitted == [True, True, False, False], addresses


def test_an_answer_without_an_admission_has_no_rate_headers():
    headers = Client().get("/healthz").headers
    assert not [name for name in headers if "ratelimit" in name.lower()]
