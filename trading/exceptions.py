"""Errors of trading.

TradingError
├── NoSuchAccount          there is no such account that the caller may see; look at GET /accounts
├── AccountRequired        the caller may see several accounts; name one
├── AccountExists          the id is taken; choose another one
├── UnknownOrder           there is no such order of the account
├── UnknownExecution       there is no such execution of the account
├── UnknownPosition        the account holds nothing of the symbol
├── OrderNotOpen           the order has ended; look it up
├── EngineUnavailable      the engine is away; retry in a moment
├── TradingStopped         the account is stopped; start it
├── TradingHalted          the account is halted; a person must leave the halt
├── RiskRefused            a check failed; change the order or wait
├── ClientOrderIdReused    the client_order_id belongs to another order; use a new one
├── OnceRequired           an opening order needs an Idempotency-Key or a client_order_id
├── UnknownPreview         there is no such preview of the caller and account
├── PreviewExpired         the preview is too old; ask for a new one
├── PreviewUsed            the preview was executed before; look at its order
├── PreviewStale           the market or the account has changed; decide by the new preview
├── NotTradable            the instrument cannot be traded here
├── NoReferencePrice       nothing is known of the instrument's price; retry when there is a trade or a quote
├── NoRate                 there is no rate between the currencies; retry when there is one
├── RiskVersionChanged     the limits were changed meanwhile; read them again
├── ModelVersionChanged    the model was changed meanwhile; read it again
├── PreconditionRequired   limits and models are changed only by who has read them; send If-Match
├── UnknownModel           the account has no such model; look at GET /models
├── ModelInUse             the model is assigned to the account; take it away first
├── StrategyNameTaken      the account's model has the name of the strategy; give the model another name
├── NoModel                no model is assigned to the account; assign one
├── OverrideTooHigh        the risk level is above the configured maximum
├── InvalidTransfer        the money is not there, or may not leave
├── AccountNotValued       a symbol that is held has no price; retry when it has
└── BacktestTooLong        the backtest took too long; ask for a shorter period

LogError                   (never leaves the engine)
├── LogRestored            a log was restored or cut: a person must look
└── LogUnreadable          a log cannot be read now; try again
"""

from typing import Any, ClassVar


class TradingError(Exception):
    """Base of these errors. code: stable; extra: more members of the answer."""

    code: ClassVar[str] = "trading_error"

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra


class NoSuchAccount(TradingError):
    """There is no such account that the caller may see. Look at GET /accounts."""

    code = "unknown_account"


class AccountRequired(TradingError):
    """The caller may see several accounts. Name one."""

    code = "account_required"


class AccountExists(TradingError):
    """The id is taken. Choose another one."""

    code = "account_exists"


class UnknownOrder(TradingError):
    """There is no such order of the account. Look at GET /orders."""

    code = "unknown_order"


class UnknownExecution(TradingError):
    """There is no such execution of the account. Look at the order's executions."""

    code = "unknown_execution"


class UnknownPosition(TradingError):
    """The account holds nothing of the symbol. Look at its positions."""

    code = "unknown_position"


class OrderNotOpen(TradingError):
    """The order has ended, or is being cancelled. Look it up."""

    code = "order_not_open"


class EngineUnavailable(TradingError):
    """The engine is away, so that nothing can be opened. Retry in a moment."""

    code = "engine_unavailable"


class TradingStopped(TradingError):
    """The account is stopped. Start it."""

    code = "trading_stopped"


class TradingHalted(TradingError):
    """The account is halted. A person must leave the halt."""

    code = "trading_halted"

    def __init__(
        self, message: str = "the account is halted; a person must leave the halt", **extra: Any
    ) -> None:
        super().__init__(message, **extra)


class RiskRefused(TradingError):
    """A check failed. Change the order, or wait. `checks` has them all, with their numbers. failed: by name."""

    code = "risk_refused"

    def __init__(self, message: str, failed: tuple[str, ...] = (), **extra: Any) -> None:
        super().__init__(message, **extra)
        self.failed = failed


class ClientOrderIdReused(TradingError):
    """The client_order_id belongs to another order. Use a new one."""

    code = "client_order_id_reused"


class OnceRequired(TradingError):
    """An opening order needs an Idempotency-Key or a client_order_id, so that a retry is not a second order."""

    code = "idempotency_required"


class UnknownPreview(TradingError):
    """There is no such preview of the caller and account. Ask for a preview."""

    code = "unknown_preview"


class PreviewExpired(TradingError):
    """The preview is too old. Ask for a new one."""

    code = "preview_expired"


class PreviewUsed(TradingError):
    """The preview was executed before. Look at its order."""

    code = "preview_used"


class PreviewStale(TradingError):
    """The market or the account has changed since the preview. Decide by the new one, in `preview`."""

    code = "preview_stale"


class NotTradable(TradingError):
    """The instrument cannot be traded here. Choose another one."""

    code = "not_tradable"


class NoReferencePrice(TradingError):
    """Nothing is known of the instrument's price. Retry when there is a trade or a quote."""

    code = "no_reference_price"

    def __init__(self, symbol: str) -> None:
        super().__init__(
            f"{symbol} has no quote and no trade yet that gives a price: a quote must be firm, a trade of regular "
            "hours, in time, and neither of an odd lot nor of an auction. Ask again when there is one"
        )


class NoRate(TradingError):
    """There is no rate between the instrument's currency and the account's. Retry when there is one."""

    code = "no_rate"

    def __init__(self, currency: str, account_currency: str) -> None:
        pairs = f"{currency}-{account_currency} or {account_currency}-{currency}"
        super().__init__(f"there is no rate from {currency} to {account_currency}: store quotes of {pairs}")


class RiskVersionChanged(TradingError):
    """The limits were changed meanwhile. Read them again."""

    code = "risk_version_changed"


class ModelVersionChanged(TradingError):
    """The model was changed meanwhile. Read it again."""

    code = "model_version_changed"


class PreconditionRequired(TradingError):
    """Limits and models are changed only by who has read them. Send their version in If-Match."""

    code = "precondition_required"


class UnknownModel(TradingError):
    """The account has no model of this name. Look at GET /models."""

    code = "unknown_model"

    def __init__(self, name: str) -> None:
        super().__init__(f"the account has no model {name[:64]}")


class ModelInUse(TradingError):
    """The model is assigned to the account. Take it away first."""

    code = "model_in_use"


class StrategyNameTaken(TradingError):
    """A strategy and a model of one account would have one name, and so the same positions. Rename the model."""

    code = "strategy_name_taken"


class NoModel(TradingError):
    """No model is assigned to the account. Assign one by PATCH /accounts/{id}."""

    code = "no_model"


class OverrideTooHigh(TradingError):
    """The risk level is above the configured maximum. Ask for less, or have the limits changed."""

    code = "override_too_high"


class InvalidTransfer(TradingError):
    """The money is not there, or is needed. Transfer less."""

    code = "invalid_transfer"


class AccountNotValued(TradingError):
    """A symbol that is held has no price, so that the account has no value. Retry when it has."""

    code = "account_not_valued"


class BacktestTooLong(TradingError):
    """The backtest took too long. Ask for a shorter period."""

    code = "range_too_large"


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
