"""Implied volatility and greeks of 10,000 quotes, against a plain loop over QuantLib's instruments, one processor each."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import QuantLib

from benchmarks.report import Ratio, Row, Sizes
from stats.options.american import AndersenLake
from stats.options.european import BlackScholes
from stats.options.inputs import SOLVED, Inputs, make_inputs
from stats.options.pricing import valuation

_QUOTES = 10_000
_TRIES = 3
# The loop runs over some quotes only: ten thousand American ones take minutes.
_OF_THE_LOOP = {False: 1_000, True: 50}
_SPOT, _RATE, _YIELD = 100.0, 0.04, 0.015
_DAYS = np.array([7, 36, 91, 182, 365, 730])
_TODAY = QuantLib.Date(5, 6, 2014)
_COUNTER = QuantLib.Actual365Fixed()


@dataclass(frozen=True, slots=True)
class _Quotes:
    """Quotes that have a volatility, with the days until expiry."""

    inputs: Inputs
    days: np.ndarray
    american: bool


def measure_greeks(_sizes: Sizes) -> Iterator[Row]:
    """European and American quotes of random strikes, expiries and volatilities."""
    for american in (False, True):
        style, quotes = "American" if american else "European", _quotes(american=american)
        here = min(_seconds(lambda q=quotes: _valued(q)) for _ in range(_TRIES))
        count = _OF_THE_LOOP[american]
        loop = _seconds(lambda q=quotes, n=count: _looped(q, n)) * _QUOTES / count
        yield Ratio(
            f"greeks of {_QUOTES:,} {style} quotes, against a second of one core",
            here=here, peer=1.0, unit="s", wanted="below 1",
        )  # fmt: skip
        yield Ratio(
            f"greeks of {style} quotes, against a loop over QuantLib's instruments",
            here=_QUOTES / here, peer=_QUOTES / loop, unit="quotes/s", wanted="above 1",
        )  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _quotes(*, american: bool) -> _Quotes:
    """Prices rounded to cents; options without time value are left out."""
    random, count = np.random.default_rng(1), 2 * _QUOTES
    strike, days = random.uniform(70, 130, count).round(), random.choice(_DAYS, count)
    is_call, t = random.random(count) < 0.5, days / 365
    volatility = random.uniform(0.15, 0.6, count)
    models = {right: (AndersenLake if american else BlackScholes)(is_call=right) for right in (False, True)}
    rows = zip(is_call.tolist(), strike.tolist(), t.tolist(), volatility.tolist(), strict=True)
    price = np.array(
        [k * models[c].value(_SPOT / k, _RATE * y, _YIELD * y, v * y**0.5) for c, k, y, v in rows]
    ).round(2)
    every = np.full(count, american)
    inputs = _inputs(price, strike, t, is_call)
    useful = np.flatnonzero(valuation(inputs, every, np.zeros(count, np.int8)).reason == SOLVED)[:_QUOTES]
    return _Quotes(_inputs(price[useful], strike[useful], t[useful], is_call[useful]), days[useful], american)


def _inputs(price: np.ndarray, strike: np.ndarray, t: np.ndarray, is_call: np.ndarray) -> Inputs:
    spot = np.full(len(price), _SPOT)
    return make_inputs(
        price=price, spot=spot, strike=strike, t=t, rate=_RATE, dividend_yield=_YIELD, is_call=is_call
    )


def _valued(quotes: _Quotes) -> None:
    count = len(quotes.inputs)
    found = valuation(quotes.inputs, np.full(count, quotes.american), np.full(count, SOLVED, np.int8))
    if count != _QUOTES or found.reason.any():
        raise RuntimeError(f"{int((found.reason != SOLVED).sum())} of {count} quotes have no volatility")


def _looped(quotes: _Quotes, count: int) -> list[tuple[float, ...]]:
    """As QuantLib's own examples do it: objects for every option, its own solver, bumps where an engine has no greeks."""
    QuantLib.Settings.instance().evaluationDate = _TODAY
    inputs = quotes.inputs
    columns = (inputs.is_call, inputs.strike, quotes.days, inputs.price)
    rows = zip(*(column[:count].tolist() for column in columns), strict=True)
    return [_by_instrument(*row, american=quotes.american) for row in rows]


def _by_instrument(
    is_call: bool, strike: float, days: int, price: float, *, american: bool
) -> tuple[float, ...]:
    spot, rate, volatility = (QuantLib.SimpleQuote(number) for number in (_SPOT, _RATE, 0.3))
    process = QuantLib.BlackScholesMertonProcess(
        QuantLib.QuoteHandle(spot),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(_TODAY, _YIELD, _COUNTER)),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(_TODAY, QuantLib.QuoteHandle(rate), _COUNTER)),
        QuantLib.BlackVolTermStructureHandle(
            QuantLib.BlackConstantVol(
                _TODAY, QuantLib.NullCalendar(), QuantLib.QuoteHandle(volatility), _COUNTER
            )
        ),
    )
    last = _TODAY + days
    exercise = QuantLib.AmericanExercise(_TODAY, last) if american else QuantLib.EuropeanExercise(last)
    right = QuantLib.Option.Call if is_call else QuantLib.Option.Put
    option = QuantLib.VanillaOption(QuantLib.PlainVanillaPayoff(right, strike), exercise)
    volatility.setValue(option.impliedVolatility(price, process, 1e-7, 1000, 1e-4, 8.0))
    if not american:
        option.setPricingEngine(QuantLib.AnalyticEuropeanEngine(process))
        return option.delta(), option.gamma(), option.theta(), option.vega(), option.rho()
    option.setPricingEngine(QuantLib.QdFpAmericanEngine(process, QuantLib.QdFpAmericanEngine.fastScheme()))
    bumped = [
        _bumped(option, quote, part) for quote, part in ((spot, 1e-2), (volatility, 1e-3), (rate, 1e-3))
    ]
    return tuple(number for pair in bumped for number in pair)


def _bumped(option: QuantLib.VanillaOption, quote: QuantLib.SimpleQuote, part: float) -> tuple[float, float]:
    """The first and the second difference quotient."""
    at = quote.value()
    step, prices = at * part, []
    for move in (-step, 0.0, step):
        quote.setValue(at + move)
        prices.append(option.NPV())
    quote.setValue(at)
    down, here, up = prices
    return (up - down) / (2 * step), (up - 2 * here + down) / step**2
