"""Errors of trading.

TradingError
├── NotTradable         the instrument is not one that is traded here; trade another one
├── NoReferencePrice    the market has no price of the symbol; ask again when it has
├── NoRate              the market has no rate between two currencies; store quotes of the pair
└── LogError            (never leaves the engine)
    ├── LogRestored     a log was restored or cut: what followed from its rows may be wrong, so a person must look
    └── LogUnreadable   a log cannot be read now; try again
"""

from typing import ClassVar


class TradingError(Exception):
    """Base of the errors of this app. `code` is stable; the message is for people."""

    code: ClassVar[str]


class NotTradable(TradingError):
    """The instrument is not traded here. Trade another one, or declare its terms."""

    code = "not_tradable"


class NoReferencePrice(TradingError):
    """The market has no price of the symbol. Ask again when it has."""

    code = "no_reference_price"

    def __init__(self, symbol: str) -> None:
        super().__init__(f"{symbol} has no quote and no trade: ask again when there is a price")


class NoRate(TradingError):
    """The market has no rate between two currencies. Store quotes or trades of the pair."""

    code = "no_rate"

    def __init__(self, currency: str, account_currency: str) -> None:
        pairs = f"{currency}-{account_currency} or {account_currency}-{currency}"
        super().__init__(f"there is no rate from {currency} to {account_currency}: store quotes of {pairs}")


class LogError(Exception):
    """A log that the engine follows cannot be read on. dataset, symbol: its name."""

    def __init__(self, dataset: str, symbol: str, cause: Exception) -> None:
        super().__init__(f"{dataset} of {symbol}: {cause}")
        self.dataset = dataset
        self.symbol = symbol


class LogRestored(LogError):
    """The log was restored or cut: it does not have the rows that were followed. A person must look."""


class LogUnreadable(LogError):
    """The log cannot be read now. Try again."""
