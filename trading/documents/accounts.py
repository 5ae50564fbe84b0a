"""The documents of accounts: what they hold, what they may risk, and whether they trade."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from store.timestamps import format_timestamp
from trading.core.configuration import LIMITS, FillRule, RiskConfig, Zone
from trading.core.positions import OpenTrade
from trading.core.terms import AccountKind
from trading.core.valuation import risk_of
from trading.documents.orders import AccountId, Currency, Direction, Filled, Quantity, Strategy, Symbol
from web.documents import AnswerDocument, Instant, about, instant_or_null, like, number, number_or_null

# Backtests make documents without Django, which the tables need.
if TYPE_CHECKING:
    from trading.core.account import AccountState
    from trading.core.events import Reference
    from trading.core.positions import Position
    from trading.models import Account

Status = Literal["running", "stopped", "stopping", "halted", "degraded"]
# These words have names in the schema (ENUM_NAME_OVERRIDES).
ACCOUNT_KINDS, FILL_RULES, STATUSES = list(AccountKind), list(FillRule), list(get_args(Status))
Marked = Annotated[Instant | None, like("2025-01-02T15:00:00Z")]
Drawdown = Annotated[float, about("Per cent: below the high-water mark; at least 0.", 1.49)]
RiskLevel = Annotated[float, about("Per cent: of the equity that a trade may lose.", 0.3)]


class BalanceDocument(AnswerDocument):
    """A balance of the ledger."""

    account: Annotated[str, about("Of the ledger: cash, capital, positions, realized, fees, …", "cash")]
    currency: Currency
    symbol: Annotated[str | None, about("Of `positions`.")]
    amount: Annotated[float, about("Debits are above zero.", 81001.0)]

    @classmethod
    def of(cls, key: str, amount: Decimal) -> Self:
        """Return the document of a balance by its key in the ledger."""
        name, currency, *symbol = key.split(" ", 2)
        return cls(
            account=name, currency=currency, symbol=symbol[0] if symbol else None, amount=number(amount)
        )


class AssignedStrategyDocument(AnswerDocument):
    """The strategy that decides for an account."""

    name: Annotated[str, like("crossover")]
    parameters: Annotated[
        dict[str, str], about("Those that were given, as texts.", {"fast": "10", "slow": "30"})
    ]
    symbols: list[Symbol]
    sha256: Annotated[str | None, about("Of its file at the assignment; null: it is shipped.")]
    assigned_at: Filled
    state: Annotated[Literal["running", "failed"], about("`failed`: it decides no more.")]
    failure: Annotated[str | None, about("Why it failed. Null while it runs.")]


class AccountDocument(AnswerDocument):
    """An account: information, balances, preferences."""

    id: AccountId
    name: Annotated[str, about("As its owner calls it.", "Momentum")]
    kind: Annotated[AccountKind, like("margin")]
    currency: Currency
    created_at: Annotated[Instant, like("2025-01-02T14:00:00Z")]
    dd_zone: Zone
    cash: Annotated[float, about("In the account's currency.", 81001.0)]
    equity: Annotated[
        float | None,
        about("Cash and positions at the prices of now; null if a position has no mark.", 100099.0),
    ]
    marked_at: Annotated[Marked, about("When `equity` was computed: now.", "2025-01-02T15:00:00Z")]
    high_water: Annotated[float, about("The largest equity so far. Transfers scale it.", 101613.2)]
    open_positions: Annotated[int, like(1)]
    open_orders: Annotated[int, like(2)]
    balances: list[BalanceDocument]
    requires_signature: Annotated[bool, about("Whether orders must be signed requests.")]
    heartbeat_seconds: Annotated[
        int | None, about("All orders are cancelled if its client is silent for so long.")
    ]
    heartbeat_at: Instant | None
    model: Annotated[str | None, about("The model that a rebalance follows.")]
    strategy: Annotated[AssignedStrategyDocument | None, about("It decides for the account.")]
    risk_version: Annotated[int, like(1)]
    event: Annotated[int, about("The number of its last event.", 12)]

    @classmethod
    def of(cls, account: Account, state: AccountState, equity: Decimal | None, now_ns: int) -> Self:
        """Return the document of an account in its present state. equity: at the prices of `now_ns`."""
        preferences = state.preferences
        return cls.of_attributes(
            state,
            id=account.name,
            name=preferences.name,
            created_at=format_timestamp(account.created_ns),
            dd_zone=state.zone,
            equity=number_or_null(equity),
            # The engine's clock may be some milliseconds behind when it first sees a new account.
            marked_at=format_timestamp(max(now_ns, account.created_ns)),
            open_positions=len(state.positions),
            open_orders=len(state.orders),
            balances=[BalanceDocument.of(key, amount) for key, amount in sorted(state.balances.items())],
            requires_signature=preferences.requires_signature,
            heartbeat_seconds=preferences.heartbeat_seconds,
            heartbeat_at=instant_or_null(account.heartbeat_ns),
            model=preferences.model,
            strategy=_assigned(state),
            event=account.number,
        )


def _assigned(state: AccountState) -> AssignedStrategyDocument | None:
    assignment = state.assignment
    if assignment is None:
        return None
    return AssignedStrategyDocument.of_attributes(
        assignment.strategy,
        symbols=list(assignment.strategy.symbols),
        assigned_at=format_timestamp(assignment.at_ns),
        state="failed" if assignment.failure else "running",
        failure=assignment.failure or None,
    )


class HaltDocument(AnswerDocument):
    """Why trading is halted until a person releases it."""

    reason: Annotated[str, like("drawdown")]
    at: Filled
    symbol: Annotated[str | None, about("Of a log that was restored.")]

    @classmethod
    def of(cls, state: AccountState) -> Self | None:
        """Return why trading is halted; None if it is not."""
        halt = state.halt
        return None if halt is None else cls.of_attributes(halt, at=format_timestamp(halt.at_ns))


class QueuedCloseDocument(AnswerDocument):
    """A position that cannot be closed before its market opens."""

    symbol: Symbol
    strategy: Strategy
    opens_at: Annotated[Instant | None, about("null: not known.")]


class AccountStatusDocument(AnswerDocument):
    """The status of an account, and of the engine."""

    account: AccountId
    engine: Literal["running", "away"]
    status: Status
    connected: Annotated[
        bool, about("The engine lives, works for the account, and can read its symbols.", True)
    ]
    open_positions: Annotated[int, like(1)]
    dd_zone: Zone
    uptime_seconds: Annotated[int | None, about("Of the engine; null while it is away.", 3600)]
    halt: HaltDocument | None
    queued: Annotated[list[QueuedCloseDocument], like([])]


class StoppedDocument(AnswerDocument):
    """The accounts that were stopped. If there is one, its status is also at the top."""

    status: Status
    accounts: list[AccountStatusDocument]


class PositionDocument(AnswerDocument):
    """A position in a symbol, for one strategy."""

    symbol: Symbol
    strategy: Strategy
    direction: Direction
    quantity: Annotated[Quantity, about("In units or contracts, above zero.")]
    average_price: Annotated[float | None, like(189.98)]
    mark: Annotated[
        float | None, about("The bid of a long, the ask of a short, else the last price.", 190.98)
    ]
    marked_at: Marked
    is_stale: Annotated[bool, about("The mark is missing, or older than `stale_after_seconds`.")]
    value: Annotated[float | None, about("At the mark, in `currency`; below zero for a short.", 19098.0)]
    currency: Annotated[Currency, about("Of the instrument.")]
    unrealized_pnl: Annotated[
        float | None,
        about(
            "What closing at the mark would realize, in `currency`; of a future since its last settlement.",
            100.0,
        ),
    ]
    realized_pnl: Annotated[
        float, about("What closed parts and settlements realized since it was opened, in `currency`.", 0.0)
    ]
    income: Annotated[float, about("Dividends, less those owed and fees for borrowing, in `currency`.", 0.0)]
    fees: Annotated[float, about("Of its fills, in `currency`.", 1.0)]
    pnl: Annotated[
        float | None,
        about("`unrealized_pnl` and `realized_pnl` with `income` and less `fees`, in `currency`.", 99.0),
    ]
    pnl_base: Annotated[
        float | None,
        about(
            "What it changed the equity by since it was opened, in the account's currency: with the gain or loss of the "
            "currency on the money invested.",
            99.0,
        ),
    ]
    pnl_r: Annotated[float | None, about("In R; null without a protective stop at entry.", 0.5)]
    opened_at: Annotated[Instant | None, like("2025-01-02T14:30:01Z")]

    @classmethod
    def of(cls, position: Position, mark: Reference | None, *, is_stale: bool) -> Self:
        """Return the document of a position. mark: None if the symbol has no price."""
        pnl, pnl_base, pnl_r = (None, None, None) if mark is None else risk_of(position, mark)
        trade = position.trade or OpenTrade(id="", opened_ns=0)
        return cls.of_attributes(
            position,
            strategy=position.strategy or None,
            quantity=number(abs(position.quantity)),
            mark=None if mark is None else number(mark.price),
            marked_at=None if mark is None else format_timestamp(mark.at_ns),
            is_stale=is_stale,
            value=None if mark is None else number(position.value(mark.price)),
            currency=position.terms.currency,
            unrealized_pnl=None if mark is None else number(position.unrealized(mark.price)),
            realized_pnl=number(trade.realized),
            income=number(trade.income),
            fees=number(trade.fees),
            pnl=number_or_null(pnl),
            pnl_base=number_or_null(pnl_base),
            pnl_r=number_or_null(pnl_r),
            opened_at=None if position.trade is None else format_timestamp(position.trade.opened_ns),
        )


class HeldPositionDocument(AnswerDocument):
    """A position in a symbol, for one strategy, without a price of the market."""

    symbol: Symbol
    strategy: Strategy
    direction: Direction
    quantity: Annotated[Quantity, about("In units or contracts, above zero.")]
    average_price: Annotated[float | None, like(189.98)]
    currency: Annotated[Currency, about("Of the instrument.")]
    exposure: Annotated[
        float, about("Its value at the last fill or mark, above zero, in the account's currency.", 18998.0)
    ]
    opened_at: Annotated[Instant | None, like("2025-01-02T14:30:01Z")]

    @classmethod
    def of(cls, position: Position) -> Self:
        """Return the document of a position."""
        return cls.of_attributes(
            position,
            strategy=position.strategy or None,
            quantity=number(abs(position.quantity)),
            currency=position.terms.currency,
            opened_at=None if position.trade is None else format_timestamp(position.trade.opened_ns),
        )


class AccountPositionsDocument(AnswerDocument):
    """The positions of an account."""

    account: AccountId
    positions: list[PositionDocument]


class SymbolExposureDocument(AnswerDocument):
    """The exposure in a symbol."""

    symbol: Symbol
    exposure: Annotated[
        float, about("The largest value that positions and working orders may come to.", 19098.0)
    ]
    exposure_pct: Annotated[float | None, about("Per cent: of the equity.", 19.079112)]


class ExposureDocument(AnswerDocument):
    """The exposure of an account, in its currency. null if a position has no mark."""

    gross: Annotated[float | None, like(19098.0)]
    gross_pct: Annotated[float | None, about("Per cent: of the equity.", 19.079112)]
    by_symbol: list[SymbolExposureDocument]


class PortfolioDocument(AnswerDocument):
    """Positions at the prices of now."""

    account: AccountId
    positions: list[PositionDocument]
    total_pnl: Annotated[float, about("In R: the sum of the positions' `pnl_r`.", 0.5)]
    total_pnl_money: Annotated[float, about("The sum of their `pnl_base`.", 99.0)]
    total_unrealized_pnl: Annotated[
        float,
        about("The sum of their `unrealized_pnl`, in the account's currency at the rates of now.", 100.0),
    ]
    without_r: Annotated[int, about("Positions that `total_pnl` leaves out.", 0)]
    high_water: Annotated[
        float,
        about(
            "The largest equity that the engine recorded: once a minute while it changes, and at each fill.",
            101613.03,
        ),
    ]
    drawdown_pct: Drawdown
    dd_zone: Zone
    risk_level: RiskLevel
    equity: Annotated[float | None, about("null if a position has no mark.", 100099.0)]
    cash: Annotated[float, like(81001.0)]
    currency: Currency
    exposure: ExposureDocument


class RiskLimitDocument(AnswerDocument):
    """A limit, and how much of it is used."""

    limit: Annotated[float, like(25.0)]
    used: Annotated[float | None, about("null if a position has no mark.", 19.079112)]
    unit: Annotated[str, like("percent of the equity")]


class RiskLimitsDocument(AnswerDocument):
    """The limits that orders are checked against."""

    daily_loss: RiskLimitDocument
    total_loss: RiskLimitDocument
    symbol_exposure: RiskLimitDocument
    gross_exposure: RiskLimitDocument
    orders_per_minute: RiskLimitDocument


class RiskOverrideDocument(AnswerDocument):
    """A risk level that a person set for a while."""

    risk_level: RiskLevel
    until: Annotated[Instant, like("2025-01-02T21:00:00Z")]
    reason: Annotated[str, like("earnings tonight")]
    by: Annotated[str, like("key:1")]

    @classmethod
    def of(cls, state: AccountState) -> Self | None:
        """Return the risk level that a person set; None if it is the configured one."""
        override = state.override
        if override is None:
            return None
        return cls.of_attributes(override, until=format_timestamp(override.until_ns))


class RiskDocument(AnswerDocument):
    """The zone, the risk level, and the limits."""

    account: AccountId
    dd_zone: Zone
    drawdown_pct: Drawdown
    risk_level: RiskLevel
    limits: RiskLimitsDocument
    override: RiskOverrideDocument | None
    halt: HaltDocument | None
    version: Annotated[int, about("Of the limits.", 1)]


def _limit_field(name: str, kind: type) -> tuple[str, object]:
    """Return the field of a limit. Its example is the usual limit."""
    usual = getattr(RiskConfig(), name)
    if kind is Decimal:
        return name, Annotated[float, like(number(usual))]
    return name, Annotated[kind, like(usual)]


_CONFIG_FIELDS = [
    _limit_field(name, kind) for name, kind in get_type_hints(RiskConfig).items() if name != "unlimited"
]
RiskLimitsConfigDocument = msgspec.defstruct(
    "RiskLimitsConfigDocument",
    _CONFIG_FIELDS,
    bases=(AnswerDocument,),
    namespace={"__doc__": "The limits of an account, by name."},
)
BacktestLimitsDocument = msgspec.defstruct(
    "BacktestLimitsDocument",
    [
        (name, Annotated[kind | UnsetType, *marks], UNSET) if name in LIMITS else (name, field)
        for name, field in _CONFIG_FIELDS
        for kind, *marks in [get_args(field)]
    ],
    bases=(AnswerDocument,),
    kw_only=True,
    namespace={"__doc__": "The limits of a backtest that hold, and how its orders fill."},
)


class RiskConfigDocument(AnswerDocument):
    """The limits of an account, and their version."""

    account: AccountId
    version: Annotated[int, like(1)]
    config: RiskLimitsConfigDocument  # type: ignore[valid-type]

    @classmethod
    def of(cls, account: Account, state: AccountState) -> Self:
        """Return the document of an account's limits."""
        config = limits_document(state.config)
        return cls(account=account.name, version=state.risk_version, config=config)


def limits_document(config: RiskConfig) -> AnswerDocument:
    """Return the document of limits, with the names and units of `RiskConfig`."""
    document: AnswerDocument = RiskLimitsConfigDocument.of_attributes(config)  # type: ignore[attr-defined]
    return document


def backtest_limits_document(config: RiskConfig) -> AnswerDocument:
    """Return the document of a backtest's limits, without those that do not hold."""
    unlimited = dict.fromkeys(config.unlimited, UNSET)
    document: AnswerDocument = BacktestLimitsDocument.of_attributes(config, **unlimited)  # type: ignore[attr-defined]
    return document
