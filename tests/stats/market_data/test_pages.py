"""Walks by cursor: forward, backward, back and forth, over rows with equal times, while a writer adds and corrects.

Whatever is written meanwhile, every page is a part of what there was when the first one was read.
"""

from typing import Any

import pytest
from hypothesis import Phase, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.api_client import Api
from tests.chance import SOAK
from tests.stats.market_data.builders import Market
from tests.stats.market_data.subjects import (
    BARS,
    DATASETS,
    OPTION_VALUES,
    QUOTE_BARS,
    Subject,
    answered,
)
from tests.stats.market_data.walks import RANGE, START_NS, Log, Walk, walk, without_vwap

pytestmark = [pytest.mark.django_db, pytest.mark.system]
SORTS = ("asc", "desc")
WALKED = [
    *(one for one in DATASETS if one.dataset not in OPTION_VALUES),
    *(one for one in (*BARS, *QUOTE_BARS) if one.resolution in {"30m", "1w"}),
]

seconds = st.lists(st.sampled_from([0, 1, 59, 60, 61, 3_599]), min_size=1, max_size=12)
limits = st.sampled_from([1, 2, 3, 5, 100])
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["forward", "back"]), limits),
        st.tuples(st.sampled_from(["forward", "back"]), limits),
        st.tuples(st.just("write"), seconds),
        st.tuples(st.just("correct"), st.integers(0, 50)),
    ),
    max_size=14,
)


@pytest.mark.system
@pytest.mark.parametrize("count", [1, 2], ids=["one_symbol", "two_symbols"])
@pytest.mark.parametrize("dataset", ["trades", "ohlcv"])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_every_page_has_the_first_page_s_snapshot(api: Api, dataset: str, sort: str, count: int):
    @seed(20_241_223)
    @examples(max_examples=300 if SOAK else 3, phases=[Phase.generate])
    @given(
        stored=st.lists(seconds, min_size=count, max_size=count),
        limit=limits,
        form=st.sampled_from(["json", "msgpack", "csv"]),
        steps=steps,
    )
    def holds(stored: list[list[int]], limit: int, form: str, steps: list[Any]) -> None:
        logs = [Log.of(api, times) for times in stored]
        client = walk(api, logs, dataset, sort, form)
        client.begin(limit)
        for place, (kind, argument) in enumerate(steps):
            if kind == "write":
                logs[place % count].write(argument)
            elif kind == "correct":
                logs[place % count].correct(argument)
            else:
                getattr(client, kind)(argument)
        assert_whole(client)

    holds()


@pytest.mark.system
@pytest.mark.parametrize("dataset", ["trades", "ohlcv"])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_the_newest_rows_of_several_symbols_are_paged(api: Api, dataset: str, sort: str):
    @seed(20_241_224)
    @examples(max_examples=300 if SOAK else 4, phases=[Phase.generate])
    @given(
        stored=st.lists(seconds, min_size=2, max_size=4),
        last=st.sampled_from([1, 2, 3, 5, 100]),
        limit=limits,
        form=st.sampled_from(["json", "msgpack", "csv"]),
        steps=steps,
    )
    def holds(stored: list[list[int]], last: int, limit: int, form: str, steps: list[Any]) -> None:
        logs = [Log.of(api, times) for times in stored]
        client = walk(api, logs, dataset, sort, form, last=last)
        client.begin(limit)
        for place, (kind, argument) in enumerate(steps):
            if kind in {"write", "correct"}:
                getattr(logs[place % len(logs)], kind)(argument)
            else:
                getattr(client, kind)(argument)
        assert_whole(client)

    holds()


def assert_whole(client: Walk, size: int = 3) -> None:
    """To the end and back to the beginning, every row once in its place."""
    while client.high < len(client.snapshot):
        client.forward(size)
    client.forward(size)
    while client.low > 0:
        client.back(size + 1)
    client.back(size + 1)


@pytest.mark.parametrize(
    ("subject", "sort"),
    [(one, sort) for index, one in enumerate(WALKED) for sort in (SORTS if SOAK else SORTS[index % 2 :][:1])],
    ids=str,
)
def test_pages_of_every_dataset_together_have_all_rows(
    market: Market, oracle: Any, subject: Subject, sort: str
):
    session = ("exchange", "regular")
    rows = oracle(subject, *session)
    query = {**subject.parameters, **subject.shape(*session), "sort": sort}
    snapshot = [without_vwap(row) for row in (rows if sort == "asc" else rows[::-1])]
    client = Walk(market.api, subject.path, subject.rows_name, query, "json", snapshot)
    size = len(rows) // 4 + 1
    client.begin(size)
    assert_whole(client, size)


def test_pages_of_open_interest_with_equal_times(empty_market: Market):
    rows = [
        {"time_ns": START_NS, "date": f"2024-12-{day}", "open_interest": day, "status": "final"}
        for day in range(10, 24)
    ]
    empty_market.add("open_interest", "ACME250117C00100000", rows)
    path = "/api/v1/market-data/options/ACME250117C00100000/open-interest"
    wanted = [answered(row, ("date", "open_interest", "status")) for row in rows]
    client = Walk(empty_market.api, path, "open_interest", RANGE, "json", wanted)
    client.begin(5)
    assert_whole(client)
