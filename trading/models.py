"""The tables of trading.

Events are the source. All other rows of an account follow from them, and are written in the same transaction. Amounts
are texts, because SQLite would make floats of them. Instants are nanoseconds UTC.
"""

from decimal import Decimal
from uuid import uuid4

from django.db import models


class Account(models.Model):
    """An account. name: its id for clients. number: of its last event; see `trading.journal.state_of`.

    heartbeat_ns: when its client was heard last; None if it never was.
    """

    name = models.CharField(max_length=64, unique=True)
    number = models.BigIntegerField(default=0)
    created_ns = models.BigIntegerField()
    heartbeat_ns = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return self.name


class EventRow(models.Model):
    """An event of an account. number: 1, 2, 3, … in each account. body: see `trading.core.events.encoded`.

    orders: the orders that it changed, as they were after it, as a JSON list; "" for none.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="events")
    number = models.BigIntegerField()
    at_ns = models.BigIntegerField()
    name = models.CharField(max_length=40)
    body = models.TextField()
    orders = models.TextField(default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="trading_event_once"),
        ]
        indexes = [
            models.Index(fields=["account", "name", "number"], name="trading_event_name"),
            models.Index(
                fields=["account", "number"], condition=~models.Q(orders=""), name="trading_event_orders"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.number} {self.name}"


class StateSnapshot(models.Model):
    """The state of an account after an event, so that a replay need not begin with the first one."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="snapshots")
    number = models.BigIntegerField()
    state = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="trading_snapshot_once"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.number}"


class OrderRow(models.Model):
    """An order as its last event left it. document: see `trading.core.orders.Order`.

    is_open: whether it can still change. is_signal: whether a strategy made it to open or enlarge a position.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="orders")
    uuid = models.UUIDField(unique=True)
    client_order_id = models.CharField(max_length=128, default="")
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4)
    strategy = models.CharField(max_length=64, default="")
    state = models.CharField(max_length=20)
    submitted_ns = models.BigIntegerField()
    is_open = models.BooleanField(default=True)
    is_signal = models.BooleanField(default=False)
    document = models.TextField()

    class Meta:
        verbose_name = "order"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "client_order_id"],
                condition=~models.Q(client_order_id=""),
                name="trading_client_order_once",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "state", "id"], name="trading_order_state"),
            models.Index(fields=["account", "symbol", "id"], name="trading_order_symbol"),
            models.Index(fields=["account", "strategy", "id"], name="trading_order_strategy"),
            # Of the few among hundreds of thousands.
            models.Index(
                fields=["account", "id"], condition=models.Q(is_open=True), name="trading_order_open"
            ),
            models.Index(
                fields=["account", "id"], condition=models.Q(is_signal=True), name="trading_order_signal"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.symbol} {self.state}"


class ExecutionRow(models.Model):
    """An execution.

    number: of its event. value, fee, exposure: see `trading.core.valuation.FillResult`.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="executions")
    uuid = models.UUIDField(unique=True)
    order = models.ForeignKey(OrderRow, on_delete=models.PROTECT, related_name="executions", to_field="uuid")
    number = models.BigIntegerField()
    at_ns = models.BigIntegerField()
    symbol = models.CharField(max_length=32)
    value = models.CharField(max_length=40)
    fee = models.CharField(max_length=40)
    exposure = models.CharField(max_length=40)

    class Meta:
        verbose_name = "execution"
        indexes = [
            models.Index(fields=["account", "at_ns", "id"], name="trading_execution_time"),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.uuid}"


class TransactionRow(models.Model):
    """What an event booked.

    number, kind: of the event. amount: what the cash changed; balance: the cash after it. entries: of the ledger.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="transactions")
    number = models.BigIntegerField()
    at_ns = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    symbol = models.CharField(max_length=32, default="")
    currency = models.CharField(max_length=3)
    amount = models.CharField(max_length=40)
    balance = models.CharField(max_length=40)
    entries = models.JSONField()

    class Meta:
        verbose_name = "transaction"
        constraints = [models.UniqueConstraint(fields=["account", "number"], name="trading_transaction_once")]
        indexes = [models.Index(fields=["account", "at_ns", "id"], name="trading_transaction_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency}"


class TradeRow(models.Model):
    """A trade that ended. number: of the event that ended it. document: see `trading.core.positions.ClosedTrade`."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="trades")
    number = models.BigIntegerField()
    symbol = models.CharField(max_length=32)
    strategy = models.CharField(max_length=64, default="")
    direction = models.CharField(max_length=5)
    opened_ns = models.BigIntegerField()
    closed_ns = models.BigIntegerField()
    document = models.TextField()

    class Meta:
        indexes = [
            models.Index(fields=["account", "closed_ns", "id"], name="trading_trade_time"),
            models.Index(fields=["account", "symbol", "id"], name="trading_trade_symbol"),
            models.Index(fields=["account", "strategy", "id"], name="trading_trade_strategy"),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.symbol}"


class EquityRow(models.Model):
    """What an account was worth after an event: see `trading.core.valuation.is_of_curve`. number: of the event.

    high_water, start_equity, exposure: see `trading.core.account.AccountState`; equity / start_equity grows by trading
    alone, and by no transfer.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="equities")
    number = models.BigIntegerField()
    at_ns = models.BigIntegerField()
    equity = models.CharField(max_length=40)
    high_water = models.CharField(max_length=40)
    start_equity = models.CharField(max_length=40)
    exposure = models.CharField(max_length=40)

    class Meta:
        indexes = [models.Index(fields=["account", "at_ns", "id"], name="trading_equity_time")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.equity}"


class TargetModel(models.Model):
    """A model of an account: named target weights. weights: texts of decimals by canonical symbol."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="target_models")
    name = models.CharField(max_length=64)
    weights = models.JSONField()
    changed_ns = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="trading_model_once")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.name}"

    @property
    def target_weights(self) -> dict[str, Decimal]:
        """The target weights by canonical symbol."""
        return {symbol: Decimal(text) for symbol, text in self.weights.items()}


class Watchlist(models.Model):
    """A list of symbols of an account. symbols: canonical, each once, in the client's order."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="watchlists")
    uuid = models.UUIDField(unique=True, default=uuid4)
    name = models.CharField(max_length=64)
    symbols = models.JSONField(default=list)
    created_ns = models.BigIntegerField()
    changed_ns = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="trading_watchlist_once")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.name}"


class Lease(models.Model):
    """Which process of the installation is the engine (row 1), or runs the strategies (row 2).

    holder: the random name of the process; None if it gave the lease back. The lease ends at `leased_until_ns` of the database's clock.

    now_ns: the engine's own clock when it renewed the lease; None if that is the wall clock. document: what the engine
    says of itself. The strategies' row has neither.
    """

    holder = models.UUIDField(null=True)
    leased_until_ns = models.BigIntegerField(default=0)
    started_ns = models.BigIntegerField(default=0)
    now_ns = models.BigIntegerField(null=True)
    document = models.JSONField(default=dict)

    def __str__(self) -> str:
        return str(self.holder)


class LogProgress(models.Model):
    """How far the engine has worked through a log. newest_ns: the largest event time until there.

    An order's acceptance adds the logs that it needs, at their heads: `hash` is then as in a token, and `newest_ns`
    None.
    """

    dataset = models.CharField(max_length=40)
    symbol = models.CharField(max_length=32)
    commit = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    ordinal = models.BigIntegerField()
    newest_ns = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "symbol"], name="trading_log_once"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset} {self.symbol} {self.commit}"


class RunningStrategy(models.Model):
    """The strategy that runs for an account, and what its process must know to go on.

    assignment: the number of the event that assigned it. state: its `State` as JSON; empty until it was shown something.
    shown_ns: bars were shown up to this instant. number: of the account's last event that it was told of. timers: when it
    is to be woken, nanoseconds UTC. saves: how often the row was saved, so that one of two processes can save it.
    """

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="+")
    assignment = models.BigIntegerField()
    state = models.TextField(default="")
    shown_ns = models.BigIntegerField()
    number = models.BigIntegerField()
    timers = models.JSONField(default=list)
    saves = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.account_id} {self.assignment}"
