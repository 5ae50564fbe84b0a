"""Errors of trading. The docstring of one that clients meet is the meaning of its code."""

from typing import Any, ClassVar


class TradingError(Exception):
    """Base of these errors. code: stable; extra: more members of the answer."""

    code: ClassVar[str] = "trading_error"

    def __init_subclass__(cls, code: str) -> None:
        cls.code = code

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra


class NoSuchAccount(TradingError, code="unknown_account"):
    """There is no such account, or the caller may not see it. `GET /accounts` lists the caller's accounts."""


class AccountRequired(TradingError, code="account_required"):
    """The caller has several accounts. Name an account with `account`."""


class AccountExists(TradingError, code="account_exists"):
    """There is an account with this id."""


class UnknownOrder(TradingError, code="unknown_order"):
    """The account has no order with this id."""


class UnknownPosition(TradingError, code="unknown_position"):
    """The account holds nothing of this symbol."""


class OrderNotOpen(TradingError, code="order_not_open"):
    """The order has ended, or is being cancelled."""


class EngineUnavailable(TradingError, code="engine_unavailable"):
    """The trading engine is away, so no position is opened. Cancel, close and stop are still recorded."""


class TradingStopped(TradingError, code="trading_stopped"):
    """The account is stopped, and opens no positions."""


class TradingHalted(TradingError, code="trading_halted"):
    """The account is halted. A person must leave the halt, with a reason."""

    def __init__(
        self, message: str = "the account is halted; a person must leave the halt", **extra: Any
    ) -> None:
        super().__init__(message, **extra)


class RiskRefused(TradingError, code="risk_refused"):
    """The order failed a check of risk; `checks` has all of them, with their numbers."""

    def __init__(self, message: str, failed: tuple[str, ...] = (), **extra: Any) -> None:
        super().__init__(message, **extra)
        self.failed = failed


class ClientOrderIdReused(TradingError, code="client_order_id_reused"):
    """The `client_order_id` belongs to another order."""


class OnceRequired(TradingError, code="idempotency_required"):
    """An order that may open a position needs an Idempotency-Key or a `client_order_id`."""


class UnknownPreview(TradingError, code="unknown_preview"):
    """The caller made no preview with this id."""


class PreviewExpired(TradingError, code="preview_expired"):
    """The preview is older than 30 seconds."""


class PreviewUsed(TradingError, code="preview_used"):
    """The preview was executed before; `order_id` names its order."""


class PreviewStale(TradingError, code="preview_stale"):
    """The market, the account or its limits changed since the preview; `preview` has the new preview."""


class NotTradable(TradingError, code="not_tradable"):
    """Instruments of this class, or without the terms that trading needs, are not traded here."""


class NoReferencePrice(TradingError, code="no_reference_price"):
    """The symbol has no trade and no quote, so an order cannot be checked. Retry when there is a price."""

    def __init__(self, symbol: str) -> None:
        super().__init__(
            f"{symbol} has no price of the regular session yet: extended hours do not count, nor do odd lots, auctions, "
            "late trades and quotes that are not firm. Ask again when there is a price"
        )


class NoRate(TradingError, code="no_rate"):
    """There is no exchange rate between the instrument's currency and the account's."""

    def __init__(self, currency: str, account_currency: str) -> None:
        pairs = f"{currency}-{account_currency} or {account_currency}-{currency}"
        super().__init__(
            f"there is no rate from {currency} to {account_currency}: store quotes, trades or bars of {pairs}"
        )


class RiskVersionChanged(TradingError, code="risk_version_changed"):
    """The limits have another version than `If-Match`."""


class PreconditionRequired(TradingError, code="precondition_required"):
    """A change of limits needs `If-Match`: the ETag of `GET /config`."""


class UnknownModel(TradingError, code="unknown_model"):
    """The account has no model of this name. `GET /models` lists its models."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the account has no model {name[:64]}")


class UnknownWatchlist(TradingError, code="unknown_watchlist"):
    """The account has no watchlist with this id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the account has no watchlist {name[:64]}")


class ModelInUse(TradingError, code="model_in_use"):
    """The model is assigned to the account. Assign another model, or null, first."""


class StrategyNameTaken(TradingError, code="strategy_name_taken"):
    """The account's model has the name of the strategy. Give the model another name."""


class NoModel(TradingError, code="no_model"):
    """The account has no model. Assign a model with `PATCH /accounts/{id}`."""


class OverrideTooHigh(TradingError, code="override_too_high"):
    """The risk level is above the account's `max_risk_level`."""


class InvalidTransfer(TradingError, code="invalid_transfer"):
    """The account lacks the money, needs it for positions and orders, or has losses and would be left empty."""


class AccountNotValued(TradingError, code="account_not_valued"):
    """A symbol that the account holds has no price, so the account's equity is unknown."""


class BacktestTooLong(TradingError, code="range_too_large"):
    """The backtest took too long. Ask for a shorter period."""


class StrategyFailed(TradingError, code="strategy_failed"):
    """A strategy of the operator's own raised an error; the message has its file and line. Correct the file."""


class LogError(Exception):
    """A log that the engine follows cannot be read on. dataset, symbol: its name."""

    def __init__(self, dataset: str, symbol: str, cause: Exception) -> None:
        super().__init__(f"{dataset} of {symbol}: {cause}")
        self.dataset = dataset
        self.symbol = symbol


class LogRestored(LogError):
    """The log was restored or cut, or rows expired: it does not have the rows that were followed. A person must look."""


class LogUnreadable(LogError):
    """The log cannot be read now. Try again."""
