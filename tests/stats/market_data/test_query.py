"""Queries made by the factory: the same as those that are parsed, and what only they can ask for."""

import pytest

from stats.market_data.answers.page import page_snapshot
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.futures.continuous import RollOptions
from stats.market_data.ohlcv.dataset import OhlcvOptions
from stats.market_data.query import MARKET_CLASSES, MarketDataQuery, parse_query
from store.exceptions import UnknownSymbol
from store.resolutions import Resolution
from store.timestamps import parse_timestamp
from tests.api_client import Api, trade

START = "2025-01-02T14:00:00Z"


@pytest.mark.parametrize(
    ("market_class", "dataset", "text", "fields"),
    [
        (
            "equities",
            "ohlcv",
            f"start={START}&sort=desc&resolution=1min",
            {
                "start_ns": parse_timestamp(START),
                "is_descending": True,
                "resolution": Resolution.MINUTE,
                "options": OhlcvOptions(),
            },
        ),
        ("equities", "trades", "last=5", {"last": 5}),
        (
            "futures",
            "continuous",
            "last=2000&roll=days",
            {"last": 2000, "options": RollOptions("days")},
        ),
    ],
)
def test_the_factory_has_the_defaults_of_the_parameters(market_class, dataset, text, fields):
    made = MarketDataQuery.of(
        MARKET_DATASETS[dataset], ("A",), market_class=MARKET_CLASSES[market_class], **fields
    )
    assert made == parse_query(MARKET_DATASETS[dataset], market_class, "A", text)


def test_options_are_part_of_a_query_s_identity():
    texts = ("last=1", "last=1&roll=days", "last=1&adjust=ratio", "last=1&roll=days&roll_before=3d")
    keys = {parse_query(MARKET_DATASETS["continuous"], "futures", "ES", text).walk_key for text in texts}
    assert len(keys) == len(texts)


def test_a_query_may_skip_unknown_symbols(api: Api):
    api.ingest(trade())

    def page(*, skips_unknown: bool) -> list[str]:
        query = MarketDataQuery.of(
            MARKET_DATASETS["trades"],
            ("NOSUCH", "AAPL"),
            market_class=MARKET_CLASSES["equities"],
            several=True,
            last=1,
            skips_unknown=skips_unknown,
        )
        table = page_snapshot(query, now_ns=parse_timestamp("2025-01-03")).document().table
        return [str(name) for name in table.data.column("symbol").to_pylist()]

    assert page(skips_unknown=True) == ["AAPL"]
    with pytest.raises(UnknownSymbol):
        page(skips_unknown=False)
