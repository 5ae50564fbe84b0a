"""Values of the literature.

Hull: J. C. Hull, Options, Futures, and Other Derivatives, 9th edition, Pearson 2015. Haug: E. G. Haug, The
Complete Guide to Option Pricing Formulas, McGraw-Hill 1998; pages as QuantLib's own tests name them. Huang:
J. Huang, M. Subrahmanyam, G. Yu, Pricing and hedging American options: a recursive integration method, Review
of Financial Studies 9 (1996) 277-300, table 1, binomial values with 10,000 steps. Andersen: L. Andersen, M.
Lake, D. Offengenden, High-performance American option pricing, Journal of Computational Finance 20 (2016).
"""

import pytest

from stats.options.american import AndersenLake
from tests.stats.options.builders import inputs_of, one, valued
from tests.stats.options.oracle import Option

# Right, spot, strike, t, rate, yield, volatility, price; half a unit of the price's last digit.
PRICES = {
    "Hull, chapter 15, call": (True, 42, 40, 0.5, 0.10, 0.0, 0.20, 4.76, 5e-3),
    "Hull, chapter 15, put": (False, 42, 40, 0.5, 0.10, 0.0, 0.20, 0.81, 5e-3),
    "Hull, chapter 15, implied volatility of 23.5 %": (True, 21, 20, 0.25, 0.10, 0.0, 0.235, 1.875, 2e-3),
    "Hull, chapter 17, index call": (True, 930, 900, 2 / 12, 0.08, 0.03, 0.20, 51.83, 5e-3),
    "Hull, chapter 19, the hedged call": (True, 49, 50, 20 / 52, 0.05, 0.0, 0.20, 2.40, 5e-3),
    "Hull, chapter 18, futures put": (False, 20, 20, 4 / 12, 0.09, 0.09, 0.25, 1.12, 5e-3),
    "Haug, pp. 2-8, call": (True, 60, 65, 0.25, 0.08, 0.0, 0.30, 2.1334, 5e-5),
    "Haug, pp. 2-8, index put": (False, 100, 95, 0.5, 0.10, 0.05, 0.20, 2.4648, 5e-5),
    "Haug, pp. 2-8, futures call": (True, 19, 19, 0.75, 0.10, 0.10, 0.28, 1.7011, 5e-5),
    "Haug, pp. 2-8, futures put": (False, 19, 19, 0.75, 0.10, 0.10, 0.28, 1.7011, 5e-5),
    "Haug, pp. 2-8, currency call": (True, 1.56, 1.60, 0.5, 0.06, 0.08, 0.12, 0.0291, 5e-5),
    "Haug, pp. 2-8, generalized put": (False, 75, 70, 0.5, 0.10, 0.05, 0.35, 4.0870, 5e-5),
    "Haug, p. 24, call": (True, 90, 100, 0.1, 0.10, 0.10, 0.15, 0.0205, 5e-5),
    "Haug, p. 24, call in the money": (True, 110, 100, 0.5, 0.10, 0.10, 0.35, 15.3086, 5e-5),
    "Haug, p. 24, put": (False, 90, 100, 0.5, 0.10, 0.10, 0.25, 12.2149, 5e-5),
    "Haug, p. 27, call": (True, 42, 40, 0.75, 0.04, 0.08, 0.35, 5.0975, 5e-5),
}  # fmt: skip

# As above without the price; then the greek, the published value in the book's units, what makes ours of it,
# half a last digit.
GREEKS = {
    "Hull, chapter 19, delta": ((True, 49, 50, 20 / 52, 0.05, 0.0, 0.20), "delta", 0.522, 1, 5e-4),
    "Hull, chapter 19, theta per year": ((True, 49, 50, 20 / 52, 0.05, 0.0, 0.20), "theta", -4.31, 1 / 365, 5e-3),
    "Hull, chapter 19, theta per day": ((True, 49, 50, 20 / 52, 0.05, 0.0, 0.20), "theta", -0.0118, 1, 5e-5),
    "Hull, chapter 19, gamma": ((True, 49, 50, 20 / 52, 0.05, 0.0, 0.20), "gamma", 0.066, 1, 5e-4),
    "Hull, chapter 19, vega": ((True, 49, 50, 20 / 52, 0.05, 0.0, 0.20), "vega", 12.1, 0.01, 5e-2),
    "Hull, chapter 19, rho": ((True, 49, 50, 20 / 52, 0.05, 0.0, 0.20), "rho", 8.91, 0.01, 5e-3),
    "Haug, pp. 11-16, delta of a futures call": ((True, 105, 100, 0.5, 0.10, 0.10, 0.36), "delta", 0.5946, 1, 5e-5),
    "Haug, pp. 11-16, delta of a futures put": ((False, 105, 100, 0.5, 0.10, 0.10, 0.36), "delta", -0.3566, 1, 5e-5),
    "Haug, pp. 11-16, gamma of a call": ((True, 55, 60, 0.75, 0.10, 0.0, 0.30), "gamma", 0.0278, 1, 5e-5),
    "Haug, pp. 11-16, gamma of a put": ((False, 55, 60, 0.75, 0.10, 0.0, 0.30), "gamma", 0.0278, 1, 5e-5),
    "Haug, pp. 11-16, vega": ((True, 55, 60, 0.75, 0.10, 0.0, 0.30), "vega", 18.9358, 0.01, 5e-5),
    "Haug, pp. 11-16, theta per year": ((False, 430, 405, 1 / 12, 0.07, 0.05, 0.20), "theta", -31.1924, 1 / 365, 5e-5),
    "Haug, pp. 11-16, theta per day": ((False, 430, 405, 1 / 12, 0.07, 0.05, 0.20), "theta", -0.0855, 1, 5e-5),
    "Haug, pp. 11-16, rho": ((True, 72, 75, 1.0, 0.09, 0.0, 0.19), "rho", 38.7325, 0.01, 5e-5),
}  # fmt: skip

# Volatility, strike, American puts of one, four and seven months on a stock at 40, rate 4.88 %.
HUANG = [
    (0.2, 35, (0.0062, 0.2004, 0.4328)),
    (0.2, 40, (0.8522, 1.5798, 1.9904)),
    (0.2, 45, (5.0000, 5.0883, 5.2670)),
    (0.3, 35, (0.0774, 0.6975, 1.2198)),
    (0.3, 40, (1.3099, 2.4825, 3.1696)),
    (0.3, 45, (5.0597, 5.7056, 6.2436)),
    (0.4, 35, (0.2466, 1.3460, 2.1549)),
    (0.4, 40, (1.7681, 3.3874, 4.3526)),
    (0.4, 45, (5.2868, 6.5099, 7.3830)),
]  # fmt: skip


def american_price(*option: float) -> float:
    """Of an option by right, spot, strike, t, rate, yield and volatility."""
    is_call, spot, strike, t, rate, dividend_yield, volatility = option
    model = AndersenLake(is_call=bool(is_call))
    return strike * model.value(spot / strike, rate * t, dividend_yield * t, volatility * t**0.5)


@pytest.mark.parametrize("published", PRICES.values(), ids=PRICES)
def test_a_published_price_implies_the_volatility_that_it_was_made_with(published):
    is_call, spot, strike, t, rate, dividend_yield, volatility, price, digit = published
    found = valued(
        inputs_of(
            # The price as printed, and the ends of what is printed so.
            price=[price - digit, price, price + digit],
            spot=spot, strike=strike, t=t, rate=rate, dividend_yield=dividend_yield, is_call=is_call,
        )
    )  # fmt: skip
    assert found.iv[0] < volatility < found.iv[2]
    assert found.iv[1] == pytest.approx(volatility, abs=2 * digit / (100 * found.vega[1]))


@pytest.mark.parametrize(("option", "greek", "published", "unit", "digit"), GREEKS.values(), ids=GREEKS)
def test_greeks_are_those_that_were_published(option, greek, published, unit, digit):
    *contract, volatility = option
    is_call, spot, strike, t, rate, dividend_yield = contract
    found = one(
        price=Option(*contract).price(volatility),
        spot=spot, strike=strike, t=t, rate=rate, dividend_yield=dividend_yield, is_call=is_call,
    )  # fmt: skip
    assert found[greek] == pytest.approx(published * unit, abs=1.01 * digit * unit)


@pytest.mark.parametrize(("volatility", "strike", "published"), HUANG)
def test_american_puts_cost_what_a_tree_of_ten_thousand_steps_gives(volatility, strike, published):
    found = [american_price(False, 40, strike, t, 0.0488, 0.0, volatility) for t in (1 / 12, 4 / 12, 7 / 12)]
    assert found == pytest.approx(published, abs=4e-4)


def test_an_american_put_costs_what_a_textbooks_tree_converges_to():
    # Hull, chapter 21: 4.263, 4.272, 4.278, 4.283 with 30, 50, 100, 500 steps.
    assert american_price(False, 50, 50, 5 / 12, 0.10, 0.0, 0.40) == pytest.approx(4.283, abs=2e-3)


@pytest.mark.parametrize(("rate", "premium"), [(0.05, 0.106952703), (0.075, 0.367111231)])
def test_the_premium_of_early_exercise_is_that_of_the_models_authors(rate, premium):
    found = AndersenLake(is_call=False).premium(1.0, rate, 0.05, 0.25) * 100
    # Their scheme of (5, 1, 4, 15) points; QuantLib's own test allows a thousandth, too.
    assert found == pytest.approx(premium, abs=1e-3)


# Right, strike, whether American, and the rho of an option on a future at 5,000.
ON_FUTURES = [
    # Black 1976: -t V / 100, V = 134.84.
    (True, 5_100, False, -0.3406),
    (False, 5_100, False, -0.5901),
    # QuantLib, rate and yield moved together.
    (True, 4_500, True, -0.6909),
]


@pytest.mark.parametrize(("is_call", "strike", "american", "rho"), ON_FUTURES)
def test_a_higher_rate_makes_an_option_on_a_future_cheaper(
    is_call: bool, strike: float, american: bool, rho: float
):
    t, rate, volatility = 0.25263, 0.05, 0.18
    contract = (is_call, 5_000, strike, t, rate, rate)
    price = american_price(*contract, volatility) if american else Option(*contract).price(volatility)
    found = one(
        price=price, spot=5_000, strike=strike, t=t, rate=rate, dividend_yield=rate, is_call=is_call,
        american=american, on_future=True,
    )  # fmt: skip
    assert found["iv"] == pytest.approx(volatility, rel=1e-6)
    assert found["rho"] == pytest.approx(rho, abs=2e-4)
    if american:
        step = 1e-4
        above, below = (
            american_price(is_call, 5_000, strike, t, each, each, volatility)
            for each in (rate + step, rate - step)
        )
        assert found["rho"] == pytest.approx((above - below) / (2 * step) / 100, rel=1e-3)
    else:
        assert found["rho"] == pytest.approx(-t * price / 100, rel=1e-9)
