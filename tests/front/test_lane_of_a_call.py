"""Which of the front's lanes answers a call."""

from posixpath import normpath
from unittest.mock import patch

import pytest

from front.application import _fairness_key
from front.lane_of_call import HEAVY, LOGIN, lane_of
from tests.ratelimit.access import accounts_site
from web.endpoints import CLOSING, READ, TRADING, WRITE, Access
from web.requests.received import ReceivedCall


@pytest.mark.parametrize(
    ("method", "path", "lane"),
    [
        ("GET", "/api/v1/market-data/equities/AAPL/ohlcv", READ),
        ("HEAD", "/v1/stats/ohlc", READ),
        ("OPTIONS", "/api/v1/trades/ingest", READ),
        ("POST", "/api/v1/trades/ingest", WRITE),
        ("POST", "/api/v1/auth/token", LOGIN),
        ("POST", "/login", LOGIN),
        ("GET", "/login", READ),
        ("POST", "/api/v1/auth/refresh", WRITE),
        ("GET", "/nowhere", READ),
        ("POST", "/nowhere", WRITE),
    ],
)
def test_calls_are_reads_or_writes_by_their_method_or_logins(method: str, path: str, lane: str):
    assert lane_of(path, method, "") == lane


@pytest.mark.parametrize(
    ("path", "query", "lane"),
    [
        ("trades", "limit=9000", READ),
        ("trades", "limit=10000", HEAVY),
        ("trades/stream", "", HEAVY),
        ("ohlcv/explain", "at=2025-01-02", HEAVY),
        ("gaps", "", HEAVY),
        ("trades/commits", "", READ),
        ("revisions", "limit=1", HEAVY),
        ("../snapshot", "symbols=AAPL,MSFT", HEAVY),
        ("snapshot", "", READ),
    ],
)
def test_reads_whose_work_is_known_to_be_much_are_heavy(path: str, query: str, lane: str):
    assert lane_of(normpath(f"/api/v1/market-data/equities/AAPL/{path}"), "GET", query) == lane


@pytest.mark.urls("tests.ratelimit.access.accounts_site")
@pytest.mark.parametrize(
    ("method", "path", "lane"),
    [
        ("GET", "/accounts/A1", TRADING),
        ("HEAD", "/accounts/A1", TRADING),
        ("PUT", "/accounts/A1", TRADING),
        ("DELETE", "/accounts/A1", CLOSING),
        ("PATCH", "/accounts/A1", WRITE),
        ("GET", "/plain", READ),
        ("GET", "/accounts/" + "A" * 300, READ),
    ],
)
def test_calls_that_need_a_scope_of_trading_have_lanes_of_their_own(method: str, path: str, lane: str):
    closing = {"delete": Access("trading:write", kind=CLOSING)}
    view = accounts_site.AccountView
    with patch.multiple(view, access={**view.access, **closing}, delete=view.put, create=True):
        assert lane_of(path, method, "") == lane


@pytest.mark.parametrize(
    ("headers", "turn"),
    [
        ({"x-api-key": "K"}, "K"),
        ({"authorization": "Api-Key K"}, "K"),
        ({"authorization": "API-KEY   K "}, "K"),
        ({"authorization": " "}, "address 192.0.2.1"),
        ({}, "address 192.0.2.1"),
        ({"x-api-key": "address 192.0.2.1"}, "192.0.2.1"),
    ],
)
def test_a_call_is_answered_in_the_fairness_key_its_key_however_it_is_sent(
    headers: dict[str, str], turn: str
):
    assert _fairness_key(ReceivedCall("GET", "http", "h", "/", "/", "", "192.0.2.1", headers)) == turn
