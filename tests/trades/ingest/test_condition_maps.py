"""Vendors' condition codes at ingest: translated to words, counted where unknown, refused where asked."""

import json
from typing import Any

import pyarrow as pa
import pytest

from marketdata_project.checks import check_exchange_conditions
from store.bar_policies import BAR_POLICIES, US_EQUITIES
from store.datasets import DATASETS, TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.quote_conditions import INELIGIBLE
from tests.api_client import answer, problem, trade
from trades.conditions import CONDITION_MAPS
from trades.conditions.condition_map import ConditionMap
from trades.stores import market_store

# Words of quotes that take part in the best bid and offer.
ELIGIBLE_WORDS = ("slow_bid", "slow_ask", "slow_list", "opening_quote")


def stored() -> list[str | None]:
    texts: list[str | None] = (
        market_store().log(TRADES, "AAPL").at().rows(ALL_TIME).column("conditions").to_pylist()
    )
    return texts


def declare(**fields: Any) -> None:
    market_store().set_instruments([Instrument("AAPL", **fields)])


def words(name: str, text: str | None) -> Any:
    return CONDITION_MAPS[name].translated("trades", pa.array([text], pa.string()))[0].as_py()


@pytest.mark.parametrize(
    ("name", "codes", "expected"),
    [
        ("cta", "@", "regular"),
        ("cta", "@;I", "regular;odd_lot"),
        ("cta", "B", "average_price"),
        ("cta", "U", "extended_hours;out_of_sequence"),
        ("cta", "U;T", "extended_hours;out_of_sequence"),
        ("cta", "W", "W"),
        ("utp", "W", "average_price"),
        ("utp", "B", "bunched"),
        ("utp", "i", "i"),
        ("polygon", "12;37", "extended_hours;odd_lot"),
        ("polygon", "012", "012"),
        ("polygon", "999", "999"),
        ("databento", "0", None),
        ("databento", "128", None),
        ("databento", "168", "snapshot;bad_receive_time"),
        ("databento", "1", "1"),
        ("databento", "-4", "-4"),
        ("cta", "regular", "regular"),
        ("cta", None, None),
    ],
)
def test_codes_become_words(name, codes, expected):
    assert words(name, codes) == expected


@pytest.mark.parametrize("each", CONDITION_MAPS.values(), ids=lambda each: each.name)
def test_a_map_says_its_source_and_gives_only_words_that_a_policy_knows(each: ConditionMap):
    assert "https://" in each.source
    assert each.version
    for dataset, codes in each.codes.items():
        assert "conditions" in DATASETS[dataset].schema.names
        found = {word for code in codes.values() for word in code.words}
        of_quotes = {*INELIGIBLE, *ELIGIBLE_WORDS} if dataset == "quotes" else set()
        assert found - {"publisher_specific"} <= {*US_EQUITIES.effects, *of_quotes}


def test_a_code_does_what_its_word_does(api):
    declare(bar_policy="us_equities")
    rows = [
        trade(price=10, volume=100, conditions=["@"]),
        trade(timestamp="2025-01-02T14:30:01Z", price=99, volume=5, conditions=["@", "I"]),
    ]
    api.ingest(*rows, query="conditions=cta")
    assert stored() == ["regular", "regular;odd_lot"]
    (bar,) = api.bars(interval="1d")
    assert (bar["high"], bar["close"], bar["volume"]) == (10, 10, 105)


def test_the_answer_counts_rows_by_unknown_word(api):
    declare(bar_policy="us_equities")
    rows = [
        trade(trade_id=str(n), conditions=given)
        for n, given in enumerate((["@", "?"], ["?"], ["J", "@"], ["@"]))
    ]
    first = api.ingest(*rows, query="conditions=cta", idempotency_key="k")
    assert answer(first)["unknown_conditions"] == {"?": 2, "J": 1}
    again = api.ingest(*rows, query="conditions=cta", idempotency_key="k")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert problem(api.ingest(*rows, idempotency_key="k")) == (422, "idempotency_key_reused")


def test_words_that_the_policy_does_not_name_are_counted_without_a_map(api):
    declare(bar_policy="us_equities")
    assert answer(api.ingest(trade(conditions=["@", "regular"])))["unknown_conditions"] == {"@": 1}
    assert "unknown_conditions" not in answer(api.ingest(trade(conditions=["odd_lot"])))


def test_where_every_print_counts_only_a_map_makes_words_unknown(api):
    assert "unknown_conditions" not in answer(api.ingest(trade(conditions=["@"])))
    named = answer(api.ingest(trade(conditions=["@", "J", "odd_lot"]), query="conditions=cta"))
    assert named["unknown_conditions"] == {"J": 1}


def test_an_instrument_may_refuse_unknown_words(api):
    declare(bar_policy="us_equities", unknown_conditions="refuse")
    rows = [trade(conditions=["regular"]), trade(conditions=["@"]), trade(conditions=["regular", "J"])]
    refused = api.ingest(*rows)
    assert problem(refused) == (422, "unknown_condition")
    assert [error["path"] for error in answer(refused)["errors"]] == [
        "trades[1].conditions",
        "trades[2].conditions",
    ]
    assert answer(api.ingest(*rows[:2], query="conditions=cta"))["stored"] == 2


def test_an_exchange_may_have_a_map(api, settings):
    settings.EXCHANGE_CONDITIONS = {"XNYS": "cta", "XNAS": "utp"}
    declare(exchange="XNYS")
    api.ingest(trade(conditions=["B"], trade_id="1"))
    api.ingest(trade(conditions=["B"], trade_id="2"), query="conditions=utp")
    declare(exchange="XLON")
    api.ingest(trade(conditions=["B"], trade_id="3"))
    assert stored() == ["average_price", "bunched", "B"]
    assert check_exchange_conditions() == []
    settings.EXCHANGE_CONDITIONS = {"XNYS": "sip"}
    assert [found.id for found in check_exchange_conditions()] == ["marketdata.E008"]


def test_a_map_is_for_datasets_whose_codes_it_lists(api):
    assert problem(api.ingest(trade(), query="conditions=opra")) == (400, "invalid_parameter")
    for dataset, name in (("bars", "cta"), ("quotes", "polygon")):
        refused = api.ingest(
            json.dumps({dataset: []}).encode(), query=f"conditions={name}", path=f"/api/v1/{dataset}/ingest"
        )
        assert refused.status_code == 400


def test_conditions_lists_the_maps(api):
    document = answer(api.get("/api/v1/conditions"))
    maps = {each["name"]: each for each in document["condition_maps"]}
    assert set(maps) == set(CONDITION_MAPS)
    assert {"code": "I", "meaning": "Odd Lot Trade", "conditions": ["odd_lot"]} in maps["cta"]["codes"][
        "trades"
    ]
    assert len(document["bar_policies"]) == len(BAR_POLICIES)
