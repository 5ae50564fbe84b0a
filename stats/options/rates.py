"""Interest rate and dividend yield per currency, from settings."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

# The currency of options whose instrument names none.
DEFAULT_CURRENCY = "USD"

_PerYear = Annotated[float, msgspec.Meta(ge=-1, le=1)]


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Per year, continuously compounded: 0.04 is 4 %."""

    rate: _PerYear = 0.0
    dividend_yield: _PerYear = 0.0


DEFAULT_RATES: Mapping[str, Rates] = {DEFAULT_CURRENCY: Rates(rate=0.04)}


def parse_rates(text: str) -> dict[str, Rates]:
    """Rates by currency from `{"USD": {"rate": 0.04, "dividend_yield": 0.013}}`; missing values are 0.

    Raises `ValueError` with the reason.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Rates])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def rates_of(currency: str | None, by_currency: Mapping[str, Rates]) -> Rates:
    """The rates of a currency; zeros if none are set."""
    return by_currency.get(currency or DEFAULT_CURRENCY, Rates())
