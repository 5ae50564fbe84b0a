"""The parameters of option analytics, and the options of their queries."""

from dataclasses import dataclass
from typing import Any

from stats.market_data.query_parameters import QueryParameter
from stats.parameters import QueryNumberField, QueryTimeField

EXPIRY = QueryParameter("expiry", QueryTimeField, {"help_text": "Only the options that expire on this date."})
RATE = QueryParameter(
    "rate",
    QueryNumberField,
    {"bound": 1.0, "help_text": "Continuously compounded interest rate per year, such as 0.05."},
)
DIVIDEND_YIELD = QueryParameter(
    "dividend_yield",
    QueryNumberField,
    {"bound": 1.0, "help_text": "Continuous dividend yield of the underlying per year, such as 0.02."},
)
PRICING_PARAMETERS = (EXPIRY, RATE, DIVIDEND_YIELD)


@dataclass(frozen=True, slots=True)
class PricingOptions:
    """What prices options besides what is stored. expiry_ns: the options' expiry; None for all.

    rate, dividend_yield: instead of the setting's, the stored dividends and parity; None for those.
    """

    expiry_ns: int | None = None
    rate: float | None = None
    dividend_yield: float | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> "PricingOptions":
        """Return the options of parameters' values."""
        return cls(values.get("expiry"), values.get("rate"), values.get("dividend_yield"))
