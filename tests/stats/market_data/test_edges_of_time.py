"""Every endpoint of market data at the first and the last instant of time."""

from collections.abc import Iterator

import pytest

from stats.market_data.datasets import MARKET_DATASETS, MARKET_REPORTS
from stats.market_data.query import MARKET_CLASSES
from store.protocol import ALL_TIME
from store.timestamps import format_timestamp
from tests.api_client import answer
from tests.stats.market_data.builders import HOUR_NS, Market
from tests.stats.market_data.test_answer_keys import SYMBOLS

pytestmark = [pytest.mark.django_db, pytest.mark.system]
TREE = "/api/v1/market-data"
FIRST, LAST = format_timestamp(ALL_TIME.start_ns), format_timestamp(ALL_TIME.end_ns - 1)
WINDOWS: dict[str, dict[str, str]] = {
    "first": {"start": FIRST, "end": format_timestamp(ALL_TIME.start_ns + HOUR_NS)},
    "last": {"start": format_timestamp(ALL_TIME.end_ns - HOUR_NS), "end": LAST},
    "first-as-of": {"last": "1", "as_of": FIRST},
    "last-as-of": {"last": "1", "as_of": LAST},
    "before-the-first": {"last": "1", "end": FIRST},
    "before-the-last": {"last": "1", "end": LAST},
}
RESOLUTIONS = ("1s", "1h", "1d", "1M")
# Gaps of seconds up to the end of time, and continuous futures of months.
REFUSALS = {"range_too_large", "conflicting_parameters"}
MISSING = {"no_data", "not_known_then", "resolution_unavailable"}


def paths() -> Iterator[tuple[str, list[str]]]:
    """The paths of one symbol, each with the parameters that it takes."""
    for name, market_class in MARKET_CLASSES.items():
        for symbol in SYMBOLS[name][:1]:
            for each in market_class.datasets:
                dataset = MARKET_DATASETS[each]
                yield f"{name}/{symbol}/{each}", [*dataset.parameters(streamed=False, several=False)]
                if dataset.has_stream:
                    names = [*dataset.parameters(streamed=True, several=False)]
                    yield f"{name}/{symbol}/{each}/stream", names
            for report in MARKET_REPORTS.values():
                if name in report.classes:
                    end = report.path or report.name
                    yield f"{name}/{symbol}/{end}", [*report.serializer(False).fields]


PATHS = dict(paths())


@pytest.mark.parametrize("edge", WINDOWS)
@pytest.mark.parametrize("path", PATHS)
def test_an_endpoint_is_answered_at_the_edges_of_time(market: Market, path: str, edge: str):
    names = PATHS[path]
    query = {name: value for name, value in WINDOWS[edge].items() if name in names}
    if "at" in names:
        query["at"] = FIRST if "first" in edge else LAST
    for resolution in RESOLUTIONS if "resolution" in names else (None,):
        asked = query if resolution is None else {**query, "resolution": resolution}
        response = market.api.get(f"{TREE}/{path}", asked)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        is_refused = response.status_code == 400 and answer(response)["code"] in REFUSALS
        is_missing = response.status_code == 404 and answer(response)["code"] in MISSING
        assert is_refused or is_missing or response.status_code == 200, (asked, body[:300])


@pytest.mark.parametrize("resolution", ["1m", "1h", "1d"])
def test_the_first_bar_of_time_is_explained(market: Market, resolution: str):
    path = f"{TREE}/equities/{SYMBOLS['equities'][0]}/ohlcv/explain"
    found = answer(market.api.get(path, {"at": FIRST, "resolution": resolution}))
    assert (found["bar"], found["reason"]) == (None, "closed")


def test_the_first_hours_of_time_have_their_absences(market: Market):
    path, end = (
        f"{TREE}/equities/{SYMBOLS['equities'][0]}/ohlcv",
        format_timestamp(ALL_TIME.start_ns + 24 * HOUR_NS),
    )
    query = {"start": FIRST, "end": end, "resolution": "1h", "coverage": "1"}
    (found,) = answer(market.api.get(path, query))["absences"]
    assert (found["start"], found["end"], found["reason"]) == (FIRST, end, "closed")
