"""The volatility surface of an underlying over HTTP."""

import pytest

from store.instruments import OPTION, Instrument
from store.timestamps import parse_timestamp
from tests.api_client import Api, problem
from tests.chance import each_of
from tests.stats.market_data.options.market import (
    CALL,
    CHAIN,
    LAST_TRADE,
    OPENING,
    RATE,
    ROOT,
    SPOT,
    UNDERLYING,
    VOLATILITY,
    YEAR_NS,
    YIELD,
    Contract,
    chain_of,
    seconds_after,
    store_chain,
    store_quotes,
    surface_of,
    surface_page,
)  # fmt: skip
from tests.stats.options.oracle import Option
from trades.stores import market_store

pytestmark = pytest.mark.system

NOON = "2025-01-02T17:00:00Z"
SURFACE = "implied-volatility"
MARCH = [
    Contract(strike, is_call, "2025-03-21", parse_timestamp("2025-03-21T20:00:00Z"))
    for strike in (90.0, 100.0, 110.0)
    for is_call in (True, False)
]


@pytest.fixture
def market(api: Api) -> Api:
    """A caller before a chain of two expiries, quoted at the opening."""
    store_chain(api, contracts=MARCH + CHAIN)
    return api


def test_the_surface_has_the_volatilities_that_made_the_quotes(market: Api):
    rows = surface_of(market, end=seconds_after(OPENING, 1), dividend_yield=YIELD)
    assert [row["iv"] for row in rows] == pytest.approx([VOLATILITY] * len(rows), abs=1e-4)
    # By parity each leg has a part of the difference of the premiums of early exercise.
    rows = surface_of(market, end=seconds_after(OPENING, 1))
    assert [row["iv"] for row in rows] == pytest.approx([VOLATILITY] * len(rows), abs=4e-3)
    assert {row["forward_source"] for row in rows} == {"parity"}
    assert [row["dividend_yield"] for row in rows] == pytest.approx([YIELD] * len(rows), abs=6e-3)
    assert {(row["spot"], row["spot_timestamp"], row["quote_timestamp"]) for row in rows} == {
        (SPOT, OPENING, OPENING)
    }


def test_rows_come_by_expiry_strike_and_right(market: Api):
    rows = surface_of(market, end=NOON)
    wanted = sorted((each.expiry, each.strike, each.is_call is False, each.symbol) for each in MARCH + CHAIN)
    assert [(row["expiry"], row["strike"], row["right"] == "put", row["symbol"]) for row in rows] == wanted
    assert {row["timestamp"] for row in rows} == {NOON}


def test_time_to_expiry_is_counted_from_its_instant(market: Api):
    rows = surface_of(market, end=NOON, expiry="2025-01-17")
    assert {row["t"] for row in rows} == {(LAST_TRADE - parse_timestamp(NOON)) / YEAR_NS}


def test_expiry_selects_one_expiry(market: Api):
    page = surface_page(market, end=NOON, expiry="2025-03-21")
    assert {row["expiry"] for row in page["implied_volatility"]} == {"2025-03-21"}
    assert page["at"] == NOON
    nothing = surface_page(market, end=NOON, expiry="2025-02-21")
    assert (nothing["implied_volatility"], nothing["reason"]) == ([], "no_data")


def test_expired_options_need_the_parameter_expiry(market: Api):
    late = "2025-02-03T15:00:00Z"
    store_quotes(market, [each.quote(late) for each in MARCH])
    at = seconds_after(late, 1)
    assert {row["expiry"] for row in surface_of(market, end=at)} == {"2025-03-21"}
    rows = surface_of(market, end=at, expiry="2025-01-17")
    assert {(row["reason"], row["t"]) for row in rows} == {("expired", 0.0)}


def test_quotes_from_its_instant_on_do_not_count(market: Api):
    store_quotes(market, [CALL.quote(NOON, volatility=0.5)])
    before, behind = (
        next(row for row in surface_of(market, end=end) if row["symbol"] == CALL.symbol)
        for end in (NOON, seconds_after(NOON, 1e-9))
    )
    assert before["quote_timestamp"] == OPENING
    assert behind["quote_timestamp"] == NOON


def test_an_option_without_a_quote_is_a_row_with_the_reason(market: Api):
    symbol = f"{UNDERLYING}-TOLD"
    market_store().set_instrument(
        Instrument(
            symbol,
            instrument_class=OPTION,
            underlying=UNDERLYING,
            expiry="2025-01-17",
            strike=97.5,
            right="put",
        )
    )
    (row,) = [each for each in surface_of(market, end=NOON) if each["symbol"] == symbol]
    assert (row["bid"], row["quote_timestamp"], row["iv"], row["reason"]) == (None, None, None, "no_quote")
    # The forward of its expiry is known all the same.
    assert row["forward_source"] == "parity"


def test_without_a_pair_the_forward_comes_from_spot(api: Api):
    store_chain(api, contracts=[CALL])
    (row,) = surface_of(api, end=NOON)
    assert (row["forward_source"], row["rate"], row["dividend_yield"]) == ("spot", RATE, 0.0)


def test_now_is_its_instant_without_an_end(market: Api):
    rows = surface_of(market, expiry="2025-01-17")
    assert {row["reason"] for row in rows} == {"expired"}
    assert surface_of(market) == []


@pytest.mark.parametrize(("limit", "sort"), each_of([5, 1, 12, 100], ["asc", "desc"]))
def test_pages_together_have_all_rows(market: Api, limit: int, sort: str):
    whole = surface_of(market, end=NOON)
    page = surface_page(market, end=NOON, limit=limit, sort=sort)
    walked, pages = list(page["implied_volatility"]), [page]
    while page["next_cursor"]:
        page = surface_page(market, end=NOON, limit=limit, sort=sort, cursor=page["next_cursor"])
        walked += page["implied_volatility"]
        pages.append(page)
    assert walked == (whole if sort == "asc" else whole[::-1])
    for later, earlier in zip(pages[:0:-1], pages[-2::-1], strict=True):
        back = surface_page(market, end=NOON, limit=limit, sort=sort, cursor=later["prev_cursor"])
        assert back["implied_volatility"] == earlier["implied_volatility"]


def test_later_pages_ignore_new_quotes(market: Api):
    whole = surface_of(market, end=NOON)
    page = surface_page(market, end=NOON, limit=4)
    walked = list(page["implied_volatility"])
    for number in range(2):
        # A late quote, a new strike, another spot.
        late = seconds_after(OPENING, 60 + number)
        store_chain(market, at=late, contracts=[CALL, Contract(107.0 + number, True)])
        page = surface_page(market, end=NOON, limit=4, cursor=page["next_cursor"])
        walked += page["implied_volatility"]
    assert walked == whole
    assert len(surface_of(market, end=NOON)) == len(whole) + 2


def test_a_cursor_of_another_surface_is_refused(market: Api):
    cursor = surface_page(market, end=NOON, limit=4)["next_cursor"]
    other = market.get(f"{ROOT}/ABC/{SURFACE}", {"end": seconds_after(NOON, 1), "cursor": cursor})
    assert problem(other) == (400, "invalid_cursor")


def test_the_chain_has_quotes_and_the_greeks_of_quantlib(market: Api):
    rows = chain_of(market, end=NOON, expiry="2025-01-17")
    assert [row["symbol"] for row in rows] == sorted(
        (each.symbol for each in CHAIN), key=lambda symbol: (symbol[-8:], symbol)
    )
    for row, contract in zip(
        rows, sorted(CHAIN, key=lambda each: (each.strike, not each.is_call)), strict=True
    ):
        quoted = contract.quote(OPENING)
        assert (row["bid"], row["ask"], row["quote_timestamp"]) == (quoted["bid"], quoted["ask"], OPENING)
        carried = (row["spot"], row["strike"], row["t"], row["rate"], row["dividend_yield"])
        option = Option(row["right"] == "call", *carried, american=True)
        for name, value in option.greeks(row["iv"]).items():
            part = 1e-2 if name == "rho" else 2e-3
            assert row[name] == pytest.approx(value, abs=part * max(abs(value), 0.01)), name


def test_the_chain_s_volatilities_are_the_surface(market: Api):
    greeks = {"delta", "gamma", "theta", "vega", "rho"}
    rows = chain_of(market, end=NOON)
    assert [{name: row[name] for name in row if name not in greeks} for row in rows] == surface_of(
        market, end=NOON
    )


def test_a_chain_of_greeks_is_of_one_instant(market: Api):
    path, instant = f"{ROOT}/{UNDERLYING}/greeks", {"end": NOON}
    for more in ({"start": OPENING}, {"last": "1"}):
        assert problem(market.get(path, {**instant, **more})) == (400, "conflicting_parameters")
    of_option = market.get(f"{ROOT}/{CALL.symbol}/greeks", {"start": OPENING, "expiry": "2025-01-17"})
    assert problem(of_option) == (400, "conflicting_parameters")
