"""The answers of trading, with examples for the schema. `trading.documents` and `trading.selectors` make them."""

from decimal import Decimal
from typing import Any, get_type_hints

from rest_framework import serializers
from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DateField,
    DateTimeField,
    DictField,
    FloatField,
    IntegerField,
    ListField,
    Serializer,
    UUIDField,
)

from trading.core.account import RUNNING, STOPPED, STOPPING
from trading.core.configuration import FillRule, RiskConfig, Zone
from trading.core.orders import OrderState, OrderType, TimeInForce
from trading.core.report import Grouping
from trading.core.terms import AccountKind, Side
from trading.models import BUSTED, OPEN, QUESTIONED
from trading.reading.status import DEGRADED, HALTED

DIRECTIONS = ("LONG", "SHORT")
STATUSES = (RUNNING, STOPPED, STOPPING, HALTED, DEGRADED)


def _words(kind: Any) -> list[str]:
    return [each.value for each in kind]


# Lists of words with names of their own in the schema (ENUM_NAME_OVERRIDES).
ACCOUNT_KINDS, ORDER_STATES, FILL_RULES = _words(AccountKind), _words(OrderState), _words(FillRule)
GROUPINGS = _words(Grouping)


def _money(text: str, **options: Any) -> FloatField:
    return FloatField(help_text=text, **options)


def _percent(text: str, **options: Any) -> FloatField:
    return FloatField(help_text=f"Per cent: {text}", **options)


class BalanceSerializer(Serializer[Any]):
    """A balance of the ledger."""

    account = CharField(help_text="Of the ledger: cash, capital, positions, realized, fees, …")
    currency = CharField()
    symbol = CharField(allow_null=True, help_text="Of `positions` and `adjustment`.")
    amount = _money("Debits are above zero.")


class AssignedStrategySerializer(Serializer[Any]):
    """The strategy that decides for an account."""

    name = CharField()
    parameters = DictField(child=CharField(), help_text="Those that were given, as texts.")
    symbols = ListField(child=CharField())
    assigned_at = DateTimeField()


class AccountSerializer(Serializer[Any]):
    """An account: information, balances, preferences."""

    id = CharField()
    name = CharField(help_text="As its owner calls it.")
    kind = ChoiceField(ACCOUNT_KINDS)
    currency = CharField()
    created_at = DateTimeField()
    dd_zone = ChoiceField(_words(Zone))
    cash = _money("In the account's currency.")
    equity = _money("Cash and positions at the last mark.")
    marked_at = DateTimeField(allow_null=True)
    high_water = _money("The largest equity so far. Transfers scale it.")
    open_positions = IntegerField()
    open_orders = IntegerField()
    balances = BalanceSerializer(many=True)
    requires_signature = BooleanField(help_text="Whether orders must be signed requests.")
    heartbeat_seconds = IntegerField(
        allow_null=True, help_text="All orders are cancelled if its client is silent for so long."
    )
    heartbeat_at = DateTimeField(allow_null=True)
    model = CharField(allow_null=True, help_text="The model that a rebalance follows.")
    strategy = AssignedStrategySerializer(allow_null=True, help_text="It decides in the engine.")
    risk_version = IntegerField()
    event = IntegerField(help_text="The number of its last event.")


class HaltSerializer(Serializer[Any]):
    """Why trading is halted until a person releases it."""

    reason = CharField()
    at = DateTimeField()
    symbol = CharField(allow_null=True, help_text="Of a log that was restored.")


class QueuedCloseSerializer(Serializer[Any]):
    """A position that cannot be closed before its market opens."""

    symbol = CharField()
    strategy = CharField(allow_null=True)
    opens_at = DateTimeField(allow_null=True, help_text="null: not known.")


class AccountStatusSerializer(Serializer[Any]):
    """The status of an account, and of the engine."""

    account = CharField()
    engine = ChoiceField(["running", "away"])
    status = ChoiceField(STATUSES)
    connected = BooleanField(help_text="The engine lives, and has new prices of each symbol in session.")
    open_positions = IntegerField()
    dd_zone = ChoiceField(_words(Zone))
    uptime_seconds = IntegerField(allow_null=True, help_text="Of the engine; null while it is away.")
    halt = HaltSerializer(allow_null=True)
    queued = QueuedCloseSerializer(many=True)


class PositionSerializer(Serializer[Any]):
    """A position in a symbol, for one strategy."""

    symbol = CharField()
    strategy = CharField(allow_null=True)
    direction = ChoiceField(DIRECTIONS)
    quantity = FloatField(help_text="In units or contracts, above zero.")
    average_price = FloatField(allow_null=True)
    mark = FloatField(
        allow_null=True, help_text="The bid of a long, the ask of a short, else the last price."
    )
    marked_at = DateTimeField(allow_null=True)
    is_stale = BooleanField(help_text="The mark is missing, or older than `stale_after_seconds`.")
    value = _money("At the mark, in `currency`; below zero for a short.", allow_null=True)
    currency = CharField(help_text="Of the instrument.")
    pnl = _money("Since it was opened, less fees, in `currency`.", allow_null=True)
    pnl_base = _money("In the account's currency.", allow_null=True)
    pnl_r = FloatField(allow_null=True, help_text="In R; null without a protective stop at entry.")
    opened_at = DateTimeField(allow_null=True)


class AccountPositionsSerializer(Serializer[Any]):
    """The positions of an account."""

    account = CharField()
    positions = PositionSerializer(many=True)


class SymbolExposureSerializer(Serializer[Any]):
    """The exposure in a symbol."""

    symbol = CharField()
    exposure = _money("The largest value that positions and working orders may come to.")
    exposure_pct = _percent("of the equity.", allow_null=True)


class ExposureSerializer(Serializer[Any]):
    """The exposure of an account, in its currency. null if a position has no mark."""

    gross = FloatField(allow_null=True)
    gross_pct = _percent("of the equity.", allow_null=True)
    by_symbol = SymbolExposureSerializer(many=True)


class PortfolioSerializer(Serializer[Any]):
    """Positions at the prices of now."""

    account = CharField()
    positions = PositionSerializer(many=True)
    total_pnl = FloatField(help_text="In R: the sum of the positions' `pnl_r`.")
    total_pnl_money = _money("The sum of their `pnl_base`.")
    without_r = IntegerField(help_text="Positions that `total_pnl` leaves out.")
    high_water = _money("The largest equity so far, that of now included.")
    drawdown_pct = _percent("below the high-water mark; at least 0.")
    dd_zone = ChoiceField(_words(Zone))
    risk_level = _percent("of the equity that a trade may lose.")
    equity = _money("null if a position has no mark.", allow_null=True)
    cash = FloatField()
    currency = CharField()
    exposure = ExposureSerializer()


class RiskLimitSerializer(Serializer[Any]):
    """A limit, and how much of it is used."""

    limit = FloatField()
    used = FloatField(allow_null=True, help_text="null if a position has no mark.")
    unit = CharField()


class RiskLimitsSerializer(Serializer[Any]):
    """The limits that orders are checked against."""

    daily_loss = RiskLimitSerializer()
    total_loss = RiskLimitSerializer()
    symbol_exposure = RiskLimitSerializer()
    gross_exposure = RiskLimitSerializer()
    orders_per_minute = RiskLimitSerializer()


class RiskOverrideSerializer(Serializer[Any]):
    """A risk level that a person set for a while."""

    risk_level = FloatField()
    until = DateTimeField()
    reason = CharField()
    by = CharField()


class RiskSerializer(Serializer[Any]):
    """The zone, the risk level, and the limits."""

    account = CharField()
    dd_zone = ChoiceField(_words(Zone))
    drawdown_pct = _percent("below the high-water mark; at least 0.")
    risk_level = _percent("of the equity that a trade may lose.")
    limits = RiskLimitsSerializer()
    override = RiskOverrideSerializer(allow_null=True)
    halt = HaltSerializer(allow_null=True)
    version = IntegerField(help_text="Of the limits.")


def _config_field(kind: type) -> serializers.Field[Any, Any, Any, Any]:
    if kind is Decimal:
        return FloatField()
    return IntegerField() if kind is int else ChoiceField(FILL_RULES)


class RiskLimitsConfigSerializer(Serializer[Any]):
    """The limits of an account, by name."""

    def get_fields(self) -> dict[str, Any]:
        """Return a field for each limit."""
        return {name: _config_field(kind) for name, kind in get_type_hints(RiskConfig).items()}


class RiskConfigSerializer(Serializer[Any]):
    """The limits of an account, and their version."""

    account = CharField()
    version = IntegerField()
    config = RiskLimitsConfigSerializer()


class CurvePointSerializer(Serializer[Any]):
    """A point of the drawdown curve."""

    at = DateTimeField()
    equity = FloatField()
    high_water = FloatField()
    drawdown_pct = FloatField()


class TradingFiguresSerializer(Serializer[Any]):
    """What was traded. Money is in the account's currency."""

    trades = IntegerField(help_text="Closed in the period.")
    win_rate = FloatField(allow_null=True, help_text="A fraction; null without trades.")
    total_r = FloatField(help_text="In R.")
    average_r = FloatField(allow_null=True)
    without_r = IntegerField(help_text="Trades that `total_r` leaves out.")
    pnl = _money("Of the trades, less fees, in `currency`.")
    profit_factor = FloatField(allow_null=True, help_text="Gains over losses; null without losses.")
    executions = IntegerField()
    traded = _money("The value of what was bought and sold.")
    fees = _money("Of the executions.")
    turnover = FloatField(allow_null=True, help_text="`traded` over the mean equity of the period.")


class DrawdownSerializer(Serializer[Any]):
    """The deepest drawdown, and the longest."""

    begin = DateTimeField(
        allow_null=True, help_text="The last point at the high-water mark; null: no drawdown."
    )
    trough = DateTimeField(allow_null=True)
    end = DateTimeField(allow_null=True, help_text="null: it lasts.")
    longest_seconds = FloatField(help_text="The longest time below the high-water mark.")


class MeanExposureSerializer(Serializer[Any]):
    """The value of the positions, longs and shorts added up, over time."""

    mean_pct = _percent("of the equity.", allow_null=True)
    largest_pct = _percent("of the equity.")
    time_in_market = FloatField(allow_null=True, help_text="The part of the time with positions, a fraction.")


class PerformanceRowSerializer(TradingFiguresSerializer):
    """A day, a symbol or a strategy."""

    day = DateField(required=False, help_text="With `by=day`, as the four last fields: a UTC date.")
    symbol = CharField(required=False, help_text="With `by=symbol`.")
    strategy = CharField(required=False, allow_null=True, help_text="With `by=strategy`.")
    equity = _money("At the day's end.", required=False)
    return_pct = _percent("of the day.", required=False, allow_null=True)
    max_dd = _percent("at the day's deepest point.", required=False)
    exposure = MeanExposureSerializer(required=False)


class PerformanceSerializer(TradingFiguresSerializer):
    """How an account did."""

    account = CharField()
    period_days = IntegerField(help_text="The length of the period, rounded up.")
    currency = CharField()
    fill_rules = ListField(
        child=ChoiceField(FILL_RULES), help_text="By which limit orders filled in the period."
    )
    begin = DateTimeField(
        allow_null=True, help_text="Of the period, or its first point if nothing was before it; null without."
    )
    end = DateTimeField(help_text="Of the period.")
    annual_turnover = FloatField(allow_null=True, help_text="For 365 days.")
    return_pct = _percent("since `begin`, without transfers.")
    annual_return_pct = _percent("for 365 days; null for less.", allow_null=True)
    volatility_pct = _percent("the deviation of daily returns, for a year.", allow_null=True)
    max_dd = _percent("of the high-water mark; at least 0.")
    sharpe = FloatField(allow_null=True, help_text="Of daily returns, for a year.")
    sortino = FloatField(allow_null=True, help_text="Of daily returns, for a year.")
    drawdown = DrawdownSerializer()
    exposure = MeanExposureSerializer()
    drawdown_curve = CurvePointSerializer(many=True, help_text="At most 1,000 points.")
    by = ChoiceField(GROUPINGS, required=False)
    rows = PerformanceRowSerializer(many=True, required=False, help_text="With `by`: a row for each.")


class ClosedTradeSerializer(Serializer[Any]):
    """A trade from flat to flat."""

    id = CharField()
    symbol = CharField()
    strategy = CharField(allow_null=True)
    direction = ChoiceField(DIRECTIONS)
    quantity = FloatField()
    entry_price = FloatField()
    exit_price = FloatField()
    opened_at = DateTimeField()
    closed_at = DateTimeField()
    currency = CharField(help_text="Of the instrument.")
    fees = FloatField()
    income = _money("Dividends, less those owed and fees for borrowing, in `currency`.")
    pnl = _money("With `income` and less fees, in `currency`.")
    pnl_base = _money("In the account's currency.")
    risk = _money("Between entry and protective stop.", allow_null=True)
    pnl_r = FloatField(allow_null=True, help_text="In R; null without a protective stop at entry.")


class SignalSerializer(Serializer[Any]):
    """An order by which a strategy opens a position."""

    id = UUIDField()
    strategy = CharField()
    symbol = CharField()
    direction = ChoiceField(DIRECTIONS)
    entry = FloatField(allow_null=True, help_text="null: at the market.")
    stop = FloatField(allow_null=True)
    target = FloatField(allow_null=True)
    at = DateTimeField()
    order_id = UUIDField()
    quantity = FloatField()
    status = ChoiceField(ORDER_STATES, help_text="Of the order; `rejected`: risk refused it.")
    average_price = FloatField(allow_null=True, help_text="Of what was filled.")
    reason = CharField(allow_null=True, help_text="Why it was refused, or ended.")


class ExecutionPrintSerializer(Serializer[Any]):
    """The stored row that filled an order. A trade has a price; a bar has open, high, low and close."""

    dataset = CharField()
    symbol = CharField()
    commit = CharField()
    ordinal = IntegerField(help_text="Of the row in its commit.")
    timestamp = DateTimeField()
    price = FloatField(required=False)
    open = FloatField(required=False)
    high = FloatField(required=False)
    low = FloatField(required=False)
    close = FloatField(required=False)
    volume = FloatField()
    known_at = DateTimeField(help_text="When the engine could know it.")


class ExecutionSerializer(Serializer[Any]):
    """A fill of an order."""

    id = UUIDField()
    account = CharField()
    order_id = UUIDField()
    symbol = CharField()
    side = ChoiceField(_words(Side))
    quantity = FloatField()
    price = FloatField()
    fee = FloatField()
    slippage = FloatField(help_text="How much worse the price is than the print's.")
    currency = CharField(help_text="Of price and fee.")
    rate = FloatField(help_text="From `currency` to the account's.")
    at = DateTimeField()
    state = ChoiceField([OPEN, QUESTIONED, BUSTED])
    is_ambiguous = BooleanField(help_text="Filled by a bar, which does not tell the order of its prices.")
    print = ExecutionPrintSerializer()
    event = IntegerField()


class ExplanationSerializer(Serializer[Any]):
    """What an execution was decided by, as the account's events have it."""

    account = CharField()
    number = IntegerField(help_text="The number of the execution's event.")
    execution = DictField(help_text="The execution, with its print.")
    order = DictField(help_text="The order as it was accepted, with its checks and the market's prices then.")
    risk = DictField(help_text="The version of the limits, and the limits.")


class LedgerEntrySerializer(Serializer[Any]):
    """A line of the ledger. The entries of a transaction add up to zero in each currency."""

    account = CharField()
    currency = CharField()
    amount = FloatField()
    symbol = CharField()


class TransactionSerializer(Serializer[Any]):
    """What an event booked."""

    event = IntegerField()
    at = DateTimeField()
    kind = CharField(help_text="The event's name, such as executed, transferred, dividend_paid.")
    symbol = CharField(allow_null=True)
    currency = CharField()
    amount = _money("What the cash changed.")
    balance = _money("The cash after it.")
    entries = LedgerEntrySerializer(many=True)


class OrderTermsSerializer(Serializer[Any]):
    """What an order asks for."""

    client_order_id = CharField(allow_null=True)
    symbol = CharField()
    side = ChoiceField(_words(Side))
    type = ChoiceField(_words(OrderType))
    time_in_force = ChoiceField(_words(TimeInForce))
    quantity = FloatField()
    limit_price = FloatField(allow_null=True)
    stop_price = FloatField(allow_null=True)
    reduce_only = BooleanField()
    take_profit = FloatField(allow_null=True)
    stop_loss = FloatField(allow_null=True)
    strategy = CharField(allow_null=True)


class StoredRowSerializer(Serializer[Any]):
    """A row of the store."""

    dataset = CharField()
    symbol = CharField()
    commit = CharField()
    ordinal = IntegerField()
    timestamp = DateTimeField()


class ReferenceSerializer(Serializer[Any]):
    """What the market looked like."""

    symbol = CharField()
    price = FloatField(help_text="The ask for a buy, the bid for a sell, else the last price.")
    rate = FloatField(help_text="From the instrument's currency to the account's.")
    bid = FloatField(allow_null=True)
    ask = FloatField(allow_null=True)
    last = FloatField(allow_null=True)
    at = DateTimeField()
    rows = StoredRowSerializer(many=True)


class OrderCheckSerializer(Serializer[Any]):
    """A check of an order."""

    name = CharField()
    passed = BooleanField()
    value = FloatField(allow_null=True, help_text="null if there is no number, or it could not be computed.")
    limit = FloatField(allow_null=True)
    unit = CharField()
    message = CharField()


class PreviewSerializer(Serializer[Any]):
    """What an order would do. Sums are in the account's currency."""

    preview_id = UUIDField()
    account = CharField()
    expires_at = DateTimeField()
    order = OrderTermsSerializer()
    reference = ReferenceSerializer()
    tick = FloatField(help_text="The step of the order's prices.")
    currency = CharField()
    cost = _money("Its value at its limit or collar.")
    fee = FloatField()
    margin = _money("What must be paid in for it.")
    exposure_after = _money("In the symbol, with all working orders.", allow_null=True)
    gross_after = _money("In all symbols.", allow_null=True)
    equity = FloatField(allow_null=True)
    checks = OrderCheckSerializer(many=True)
    would_be_accepted = BooleanField()
    event = IntegerField(help_text="The number of the account's last event.")


class CancelledOrdersSerializer(Serializer[Any]):
    """Orders whose cancel was asked for."""

    account = CharField()
    cancelled = ListField(child=UUIDField())


class StoppedSerializer(Serializer[Any]):
    """The accounts that were stopped. If there is one, its status is also at the top."""

    status = ChoiceField(STATUSES)
    accounts = AccountStatusSerializer(many=True)
