"""Greeks page by page, from the cache, and as of the past."""

import time
from typing import Any

import pytest

from stats.caching.response_cache import RESPONSE_CACHE
from stats.market_data.plan import log_at
from store.datasets import OPTION_QUOTES
from store.instruments import OPTION, Instrument
from store.log import Log, Snapshot
from store.timestamps import format_timestamp
from tests.api_client import Api, answer, problem
from tests.stats.market_data.options.market import (
    CALL,
    CHAIN,
    OPENING,
    PUT,
    ROOT,
    UNDERLYING,
    Contract,
    page_of,
    rows_of,
    seconds_after,
    store_chain,
    store_quotes,
    store_spot,
    store_spots,
    surface_of,
)  # fmt: skip
from trades.stores import market_store

pytestmark = pytest.mark.system

QUOTES = 40


@pytest.fixture
def market(api: Api) -> Api:
    """A caller before a chain of which every option is quoted every ten seconds, each at its own."""
    store_chain(api)
    quotes = [
        contract.quote(seconds_after(OPENING, 10 * number + place), volatility=0.2 + 0.002 * number)
        for number in range(QUOTES)
        for place, contract in enumerate(CHAIN)
    ]
    store_quotes(api, quotes)
    store_spots(
        api, [(seconds_after(OPENING, 10 * number + 0.5), 100.0 + 0.01 * number) for number in range(QUOTES)]
    )
    return api


@pytest.mark.parametrize("limit", [7, 1, 40])
def test_pages_together_have_all_rows(market: Api, limit: int):
    whole = rows_of(market, CALL.symbol)
    assert len(whole) == QUOTES + 1
    assert {row["reason"] for row in whole} == {None}
    page = page_of(market, CALL.symbol, limit=limit)
    walked = page["greeks"]
    while page["next_cursor"]:
        page = page_of(market, CALL.symbol, limit=limit, cursor=page["next_cursor"])
        walked = walked + page["greeks"]
    assert walked == whole
    backward = rows_of(market, CALL.symbol, sort="desc")
    assert backward == whole[::-1]
    assert rows_of(market, CALL.symbol, last=3) == whole[-3:]


def late_quotes(market: Api, number: int) -> None:
    """What would change every forward, had it been there: a late quote of each option, a new option, another spot."""
    at = seconds_after(OPENING, 10 * number + 5)
    store_quotes(
        market, [contract.quote(at, spot=140.0) for contract in (*CHAIN, Contract(101.0 + number, True))]
    )
    store_spot(market, at, 140.0)


def test_pages_have_one_snapshot_while_others_write(market: Api):
    whole = rows_of(market, CALL.symbol)
    page = page_of(market, CALL.symbol, limit=10)
    pages = [page]
    while page["next_cursor"]:
        late_quotes(market, len(pages))
        page = page_of(market, CALL.symbol, limit=10, cursor=page["next_cursor"])
        pages.append(page)
    assert [row for each in pages for row in each["greeks"]] == whole
    back = page_of(market, CALL.symbol, limit=10, cursor=pages[2]["prev_cursor"])
    assert back["greeks"] == pages[1]["greeks"]
    assert rows_of(market, CALL.symbol) != whole


WALKS = {"greeks": CALL.symbol, "implied-volatility": UNDERLYING}
WALKED = {"start": OPENING, "end": seconds_after(OPENING, 3600), "limit": "3"}


def walked(market: Api, dataset: str, **params: str) -> Any:
    query = {**WALKED, **params}
    if dataset != "greeks":
        del query["start"]
    return market.get(f"{ROOT}/{WALKS[dataset]}/{dataset}", query)


@pytest.mark.parametrize("dataset", WALKS)
def test_an_answer_that_is_computed_again_has_the_same_cursors(market: Api, dataset: str):
    first = walked(market, dataset)
    RESPONSE_CACHE.local.clear()
    again = walked(market, dataset)
    assert (first["X-Cache"], again["X-Cache"]) == ("miss", "miss")
    assert (first["ETag"], first.content) == (again["ETag"], again.content)
    assert answer(first)["next_cursor"]


@pytest.mark.parametrize("dataset", WALKS)
@pytest.mark.parametrize("late", [PUT, Contract(99.0, False)], ids=["an option of it", "a new option"])
def test_a_commit_that_had_begun_before_the_first_page_is_409(
    market: Api, monkeypatch, dataset: str, late: Contract
):
    cursor = answer(walked(market, dataset))["next_cursor"]
    number = log_at(OPTION_QUOTES, late.symbol).head.number + 1
    last = log_at(OPTION_QUOTES, CHAIN[-1].symbol).head.number
    stamped_ns = market_store().log(OPTION_QUOTES, CHAIN[-1].symbol).committed_at(last)
    store_quotes(market, [late.quote(seconds_after(OPENING, 5))])
    assert walked(market, dataset, cursor=cursor).status_code == 200
    # What had been stamped before is to be seen from now on.
    log_type = type(market_store().log(OPTION_QUOTES, late.symbol))
    monkeypatch.setattr(log_type, "as_of", seen_late(late.symbol, number, stamped_ns))
    assert problem(walked(market, dataset, cursor=cursor)) == (409, "resync")


def seen_late(symbol: str, number: int, stamped_ns: int) -> Any:
    """What a store says of commits by an instant, with one of an option that is stamped with an earlier one."""
    as_of = type(market_store().log(OPTION_QUOTES, symbol)).as_of

    def found(log: Log, instant_ns: int) -> Snapshot:
        if log.symbol == symbol and instant_ns >= stamped_ns:
            return log.at(number)
        return as_of(log, instant_ns)

    return found


@pytest.mark.parametrize("dataset", WALKS)
def test_a_declaration_after_the_newest_commit_is_the_same_on_all_pages(market: Api, dataset: str):
    store = market_store()
    told: dict[str, Any] = {"instrument_class": OPTION, "underlying": UNDERLYING, "expiry": CALL.expiry}
    store.set_instrument(Instrument("TOLD-P", **told, strike=102.0, right="put"))
    wanted = answer(walked(market, dataset, limit="100"))[dataset.replace("-", "_")]
    page = answer(walked(market, dataset))
    rows = page[dataset.replace("-", "_")]
    while page["next_cursor"]:
        store.set_instrument(Instrument(f"TOLD-{len(rows)}", **told, strike=101.0, right="put"))
        page = answer(walked(market, dataset, cursor=page["next_cursor"]))
        rows += page[dataset.replace("-", "_")]
    assert rows == wanted


def test_as_of_gives_the_quotes_and_declarations_of_that_time(market: Api):
    before = rows_of(market, CALL.symbol)
    known = format_timestamp(time.time_ns())
    late_quotes(market, 1)
    assert rows_of(market, CALL.symbol, as_of=known) == before
    assert rows_of(market, CALL.symbol) != before
    assert surface_of(market, end=seconds_after(OPENING, 3600), as_of=known)


def outcome(market: Api, **params: str) -> str:
    response = market.get(
        f"{ROOT}/{CALL.symbol}/greeks", {"start": OPENING, "end": seconds_after(OPENING, 60), **params}
    )
    assert response.status_code == 200
    return str(response["X-Cache"])


CHANGES = {
    "another option of the chain": lambda market: store_quotes(
        market, [PUT.quote(seconds_after(OPENING, 1.5))]
    ),
    "the underlying": lambda market: store_spot(market, seconds_after(OPENING, 1.5), 99.0),
    "the option itself": lambda market: store_quotes(market, [CALL.quote(seconds_after(OPENING, 1.5))]),
    "a new option of the chain": lambda market: store_quotes(market, [Contract(99.0, False).quote(OPENING)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_answer_is_cached_until_one_of_its_inputs_changes(market: Api, change):
    assert [outcome(market), outcome(market)] == ["miss", "hit"]
    change(market)
    assert outcome(market) == "miss"


def test_writes_of_other_days_and_expiries_keep_the_cached_answer(market: Api):
    assert outcome(market) == "miss"
    other = Contract(100.0, True, "2025-02-21")
    store_quotes(market, [PUT.quote("2025-01-06T15:00:00Z"), other.quote(OPENING)])
    assert outcome(market) == "hit"


def test_pages_of_several_options_have_one_snapshot(market: Api):
    params = {
        "symbols": f"{PUT.symbol},{CALL.symbol}",
        "start": OPENING,
        "end": seconds_after(OPENING, 60),
        "limit": "5",
    }
    whole = answer(market.get(f"{ROOT}/greeks", {**params, "limit": "100"}))["greeks"]
    page = answer(market.get(f"{ROOT}/greeks", params))
    walked = page["greeks"]
    while page["next_cursor"]:
        late_quotes(market, len(walked))
        page = answer(market.get(f"{ROOT}/greeks", {**params, "cursor": page["next_cursor"]}))
        walked = walked + page["greeks"]
    assert walked == whole
    assert {row["symbol"] for row in walked} == {PUT.symbol, CALL.symbol}
