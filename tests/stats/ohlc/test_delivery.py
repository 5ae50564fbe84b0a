"""Bars as other apps ask for them, at a time that the caller gives."""

import pytest

from stats.delivery.answers import AnswerKey, FinishedAnswer, finished_answer
from stats.ohlc import ohlc_snapshot, parse_ohlc_query
from store.timestamps import SECOND_NS, parse_timestamp
from tests.api_client import Api
from trades.batches.sample_rows import SEED_TRADES

QUERY = "symbol=AAPL&start=2025-01-02&end=2025-01-03"
NOW_NS = parse_timestamp("2031-01-01")


def bars_read(query_string: str, now_ns: int) -> FinishedAnswer:
    bars = ohlc_snapshot(parse_ohlc_query(query_string), now_ns=now_ns)
    return finished_answer(AnswerKey(bars, "json"), if_none_match=None, now_ns=now_ns)


@pytest.fixture
def seeded(api: Api) -> Api:
    api.ingest(*SEED_TRADES)
    return api


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("later_ns", "age"),
    [
        pytest.param(0, "0", id="same instant"),
        pytest.param(SECOND_NS - 1_000, "0", id="under a second"),
        pytest.param(90 * SECOND_NS, "90", id="later"),
        pytest.param(-5 * SECOND_NS, "0", id="clock set back"),
    ],
)
def test_age_counts_from_the_computation(later_ns: int, age: str):
    first = bars_read(QUERY, NOW_NS)
    again = bars_read(QUERY, NOW_NS + later_ns)
    assert first is not None
    assert again is not None
    assert (first.headers["X-Cache"], first.headers["Age"]) == ("miss", "0")
    assert (again.headers["X-Cache"], again.headers["Age"]) == ("hit", age)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(("seconds_ago", "immutable"), [(59, False), (60, False), (61, True)], ids=str)
def test_an_instant_is_settled_after_a_minute(seconds_ago: int, immutable: bool):
    query = f"{QUERY}&as_of={NOW_NS - seconds_ago * SECOND_NS}"
    finished = bars_read(query, NOW_NS)
    assert finished is not None
    assert finished.headers["Cache-Control"].endswith("immutable") is immutable
