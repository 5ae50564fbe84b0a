"""Rates by currency, and that QuantLib waits until an option is priced."""

import subprocess
import sys

import pytest
from django.conf import settings

from stats.options.rates import DEFAULT_RATES, Rates, parse_rates, rates_of

pytestmark = pytest.mark.system

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
