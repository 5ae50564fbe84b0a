"""Walks through pages, also beside a writer, and answers as of a moment. Cursors: tests/stats/market_data/test_cursors.py."""

import shutil
import threading
import time

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


def walk(api, direction: str, first, **params) -> list[list[dict[str, object]]]:
    """The pages from `first` on in one direction, that one included."""
    pages = [first]
    while pages[-1][direction] is not None:
        pages.append(page(api, cursor=pages[-1][direction], **params))
        assert len(pages) < 100
    return [found["data"] for found in pages]


@pytest.fixture
def ten_bars(api):
    api.ingest(*[minute(number) for number in range(10)])
    return api.bars()


@pytest.mark.parametrize("limit", [3, 10, 11])
def test_forward_walk_has_every_bar_once(api, ten_bars, limit):
    pages = walk(api, "next_cursor", page(api, limit=limit), limit=limit)
    assert [bar for bars in pages for bar in bars] == ten_bars
    assert {len(bars) for bars in pages[:-1]} <= {limit}


def test_next_after_previous_is_the_same_page(api, ten_bars):
    first = page(api, limit=4)
    second = page(api, limit=4, cursor=first["next_cursor"])
    assert page(api, limit=4, cursor=second["prev_cursor"])["data"] == first["data"]
    again = page(api, limit=4, cursor=page(api, limit=4, cursor=second["prev_cursor"])["next_cursor"])
    assert again["data"] == second["data"] == ten_bars[4:8]
    assert (first["prev_cursor"], first["total_estimate"]) == (None, 10)


def test_without_limit_and_cursor_there_are_no_cursors(api, ten_bars):
    assert set(page(api)) == {"symbol", "interval", "data"}
    assert page(api, limit=10)["next_cursor"] is None


@pytest.mark.django_db(transaction=True)
def test_walks_are_consistent_beside_a_writer_that_never_stops(api, ten_bars):
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            api.ingest(minute(number % 40, volume=number + 1), minute(number % 40, volume=number + 1))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            first = page(api, limit=4)
            forward = walk(api, "next_cursor", first, limit=4)
            on = page(api, limit=4, cursor=first["next_cursor"])
            rest = page(api, limit=10_000, cursor=first["next_cursor"])["data"]
            assert [bar for bars in forward for bar in bars] == first["data"] + rest
            assert page(api, limit=4, cursor=on["prev_cursor"])["data"] == first["data"]
            assert len(rest) + 4 <= first["total_estimate"]
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize(
    "params",
    [
        {"symbol": "MSFT"}, {"interval": "5min"}, {"start": "2025-01-01"}, {"end": "2026-01-01"}, {"as_of": "2200-01-01"},
    ],
    ids=str,
)  # fmt: skip
def test_a_cursor_of_another_query_is_400(api, ten_bars, params):
    api.ingest(minute(1, symbol="MSFT"))
    cursor = page(api, limit=3)["next_cursor"]
    assert problem(api.ohlc({"symbol": "AAPL", "cursor": cursor, **params})) == (400, "invalid_cursor")


def test_cursor_of_a_deleted_symbol_is_404(api, ten_bars, store_path, settings):
    cursor = page(api, limit=3)["next_cursor"]
    shutil.rmtree(store_path)
    settings.MARKET_STORES = dict(settings.MARKET_STORES)
    assert problem(api.ohlc(symbol="AAPL", cursor=cursor)) == (404, "unknown_symbol")


def test_as_of_ignores_later_commits(api, ten_bars):
    moment = format_timestamp(time.time_ns())
    api.ingest(minute(0, volume=5), minute(30))
    response = api.ohlc(symbol="AAPL", as_of=moment)
    assert answer(response)["data"] == ten_bars
    assert response["X-As-Of"] == moment
    assert response["X-Commit"].startswith("trades=1-")
    assert len(api.bars()) == 11
    assert api.bars(as_of="2100-01-01") == api.bars()


def test_as_of_before_the_first_commit_has_no_data(api, ten_bars):
    assert problem(api.ohlc(symbol="AAPL", as_of="2020-01-01")) == (404, "no_data")
    assert problem(api.ohlc(symbol="NOPE", as_of="2020-01-01")) == (404, "unknown_symbol")
