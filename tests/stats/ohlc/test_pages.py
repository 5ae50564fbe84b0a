"""Walks through pages: one snapshot each way, cursors that nobody can make up, and answers as of a moment."""

import base64
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


@pytest.mark.parametrize("limit", [1, 3, 9, 10, 11, 10_000])
def test_forward_walk_has_every_bar_once(api, ten_bars, limit):
    pages = walk(api, "next_cursor", page(api, limit=limit), limit=limit)
    assert [bar for bars in pages for bar in bars] == ten_bars
    assert {len(bars) for bars in pages[:-1]} <= {limit}


@pytest.mark.parametrize("limit", [1, 3, 4])
def test_previous_page_has_the_rows_before_in_ascending_order(api, ten_bars, limit):
    last = page(api, limit=limit)
    while last["next_cursor"]:
        last = page(api, limit=limit, cursor=last["next_cursor"])
    pages = walk(api, "prev_cursor", last, limit=limit)
    assert [bar for bars in reversed(pages) for bar in bars] == ten_bars


def test_next_after_previous_is_the_same_page(api, ten_bars):
    first = page(api, limit=4)
    second = page(api, limit=4, cursor=first["next_cursor"])
    assert page(api, limit=4, cursor=second["prev_cursor"])["data"] == first["data"]
    again = page(api, limit=4, cursor=page(api, limit=4, cursor=second["prev_cursor"])["next_cursor"])
    assert again["data"] == second["data"] == ten_bars[4:8]
    assert (first["prev_cursor"], first["total_estimate"]) == (None, 10)


def test_limit_may_change_during_a_walk(api, ten_bars):
    first = page(api, limit=2)
    assert page(api, limit=5, cursor=first["next_cursor"])["data"] == ten_bars[2:7]
    assert page(api, cursor=first["next_cursor"])["data"] == ten_bars[2:]


def test_without_limit_and_cursor_there_are_no_cursors(api, ten_bars):
    assert set(page(api)) == {"symbol", "interval", "data"}
    assert page(api, limit=10)["next_cursor"] is None


def test_a_walk_keeps_to_its_range_and_interval(api, ten_bars):
    params = {
        "start": format_timestamp(BASE_NS + 2 * MINUTE_NS),
        "end": format_timestamp(BASE_NS + 7 * MINUTE_NS),
    }
    pages = walk(api, "next_cursor", page(api, limit=2, **params), limit=2, **params)
    assert [bar for bars in pages for bar in bars] == ten_bars[2:7]


def test_walk_does_not_see_later_trades(api, ten_bars):
    first = page(api, limit=3)
    found = list(first["data"])
    cursor, number = first["next_cursor"], 0
    while cursor:
        added = api.ingest(minute(number, volume=1_000 + number), minute(-1 - number), minute(20 + number))
        assert answer(added)["stored"] == 3
        number += 1
        here = page(api, limit=3, cursor=cursor)
        found += here["data"]
        cursor = here["next_cursor"]
    assert found == ten_bars
    assert len(api.bars()) == 10 + 2 * number


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


def damaged(cursor: str) -> list[str]:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    flipped = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw))]
    return [
        *(base64.urlsafe_b64encode(forged).decode().rstrip("=") for forged in flipped),
        *(cursor[:length] for length in range(1, len(cursor))),
        *(cursor + more for more in ("A", "AAAA", "=", "====", "\n", " ", "!", "\u00e9")),
        cursor[::-1], "x", "-" * 79, "A" * 79, "A" * 10_000, "\u0000", "eyJhIjoxfQ",
    ]  # fmt: skip


def test_forged_cursor_is_400(api, ten_bars):
    cursor = page(api, limit=3)["next_cursor"]
    for forged in damaged(cursor):
        assert problem(api.ohlc(symbol="AAPL", limit=3, cursor=forged)) == (400, "invalid_cursor"), forged


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


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_cursor_of_a_restored_log_is_409(api, ten_bars, store_path, settings, commits):
    api.ingest(minute(11))
    cursor = page(api, limit=3)["next_cursor"]
    shutil.rmtree(store_path)
    settings.MARKET_STORES = dict(settings.MARKET_STORES)
    for number in range(commits):
        api.ingest(minute(number))
    assert problem(api.ohlc(symbol="AAPL", cursor=cursor)) == (409, "resync")


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


def test_pages_as_of_a_moment(api, ten_bars):
    moment = str(time.time_ns())
    api.ingest(minute(0, volume=5), minute(30))
    pages = walk(api, "next_cursor", page(api, limit=4, as_of=moment), limit=4, as_of=moment)
    assert [bar for bars in pages for bar in bars] == ten_bars
