"""A correction changes the bars of its trade, at once and no others, and what was known before stays readable."""

from typing import Any

import pytest
import time_machine

from stats.caching.response_cache import RESPONSE_CACHE
from tests.api_client import Api, answer, problem, trade

YESTERDAY, TODAY = "2026-01-05T18:00:00Z", "2026-01-06T18:00:00Z"
# Commits that are made while the clock stands still are a nanosecond apart.
AFTER_YESTERDAY, AFTER_TODAY = "2026-01-05T18:00:01Z", "2026-01-06T18:00:01Z"
LAST_YEAR = "2025-01-02"
OTHER_DATES = ("2025-01-03", "2025-06-02", "2025-12-01")
SPIKE = {"timestamp": f"{LAST_YEAR}T14:31:20Z", "trade_id": "spike"}


def read(api: Api, date: str, **others: str) -> Any:
    return api.ohlc(symbol="AAPL", start=f"{date}T00:00:00Z", end=f"{date}T23:59:59Z", **others)


def highs(response: Any) -> list[float]:
    return [bar["high"] for bar in answer(response)["data"]]


@pytest.fixture
def corrected_today(api) -> Api:
    """A year of trades, stored and read by yesterday; today the spike of a year ago is corrected."""
    with time_machine.travel(YESTERDAY, tick=False):
        for date in (LAST_YEAR, *OTHER_DATES):
            api.ingest(*(trade(timestamp=f"{date}T14:3{n}:00Z", price=100 + n) for n in range(4)))
        api.ingest(trade(**SPIKE, price=999))
        for date in (LAST_YEAR, *OTHER_DATES):
            assert read(api, date)["X-Cache"] == "miss"
    return api  # type: ignore[no-any-return]


def test_correction_of_an_old_trade_changes_one_bar_and_leaves_the_rest_cached(corrected_today):
    api = corrected_today
    with time_machine.travel(TODAY, tick=False):
        before = {date: read(api, date) for date in (LAST_YEAR, *OTHER_DATES)}
        assert {response["X-Cache"] for response in before.values()} == {"hit"}
        fixed = api.correct({"action": "correct", **SPIKE, "new_price": 101.5})
        assert answer(fixed)["stored"] == 1
        after = {date: read(api, date) for date in before}
        changed = [
            (old, new)
            for old, new in zip(
                answer(before[LAST_YEAR])["data"], answer(after[LAST_YEAR])["data"], strict=True
            )
            if old != new
        ]
        assert [(old["timestamp"], old["high"], new["high"]) for old, new in changed] == [
            (f"{LAST_YEAR}T14:31:00Z", 999, 101.5)
        ]
        assert after[LAST_YEAR]["X-Cache"] == "miss"
        assert after[LAST_YEAR]["ETag"] != before[LAST_YEAR]["ETag"]
        for date in OTHER_DATES:
            assert (after[date]["X-Cache"], after[date]["ETag"]) == ("hit", before[date]["ETag"])
            assert after[date]["X-Commit"] == fixed["X-Commit"]


def test_as_of_yesterday_ignores_a_correction_of_today(corrected_today):
    api = corrected_today
    with time_machine.travel(TODAY, tick=False):
        known = read(api, LAST_YEAR)
        api.correct({"action": "cancel", **SPIKE})
        RESPONSE_CACHE.local.clear()
        then, now = read(api, LAST_YEAR, as_of=AFTER_YESTERDAY), read(api, LAST_YEAR, as_of=AFTER_TODAY)
        assert then.content == known.content
        assert highs(then) == [100, 999, 102, 103]
        assert highs(now) == highs(read(api, LAST_YEAR)) == [100, 101, 102, 103]


def test_range_whose_only_trade_was_cancelled_has_no_data(api):
    with time_machine.travel(YESTERDAY, tick=False):
        api.ingest(trade(**SPIKE))
    with time_machine.travel(TODAY, tick=False):
        api.correct({"action": "cancel", **SPIKE})
        assert problem(read(api, LAST_YEAR)) == (404, "no_data")
        assert highs(read(api, LAST_YEAR, as_of=AFTER_YESTERDAY)) == [189.98]


def test_walk_that_began_before_a_correction_does_not_see_it(corrected_today):
    api = corrected_today
    with time_machine.travel(TODAY, tick=False):
        first = read(api, LAST_YEAR, limit="1")
        api.correct({"action": "cancel", **SPIKE})
        second = read(api, LAST_YEAR, limit="1", cursor=answer(first)["next_cursor"])
        assert highs(second) == [999]
