"""A column that trades have not always had, in answers."""

from typing import Any

import pytest

from stats.delivery.answers import AnswerKey
from stats.market_data.answers.page import page_snapshot
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import parse_query
from tests.stats.market_data.builders import EQUITY, Market
from tests.stats.market_data.oracle import SECOND_NS
from tests.stats.market_data.representations import MEDIA_TYPES, decoded

START_NS = 1_735_808_400 * SECOND_NS
RANGE = {"start": "2025-01-02T09:00:00Z", "end": "2025-01-02T10:00:00Z"}


def add(market: Market, *flags: bool | None) -> None:
    rows = [
        {"time_ns": START_NS + at * SECOND_NS, "price": 1.0 + at, "volume": 1.0, "buyer_is_maker": flag}
        for at, flag in enumerate(flags)
    ]
    market.add("trades", EQUITY, rows)


@pytest.mark.parametrize("flags", [(True, None, False), (None, None)])
@pytest.mark.parametrize("name", MEDIA_TYPES)
def test_true_false_and_null_are_written_in_every_format(empty_market: Market, name: str, flags: Any):
    add(empty_market, *flags)
    response = empty_market.api.get(
        f"/api/v1/market-data/equities/{EQUITY}/trades", {**RANGE, "format": name}
    )
    assert [row["buyer_is_maker"] for row in decoded(response, name, "trades").rows] == list(flags)


def test_an_id_with_another_value_of_the_column_is_a_conflict(empty_market: Market):
    row = {"symbol": EQUITY, "timestamp": RANGE["start"], "price": 1.0, "volume": 1.0, "trade_id": "a"}
    sent = [empty_market.api.ingest(row | {"buyer_is_maker": flag}) for flag in (True, None, False)]
    assert [response.status_code for response in sent] == [200, 422, 422]
    assert b"trade_id_conflict" in sent[2].content


def key(dataset: str) -> str:
    query = parse_query(
        MARKET_DATASETS[dataset], "equities", EQUITY, f"start={RANGE['start']}&end={RANGE['end']}"
    )
    page = page_snapshot(query=query, now_ns=START_NS)
    return AnswerKey(page, "json").cache_key


def test_answers_with_and_without_the_column_have_different_keys(empty_market: Market):
    add(empty_market, True)
    assert "later_columns=buyer_is_maker" in key("trades")
    assert "buyer_is_maker" not in key("ohlcv")
