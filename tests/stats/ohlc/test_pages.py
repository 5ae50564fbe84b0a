"""Walks through pages, also beside a writer, and answers as of a moment. Cursors: tests/stats/market_data/test_cursors.py."""

import shutil

import pytest

from store.timestamps import format_timestamp
from tests.api_client import answer, problem, trade

BASE_NS = 1_735_828_200 * 10**9
MINUTE_NS = 60 * 10**9


def minute(number: int, **changes: object) -> dict[str, object]:
    return trade(timestamp=format_timestamp(BASE_NS + number * MINUTE_NS), price=abs(number) + 1, **changes)


def page(api, **params):
    response = api.ohlc({"symbol": "AAPL", **params})
    assert response.status_code == 200, response.content
    return answer(response)


@pytest.fixture
def ten_bars(api):
    api.ingest(*[minute(number) for number in range(10)])
    return api.bars()


def test_without_limit_and_cursor_there_are_no_cursors(api, ten_bars):
    assert set(page(api)) == {"symbol", "interval", "data"}
    assert page(api, limit=10)["next_cursor"] is None


def test_cursor_of_a_deleted_symbol_is_404(api, ten_bars, store_path, settings):
    cursor = page(api, limit=3)["next_cursor"]
    shutil.rmtree(store_path)
    settings.MARKET_STORES = dict(settings.MARKET_STORES)
    assert problem(api.ohlc(symbol="AAPL", cursor=cursor)) == (404, "unknown_symbol")


def test_as_of_before_the_first_commit_has_no_data(api, ten_bars):
    assert problem(api.ohlc(symbol="AAPL", as_of="2020-01-01")) == (404, "no_data")
    assert problem(api.ohlc(symbol="NOPE", as_of="2020-01-01")) == (404, "unknown_symbol")
