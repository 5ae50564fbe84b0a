"""`knowledge=then` after an instrument was declared anew: rows of before keep the terms of their time."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import time_machine
from django.conf import settings

from store import open_store
from store.datasets import INTEREST_RATES, OPTION_QUOTES, QUOTES, TRADES, UNIVERSE_CHANGES
from store.instruments import Instrument, default_instrument
from store.reading.reader import Reader
from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import Api, answer
from tests.installation import shared_installation
from tests.stats.market_data.test_known_then import SECOND, Sent, post, row
from tests.store_settings import IS_OF_FILES
from trades.stores import market_store

pytestmark = pytest.mark.django_db
STOCK, CALL, PUT, UNIVERSE = "SP", "SP250221C00100000", "SP250221P00100000", "FEW"
AT_NS = parse_timestamp("2025-01-10T15:00:00Z")
START, END = format_timestamp(AT_NS - 60 * SECOND), format_timestamp(AT_NS + 120 * SECOND)
LATE_NS = 10 * SECOND
TREE = "/api/v1/market-data"
EQUITY, OPTION = f"{TREE}/equities/{STOCK}", f"{TREE}/options/{CALL}"


def rows() -> list[Sent]:
    """Rows that came at once, and rows that came after ten seconds: later than `settle` of then, but not that of now."""

    def each(dataset: Any, symbol: str, seconds: float, late_ns: int = 0, **values: Any) -> Sent:
        at_ns = AT_NS + round(seconds * SECOND)
        return row(dataset, symbol, at_ns, at_ns + late_ns, **values)

    def quotes(dataset: Any, symbol: str, bid: float) -> list[Sent]:
        return [
            each(dataset, symbol, 0, bid=bid, ask=bid + 1, exchange="XNYS"),
            each(dataset, symbol, 0.05, LATE_NS, bid=bid + 0.5, ask=bid + 0.75, exchange="ARCX"),
            each(dataset, symbol, 90, bid=bid, ask=bid + 1, exchange="XNYS"),
        ]

    return [
        *quotes(QUOTES, STOCK, 99.0),
        each(TRADES, STOCK, 0.1, price=99.9, volume=1.0),
        each(TRADES, STOCK, 1, price=103.0, volume=1.0, conditions="odd_lot"),
        each(TRADES, STOCK, 1.5, LATE_NS, price=104.0, volume=1.0),
        *(each(TRADES, STOCK, 20 + n, price=100.0, volume=1.0) for n in range(0, 80, 5)),
        *quotes(OPTION_QUOTES, CALL, 3.0),
        *quotes(OPTION_QUOTES, PUT, 2.0),
        each(INTEREST_RATES, "USD", -1, tenor="1Y", rate=0.05),
        each(INTEREST_RATES, "USD", 0, LATE_NS, tenor="1Y", rate=0.01),
        each(UNIVERSE_CHANGES, UNIVERSE, -1, member=STOCK, action="add"),
        each(UNIVERSE_CHANGES, UNIVERSE, 0, LATE_NS, member=CALL, action="add"),
    ]


def declare(at: str, **terms: Any) -> None:
    stock = Instrument(STOCK, exchange="XNYS", currency="USD")
    with time_machine.travel(at, tick=False):
        for each in (stock, default_instrument(CALL), default_instrument(PUT)):
            market_store().set_instrument(msgspec.structs.replace(each, **terms))


RANGE = {"start": START, "end": END}
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "trades": (f"{EQUITY}/trades", RANGE),
    "quotes": (f"{EQUITY}/quotes", RANGE),
    "best": (f"{EQUITY}/quotes", {**RANGE, "exchange": "best"}),
    "joined with the best": (f"{EQUITY}/trades", {**RANGE, "join": "quotes", "horizon": "5s"}),
    "joined": (f"{EQUITY}/trades", {**RANGE, "join": "quotes", "exchange": "all", "horizon": "5s"}),
    "bars and final": (f"{EQUITY}/ohlcv", {**RANGE, "resolution": "1s"}),
    "quote bars and final": (f"{EQUITY}/quotes", {**RANGE, "resolution": "1s"}),
    "greeks": (f"{OPTION}/greeks", RANGE),
    "greeks of intervals": (f"{OPTION}/greeks", {**RANGE, "resolution": "1m"}),
    "chain": (f"{TREE}/options/{STOCK}/greeks", {"end": format_timestamp(AT_NS + 3 * SECOND)}),
    "members": (f"{TREE}/universes/{UNIVERSE}/members", {"at": format_timestamp(AT_NS + SECOND)}),
}
READS: dict[str, Callable[[Reader], Any]] = {
    "trades": lambda reader: reader.trades(STOCK, START, END, knowledge="then"),
    "best": lambda reader: reader.quotes(STOCK, START, END, exchange="best", knowledge="then"),
    "spreads": lambda reader: reader.spreads(STOCK, START, END, horizon="5s", knowledge="then"),
    "join": lambda reader: reader.asof_join("trades", "quotes", STOCK, START, END, knowledge="then"),
}
if not IS_OF_FILES:
    READS.clear()  # the reader reads files


@pytest.fixture(scope="module")
def answers(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """All answers by name, before and after the instruments were declared anew."""
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("again") / "store") as api:
        declare("2025-01-01T00:00Z")
        post(rows())
        before = all_answers(api)
        declare("2025-01-10T16:00Z", settle=30.0, bar_policy="us_equities")
        yield before, all_answers(api)


def all_answers(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (path, query) in CASES.items():
        response = api.get(path, {**query, "knowledge": "then"})
        assert response.status_code == 200, response.content
        found[name] = answer(response)
        found[f"{name} now"] = answer(api.get(path, query))
    declared: Any = settings.MARKET_STORES["default"]
    for name, read in READS.items():
        reader = open_store(declared["OPTIONS"]["path"])
        columns = read(reader)
        found[f"reader: {name}"] = {each: columns[each].tolist() for each in columns}
    return found


@pytest.mark.parametrize("name", [*CASES, *(f"reader: {name}" for name in READS)])
def test_an_answer_of_then_stays(answers: tuple[dict[str, Any], dict[str, Any]], name: str):
    before, after = answers
    np.testing.assert_equal(after[name], before[name])
    if name in CASES:
        assert before[name] != before[f"{name} now"]


def test_the_terms_of_then_decide(answers: tuple[dict[str, Any], dict[str, Any]]):
    _, after = answers
    assert [row["bid"] for row in after["joined"]["trades"]][:2] == [99.0, 99.0]
    assert [row["bid"] for row in after["joined now"]["trades"]][:2] == [99.5, 99.5]
    assert [row["spot"] for row in after["greeks"]["greeks"]] == [99.5, 99.5]
    assert {row["final"] for row in after["bars and final"]["bars"]} == {True, False}
