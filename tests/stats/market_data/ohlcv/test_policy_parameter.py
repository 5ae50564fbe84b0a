"""`policy=`: the bars of another policy than the instrument's, as if the instrument had been declared so."""

import orjson
import pytest

from store.instruments import Instrument
from tests.api_client import Api, answer, body_of, problem, trade
from trades.stores import market_store

PATH = "/api/v1/market-data/equities/AAPL/ohlcv"
RANGE = {"start": "2025-01-02", "end": "2025-01-03", "resolution": "1m"}
ROWS = [
    trade(
        timestamp=f"2025-01-02T14:{30 + second // 60}:{second % 60:02}Z",
        price=price,
        volume=10,
        conditions=conditions,
    )
    for second, price, conditions in [
        (1, 100.0, []),
        (5, 150.0, ["average_price"]),
        (9, 101.0, ["odd_lot"]),
        (70, 102.0, []),
    ]
]


def declared(policy: str) -> None:
    market_store().set_instrument(Instrument("AAPL", exchange="XNAS", bar_policy=policy))


def bars(api: Api, **query: str) -> list[dict[str, object]]:
    return [
        {name: value for name, value in bar.items() if name != "final"}
        for bar in answer(api.get(PATH, {**RANGE, **query}))["bars"]
    ]


@pytest.mark.parametrize("knowledge", ["now", "then"])
def test_bars_are_those_of_an_instrument_with_that_policy(api: Api, knowledge):
    assert api.ingest(body_of(*ROWS)).status_code == 200
    found = {}
    for policy in ("all", "us_equities"):
        declared(policy)
        found[policy] = bars(api, knowledge=knowledge)
    assert found["all"] != found["us_equities"]
    assert found["all"][0]["high"] == 150.0
    for own in ("all", "us_equities"):
        declared(own)
        for policy in ("all", "us_equities"):
            assert bars(api, knowledge=knowledge, policy=policy) == found[policy]


def test_answers_of_policies_have_different_etags(api: Api):
    assert api.ingest(body_of(*ROWS)).status_code == 200
    declared("all")
    tags = {api.get(PATH, {**RANGE, **query})["ETag"] for query in ({}, {"policy": "us_equities"})}
    assert len(tags) == 2


def test_an_unknown_policy_is_refused_and_the_message_names_the_known(api: Api):
    response = api.get(PATH, {**RANGE, "policy": "best"})
    assert problem(response) == (400, "invalid_parameter")
    assert "us_equities" in response.json()["errors"][0]["message"]


def test_streams_and_several_symbols_take_it(api: Api):
    assert api.ingest(body_of(*ROWS)).status_code == 200
    declared("all")
    stream = api.get(f"{PATH}/stream", {**RANGE, "policy": "us_equities"})
    several = answer(
        api.get("/api/v1/market-data/equities/ohlcv", {**RANGE, "symbols": "AAPL", "policy": "us_equities"})
    )
    high = bars(api, policy="us_equities")[0]["high"]
    assert high != 150.0
    assert orjson.loads(b"".join(stream.streaming_content).splitlines()[0])["high"] == high
    assert several["bars"][0]["high"] == high
