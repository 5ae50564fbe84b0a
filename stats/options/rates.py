"""Interest rates by currency: the setting `OPTION_RATES`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

# The currency of options without a declared currency.
DEFAULT_CURRENCY = "USD"

_PerYear = Annotated[float, msgspec.Meta(ge=-1, le=1)]


class RateSource(StrEnum):
    """Where a rate comes from: the parameter `rate`, or the setting `OPTION_RATES`."""

    REQUEST = "request"
    SETTINGS = "settings"


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A currency's interest rate and dividend yield, per year, continuously compounded: 0.04 is 4 %."""

    rate: _PerYear = 0.0
    dividend_yield: _PerYear = 0.0


DEFAULT_RATES: Mapping[str, Rates] = {DEFAULT_CURRENCY: Rates(rate=0.04)}


def parse_rates(text: str) -> dict[str, Rates]:
    """Parse rates by currency: `{"USD": {"rate": 0.04, "dividend_yield": 0.013}}`; missing values are 0.

    Raises `ValueError` with the reason.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Rates])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def rates_of(currency: str | None, by_currency: Mapping[str, Rates]) -> Rates:
    """Return the rates of a currency; None means USD. They are zero if the currency has no rates."""
    return by_currency.get(currency or DEFAULT_CURRENCY, Rates())
