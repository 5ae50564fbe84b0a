"""What requests cost, and which bucket they are charged to."""

import pytest

from ratelimit.callers import Caller
from ratelimit.limits.costs import (
    COST_RULES,
    EXPORT,
    MAX_PAGE_TOKENS,
    PAGE,
    ROWS_PER_TOKEN,
    UNMETERED,
    cost_of,
)
from ratelimit.limits.services import admit, bucket_name, bucket_state_of
from tests.ratelimit.access.urlconf import ACCESS
from web.endpoints import CLOSING, READ, TRADING, WRITE, Access
from web.lists.pages import PAGE_LIMIT

ACCESS_PAGE = Access("market:read", cost=PAGE)


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        ("", 1),
        ("limit=1000", 1),
        ("limit=1001", 2),
        ("start=1&limit=2500&end=2", 3),
        ("%6cimit=3000", 3),
        ("limit=0", 1),
        ("limit=x", 1),
        ("last=10000", 10),
        ("symbols=A,B,C&%6cast=2500", 3),
        ("limit=10001", 10),
        ("limit=010000", 10),
        ("limit=%31%30000", 10),
        ("limit=9" + "9" * 400, 10),
        ("limit=1&limit=10000", 10),
        ("limit=10000&limit=1", 10),
        ("limit=10000;limit=1", 1),
        ("lastly=9000", 1),
        ("limit=\u0661\u0660\u0660\u0660\u0660", 1),
        ("symbols=@SP500", 1),
    ],
)
def test_a_page_costs_one_for_each_started_thousand_of_rows(asked, tokens):
    assert cost_of(PAGE, asked) == tokens


def test_other_rules_do_not_look_at_the_query():
    assert {name: cost_of(name, "limit=10000") for name in COST_RULES} == {
        "one": 1, "page": 10, "stream": 10, "export": 10, "period": 1, "batch": 1, "unmetered": 1,
    }  # fmt: skip


def test_a_batch_costs_one_for_each_started_mib():
    assert [cost_of("batch", body_bytes=size) for size in (0, 1, 2**20, 2**20 + 1, 2**25)] == [1, 1, 1, 2, 32]


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        ("", 1),
        ("days=30", 1),
        ("days=31&by=day", 2),
        ("d%61ys=3660", 10),
        ("days=1&days=99999999999999999999", 10),
        ("days=x", 1),
        ("days=0", 1),
        ("account=main&from=2025-01-01", 10),
        ("fr%6fm=2025-01-01", 10),
        ("to=2025-01-01", 10),
    ],
)
def test_a_period_costs_one_for_each_started_thirty_days(asked, tokens):
    assert cost_of("period", asked) == tokens


def test_an_export_is_a_stream_as_ndjson_and_a_page_otherwise():
    assert [cost_of(EXPORT, "limit=2500", chosen) for chosen in ("ndjson", "json", "api", "")] == [
        10,
        3,
        3,
        3,
    ]
    assert cost_of(PAGE, "limit=2500", "ndjson") == 3


def test_the_largest_page_costs_the_most():
    assert cost_of(PAGE, f"limit={PAGE_LIMIT}") == MAX_PAGE_TOKENS == PAGE_LIMIT / ROWS_PER_TOKEN


def test_every_endpoints_cost_is_a_rule():
    assert {row.cost for row in ACCESS.values()} <= set(COST_RULES)


@pytest.mark.parametrize(
    ("group", "kind", "name"),
    [
        ("data", READ, "read"),
        ("data", WRITE, "write"),
        ("data", TRADING, "trading"),
        ("orders", TRADING, "trading"),
        ("orders", CLOSING, "closing"),
        ("access", READ, "access-read"),
        ("live", WRITE, "live-write"),
    ],
)
def test_buckets_are_named_by_group_and_kind(group, kind, name):
    assert bucket_name(Access("market:read", group=group, kind=kind)) == name


def test_trading_has_a_rate_of_its_own_and_a_cost_is_the_burst_at_most(project_redis, standing_clock):
    caller = Caller("key:1", "desk", "default", 10, frozenset(), trading_rate=1)
    trading = Access("trading:write", group="orders", kind=TRADING)
    assert [admit(caller, trading, cost=1).code for _ in range(3)] == ["", "", "rate_limited"]
    assert admit(caller, ACCESS_PAGE, cost=500).bucket.remaining == 0
    assert bucket_state_of(caller, Access("market:write", kind=WRITE)).remaining == 20


def test_an_endpoint_may_have_a_bucket_of_its_own_with_at_most_the_callers_rate(
    project_redis, standing_clock
):
    large, small = (
        Caller(f"key:{rate}", "desk", "default", rate, frozenset(), trading_rate=1) for rate in (1000, 2)
    )
    own = Access("market:read", bucket="gaps", rate=5)
    states = [admit(caller, own, cost=1).bucket for caller in (large, small)]
    assert [(state.name, state.limit, state.remaining) for state in states] == [
        ("gaps", 10, 9),
        ("gaps", 4, 3),
    ]
    assert bucket_state_of(large, Access("market:read")).remaining == 2000


def test_closing_has_the_callers_rate_and_works_when_trading_and_the_quota_are_used_up(
    project_redis, standing_clock, db
):
    caller = Caller("key:1", "desk", "default", 10, frozenset(), trading_rate=1, daily_quota=1)
    trading = Access("trading:write", kind=TRADING)
    closing = Access("trading:write", kind=CLOSING, cost=UNMETERED)
    assert [admit(caller, trading, cost=1).code for _ in range(2)] == ["", "quota_exceeded"]
    admissions = [admit(caller, closing, cost=1) for _ in range(21)]
    assert [admission.code for admission in admissions] == [""] * 20 + ["rate_limited"]
    assert {admission.bucket.name for admission in admissions} == {"closing"}


def test_reading_a_bucket_charges_nothing(project_redis, db, django_assert_num_queries):
    caller = Caller("key:1", "desk", "default", 10, frozenset(), daily_quota=5)
    with django_assert_num_queries(0):
        states = {bucket_state_of(caller, ACCESS_PAGE).remaining for _ in range(50)}
    assert states == {20}
