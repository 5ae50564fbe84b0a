"""Curves against QuantLib's, rates by currency, and that QuantLib waits until an option is priced."""

import subprocess
import sys

import numpy as np
import pytest
import QuantLib as quantlib  # noqa: N813 a name for a module
from django.conf import settings

from stats.options.rates import DEFAULT_RATES, RateCurve, Rates, parse_rates, rates_of

pytestmark = pytest.mark.system

START = quantlib.Date(2, 1, 2025)
WRONG = {
    "not JSON": ("{", "truncated"),
    "a list": ("[]", "object"),
    "a number for a currency": ('{"USD": 0.04}', "object"),
    "another field": ('{"USD": {"rat": 0.04}}', "rat"),
    "per cent": ('{"USD": {"rate": 4}}', "<= 1"),
    "a text": ('{"USD": {"rate": "0.04"}}', "float"),
    "a boolean": ('{"USD": {"rate": true}}', "bool"),
    "no number": ('{"USD": {"dividend_yield": NaN}}', "malformed"),
}


def test_rates_are_read_by_currency():
    read = parse_rates(
        '{"USD": {"rate": 0.043, "dividend_yield": 0.013}, "CHF": {"rate": -0.005}, "JPY": {}}'
    )
    assert rates_of("USD", read) == Rates(0.043, 0.013)
    assert rates_of("CHF", read) == Rates(-0.005, 0.0)
    assert rates_of("JPY", read) == rates_of("SEK", read) == Rates(0.0, 0.0)


def quantlib_curve(points: dict[int, float]) -> quantlib.ZeroCurve:
    """QuantLib's curve of zero rates by days, linear between them."""
    days = [0, *points]
    return quantlib.ZeroCurve(
        [START + day for day in days],
        [points[min(points)], *points.values()],
        quantlib.Actual365Fixed(),
        quantlib.NullCalendar(),
        quantlib.Linear(),
        quantlib.Continuous,
    )


def test_a_curve_is_quantlib_s_curve_of_linear_zero_rates():
    points = {7: 0.0433, 91: 0.0431, 365: 0.0408, 730: 0.0425, 3650: 0.0457}
    curve = RateCurve.of([(days / 365, rate) for days, rate in reversed(points.items())])
    wanted = quantlib_curve(points)
    days = np.array([1, 6, 7, 8, 40, 91, 200, 364, 366, 729, 2000, 3650])
    rates = [
        wanted.zeroRate(START + day, quantlib.Actual365Fixed(), quantlib.Continuous).rate()
        for day in days.tolist()
    ]
    assert curve.rates_for(days / 365) == pytest.approx(rates, abs=1e-13)


def test_beyond_its_ends_a_curve_is_constant():
    curve = RateCurve.of([(1.0, 0.04), (0.5, -0.01)])
    rates = curve.rates_for(np.array([0.0, 0.5, 0.75, 1.0, 30.0]))
    assert rates.tolist() == pytest.approx([-0.01, -0.01, 0.015, 0.04, 0.04])


def test_an_option_without_a_currency_is_in_dollars():
    assert rates_of(None, DEFAULT_RATES) == rates_of("USD", DEFAULT_RATES) == Rates(0.04, 0.0)


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_invalid_rates_raise_with_the_reason(text, said):
    with pytest.raises(ValueError, match=said):
        parse_rates(text)


def start(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={"DJANGO_SETTINGS_MODULE": "marketdata_project.settings.test", "PATH": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_start_with_invalid_rates_fails_with_the_reason():
    tried = start("import django; django.setup()", OPTION_RATES='{"USD": {"rate": 4}}')
    assert tried.returncode == 1
    assert "ImproperlyConfigured: OPTION_RATES: Expected `float` <= 1.0" in tried.stderr


def test_a_start_does_not_load_quantlib():
    tried = start(
        "import django, sys; django.setup(); import marketdata_project.urls, stats.options.surface\n"
        "print('QuantLib' in sys.modules)"
    )
    assert tried.stdout.strip() == "False", tried.stderr
