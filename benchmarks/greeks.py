"""Implied volatility and greeks of 10,000 quotes, in processor seconds."""

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.report import Goal, Ratio, Row, Sizes
from stats.options.american import AndersenLake
from stats.options.dividends import CashDividends
from stats.options.european import BlackScholes
from stats.options.inputs import SOLVED, Inputs, make_inputs
from stats.options.pricing import valuation

_QUOTES = 10_000
_TRIES = 3
_SPOT, _RATE, _YIELD = 100.0, 0.04, 0.015
_DAYS = np.array([7, 36, 91, 182, 365, 730])


def measure_greeks(_sizes: Sizes) -> Iterator[Row]:
    """Yield the processor seconds for European and for American quotes of random strikes, expiries and volatilities."""
    for style, american, dividend in (
        ("European quotes", False, 0.0),
        ("American quotes", True, 0.0),
        ("American quotes with two cash dividends", True, 0.5),
    ):
        quotes = _quotes(american=american, dividend=dividend)
        yield Ratio(
            f"greeks of {_QUOTES:,} {style}: processor time",
            here=min(_seconds(quotes, american=american) for _ in range(_TRIES)),
            beside=None,
            unit="s",
            goal=None if dividend else Goal(most=1, unit="s"),
        )


def _seconds(quotes: Inputs, *, american: bool) -> float:
    """Return the processor seconds of valuing the quotes once."""
    started = time.process_time()
    values = valuation(quotes, np.full(_QUOTES, american), np.full(_QUOTES, SOLVED, np.int8))
    seconds = time.process_time() - started
    if values.reason.any():
        raise RuntimeError(f"{int((values.reason != SOLVED).sum())} quotes have no volatility")
    return seconds


def _quotes(*, american: bool, dividend: float) -> Inputs:
    """Return quotes that have an implied volatility. Prices are rounded to cents.

    dividend: the present value of each of two; prices are those of the spot without them.
    """
    random, count = np.random.default_rng(1), 2 * _QUOTES
    strike, days = random.uniform(70, 130, count).round(), random.choice(_DAYS, count)
    is_call, t = random.random(count) < 0.5, days / 365
    volatility = random.uniform(0.15, 0.6, count)
    models = {right: (AndersenLake if american else BlackScholes)(is_call=right) for right in (False, True)}
    net_spot = _SPOT - 2 * dividend
    rows = zip(is_call.tolist(), strike.tolist(), t.tolist(), volatility.tolist(), strict=True)
    price = np.array(
        [k * models[c].value(net_spot / k, _RATE * y, _YIELD * y, v * y**0.5) for c, k, y, v in rows]
    ).round(2)
    inputs = _inputs(price, strike, t, is_call, dividend)
    # An option without time value has no implied volatility.
    reasons = valuation(inputs, np.full(count, american), np.zeros(count, np.int8)).reason
    useful = np.flatnonzero(reasons == SOLVED)[:_QUOTES]
    return _inputs(price[useful], strike[useful], t[useful], is_call[useful], dividend)


def _inputs(
    price: np.ndarray, strike: np.ndarray, t: np.ndarray, is_call: np.ndarray, dividend: float
) -> Inputs:
    years = np.stack([t / 3, 2 * t / 3], axis=1)
    return make_inputs(
        price=price, spot=np.full(len(price), _SPOT), strike=strike, t=t, rate=_RATE, dividend_yield=_YIELD,
        is_call=is_call, dividends=CashDividends(years, np.full(years.shape, dividend)),
    )  # fmt: skip
