"""Chains, and the forwards that they share."""

import numpy as np
import pytest

from stats.options.expiry import YEAR_NS
from stats.options.inputs import words
from stats.options.surface import MarketInputs, OptionChain, volatility_surface
from tests.stats.options.oracle import Option

NOW = 1_402_000_000 * 10**9
NAN = np.nan
SPOT, RATE, YIELD = 100.0, 0.03, 0.015
STRIKES = (90.0, 100.0, 110.0)


def chain_of(expiries: dict[int, float], *, american: bool = False, smile: float = 0.0) -> OptionChain:
    """Calls and puts of expiry dates, by the years until them, at 20 % and `smile` more per unit off the money, shuffled."""
    rows = []
    for expiry, t in expiries.items():
        for strike in STRIKES:
            for is_call in (False, True):
                option = Option(is_call, SPOT, strike, t, RATE, YIELD, american=american)
                mid = option.price(0.2 + smile * abs(strike - SPOT))
                rows.append(
                    (expiry, NOW + round(t * YEAR_NS), strike, is_call, american, mid - 0.01, mid + 0.01)
                )
    order = np.random.default_rng(7).permutation(len(rows))
    kinds = (np.int64, np.int64, float, bool, bool, float, float)
    columns = zip(*rows, strict=True)
    return OptionChain(*(np.array(column, kind)[order] for column, kind in zip(columns, kinds, strict=True)))


def market_of(**other) -> MarketInputs:
    return MarketInputs(**{"instant_ns": NOW, "spot": SPOT, "rate": RATE, "dividend_yield": 0.0, **other})


@pytest.mark.parametrize("american", [False, True], ids=["european", "american"])
def test_a_surface_gives_back_the_smile_that_the_chain_was_made_with(american):
    surface = volatility_surface(
        chain_of({16_200: 0.25, 16_300: 0.5}, american=american, smile=0.002),
        market_of(dividend_yield=YIELD, parity=not american),
    )
    wanted = [0.2 + 0.002 * abs(strike - SPOT) for strike in surface.chain.strike]
    assert surface.valuation.iv == pytest.approx(wanted, abs=1e-9 if not american else 3e-4)


def test_parity_implies_the_yield_that_the_chain_was_made_with():
    inputs = volatility_surface(chain_of({16_200: 0.25, 16_300: 0.5}, smile=0.002), market_of()).inputs
    assert inputs.by_parity.all()
    # The chain pays 1.5 %, which nobody set.
    assert inputs.dividend_yield == pytest.approx(YIELD, abs=1e-9)


def test_each_expiry_has_its_own_forward():
    inputs = volatility_surface(chain_of({16_200: 0.25, 16_300: 0.5}), market_of()).inputs
    assert inputs.forward[:6] == pytest.approx(SPOT * np.exp((RATE - YIELD) * 0.25))
    assert inputs.forward[6:] == pytest.approx(SPOT * np.exp((RATE - YIELD) * 0.5))


def test_without_a_spot_pairs_are_enough():
    surface = volatility_surface(chain_of({16_200: 0.25}), market_of(spot=NAN, dividend_yield=YIELD))
    assert surface.inputs.spot == pytest.approx(SPOT)
    assert surface.valuation.iv == pytest.approx(0.2)


def test_expired_options_and_missing_quotes_are_rows_with_a_reason():
    chain = chain_of({16_100: -0.01 + 0.02, 16_200: 0.25})
    late = market_of(instant_ns=NOW + round(0.02 * YEAR_NS))
    chain.bid[chain.strike == 110.0] = NAN
    surface = volatility_surface(chain, late)
    reason = words(surface.valuation.reason).to_pylist()
    assert reason[:6] == ["expired"] * 6
    assert reason[6:] == [None] * 4 + ["one_sided"] * 2
