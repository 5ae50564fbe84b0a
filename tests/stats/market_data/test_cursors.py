"""Cursors: of one walk, of one query, of one installation; and refused where they are anything else."""

import shutil
from typing import Any

import pytest
import time_machine

from tests.api_client import Api, answer, problem
from tests.stats.market_data.builders import ingest, timestamp
from tests.stats.market_data.oracle import SECOND_NS
from tests.stats.market_data.walks import RANGE, START_NS, Log

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(api: Api) -> Log:
    """Thirty trades at three instants."""
    return Log.of(api, [0] * 10 + [1] * 10 + [60] * 10)


def first_page(log: Log, **changes: str) -> Any:
    path = f"/api/v1/market-data/equities/{log.symbol}/trades"
    return log.api.get(path, {**RANGE, "limit": "7", **changes})


def follow(log: Log, cursor: str, path: str = "trades", **changes: str) -> Any:
    query = {**RANGE, "limit": "7", "cursor": cursor, **changes}
    path = f"/api/v1/market-data/equities/{log.symbol}/{path}"
    return log.api.get(path, {name: value for name, value in query.items() if value})


def second(log: Log) -> str:
    """The cursor of the second page."""
    return str(answer(first_page(log))["next_cursor"])


def test_all_pages_use_the_first_page_s_now(log: Log):
    """The second page is asked for after a bar was closed, and after trades of the future have come."""
    now_ns = START_NS + 90 * SECOND_NS
    path = f"/api/v1/market-data/equities/{log.symbol}/ohlcv"
    query = {"start": RANGE["start"], "resolution": "1m", "limit": "1"}
    with time_machine.travel(now_ns / SECOND_NS, tick=False):
        whole = answer(log.api.get(path, {**query, "limit": "10"}))["bars"]
        first = answer(log.api.get(path, query))
    log.write([200, 300])
    second_page = answer(log.api.get(path, {**query, "cursor": first["next_cursor"]}))
    assert [*first["bars"], *second_page["bars"]] == whole
    assert [bar["final"] for bar in whole] == [True, False]
    assert second_page["next_cursor"] is None


@pytest.mark.parametrize("several", [False, True], ids=["one symbol", "several"])
def test_a_walk_from_the_newest_rows_does_not_see_later_ones(log: Log, several: bool):
    """The first page is asked for on the date of the rows; rows are written before the others."""
    path, query = "/api/v1/market-data/equities", {"last": "7"}
    if several:
        Log.of(log.api, [0])
        log.api.call("PUT", "/api/v1/instruments/EMPTY", b"{}")
        query = {"symbols": f"{log.symbol},EMPTY,P{int(log.symbol[1:]) + 1}", "last": "15", "limit": "7"}
    path, cursor = (
        (f"{path}/trades", "next_cursor") if several else (f"{path}/{log.symbol}/trades", "prev_cursor")
    )
    with time_machine.travel((START_NS + 90 * SECOND_NS) / SECOND_NS, tick=False):
        page = answer(log.api.get(path, query))
    log.write([0, 1, 60, 200])
    walked = [page["trades"]]
    while page[cursor]:
        page = answer(log.api.get(path, {**query, "cursor": page[cursor]}))
        walked.append(page["trades"])
    ids = [row["trade_id"] for rows in (walked if several else reversed(walked)) for row in rows]
    newest = [f"t{number}" for number in range(1, 31)]
    assert ids == ([*newest[-15:], "t1"] if several else newest)


def test_total_estimate_is_an_upper_bound(log: Log):
    assert answer(first_page(log))["total_estimate"] >= 30
    assert answer(first_page(log, end=timestamp(START_NS + 1)))["total_estimate"] >= 10


def test_prev_cursor_gives_the_previous_page(log: Log):
    first = answer(first_page(log))
    again = answer(follow(log, answer(follow(log, first["next_cursor"]))["prev_cursor"]))
    assert again["trades"] == first["trades"]
    assert (again["prev_cursor"], again["next_cursor"]) == (None, first["next_cursor"])


def test_pages_with_equal_cursors_have_equal_bytes(log: Log):
    cursor = second(log)
    before = follow(log, cursor)
    log.write([0, 1, 60])
    after = follow(log, cursor)
    assert (after.content, after["ETag"]) == (before.content, before["ETag"])


@pytest.mark.parametrize(
    "change", [{"fields": "price"}, {"limit": "3"}, {"time": "ms"}, {"format": "csv"}], ids=str
)
def test_format_and_fields_may_change_between_pages(log: Log, change: dict[str, str]):
    assert follow(log, second(log), **change).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"end": timestamp(START_NS + 61 * SECOND_NS)}, {"start": timestamp(START_NS + 1)}, {"sort": "desc"},
        {"as_of": "2100-01-01"}, {"path": "ohlcv", "resolution": "1m"}, {"path": "quotes"},
    ],
    ids=str,
)  # fmt: skip
def test_a_cursor_of_another_query_is_400(log: Log, change: dict[str, str]):
    ingest(log.api, "quotes", log.symbol, [{"time_ns": START_NS, "bid": 1.0}])
    assert problem(follow(log, second(log), **change)) == (400, "invalid_cursor")


def test_a_cursor_of_another_symbol_is_400(log: Log):
    other = Log.of(log.api, [0] * 10)
    assert problem(follow(other, second(log))) == (400, "invalid_cursor")


def test_a_cursor_of_another_path_to_the_same_rows_is_400(log: Log):
    query = {**RANGE, "limit": "7", "symbols": log.symbol, "cursor": second(log)}
    assert problem(log.api.get("/api/v1/market-data/equities/trades", query)) == (400, "invalid_cursor")


def test_a_cursor_with_any_letter_changed_is_400(log: Log):
    cursor = second(log)
    for place, letter in enumerate(cursor):
        changed = cursor[:place] + ("A" if letter != "A" else "B") + cursor[place + 1 :]
        assert problem(follow(log, changed)) == (400, "invalid_cursor")


def test_other_text_as_a_cursor_is_400(log: Log):
    cursor = second(log)
    cut = [cursor[:length] for length in range(1, len(cursor))]
    longer = [cursor + more for more in ("A", "AAAA", "=", "====", "\n", " ", "!", "\u00e9")]
    others = [cursor[::-1], "x", "%00", "\u00e9", "-" * 79, "A" * 10_000, "\u0000", "eyJhIjoxfQ"]
    for text in (*cut, *longer, *others):
        assert problem(follow(log, text)) == (400, "invalid_cursor"), text


def test_a_cursor_is_url_safe(log: Log):
    cursor = second(log)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_cursor_of_another_installation_is_400(log: Log, settings: Any):
    cursor = second(log)
    settings.SECRET_KEY = "another"
    assert problem(follow(log, cursor)) == (400, "invalid_cursor")


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_a_cursor_of_a_restored_log_is_409(log: Log, store_path: Any, settings: Any, commits: int):
    log.write([5])
    cursor = second(log)
    shutil.rmtree(store_path)
    settings.MARKET_STORES = dict(settings.MARKET_STORES)
    for number in range(commits + 1):
        log.write([number] * 10)
    assert problem(follow(log, cursor)) == (409, "resync")
