"""An account, a market and an engine on the data clock, for tests of trading."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa

from store.datasets import TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import Append
from store.timestamps import SECOND_NS, parse_timestamp
from tests.trading.core.folded import check_ledger
from trades.stores import market_store
from trading.core.account import AccountState, encoded_state
from trading.core.configuration import RiskConfig
from trading.core.events import Executed, decoded
from trading.core.orders import Order, OrderTerms
from trading.core.terms import AccountKind, Side
from trading.engine.engine import Engine
from trading.engine.logs import DataClock
from trading.journal import replayed, state_of
from trading.models import Account, EventRow, ExecutionRow, OrderRow
from trading.services.accounts import account_create, account_transfer, trading_start
from trading.services.orders import order_in, order_submit

# A Thursday in summer.
BEGIN_NS = parse_timestamp("2025-06-05T14:00:00Z")
FREE = RiskConfig(
    max_symbol_exposure=Decimal(1000), max_gross_exposure=Decimal(1000), participation=Decimal(100)
)


def prints(symbol: str, *rows: tuple[float, float, float], **columns: Any) -> None:
    """Store trades: (seconds since the beginning, price, volume)."""
    documents = [
        {"timestamp": at_ns(seconds), "price": price, "volume": volume, **columns}
        for seconds, price, volume in rows
    ]
    stored(TRADES, symbol, documents)


def stored(dataset: Dataset, symbol: str, documents: Iterable[dict[str, Any]]) -> None:
    batch = pa.RecordBatch.from_pylist(list(documents), schema=dataset.schema)
    market_store().append(Append(dataset, symbol, batch, "test"))


def at_ns(seconds: float) -> int:
    return BEGIN_NS + round(seconds * SECOND_NS)


class TradingDesk:
    """An engine on the data clock, and an account that runs."""

    def __init__(
        self,
        *,
        name: str = "ACC",
        kind: AccountKind = AccountKind.MARGIN,
        deposit: int = 100_000,
        config: RiskConfig = FREE,
        begin_ns: int = BEGIN_NS,
    ) -> None:
        self.engine = Engine(DataClock(begin_ns))
        self.run()
        self.name = name
        account_create(name=name, kind=kind, currency="USD", by="test", config=config)
        account_transfer(name=name, transfer="first", amount=Decimal(deposit))
        trading_start(account=self.account, by="test")

    @property
    def account(self) -> Account:
        return Account.objects.get(name=self.name)

    @property
    def state(self) -> AccountState:
        return state_of(self.account)

    def order(self, symbol: str, side: Side, quantity: Any, **terms: Any) -> str:
        """Submit an order and return its id. Numbers may be given as they are."""
        amounts = {name: Decimal(str(value)) if name in _PRICES else value for name, value in terms.items()}
        order = OrderTerms(symbol=symbol, side=side, quantity=Decimal(str(quantity)), **cast("Any", amounts))
        return order_submit(account=self.account, order=order, by="test").order.id

    def run(self) -> None:
        """Let the engine do all that is to do."""
        self.engine._upkeep_at = 0.0  # as if a second had passed
        while self.engine.round():
            pass

    def find(self, order_id: str) -> Order:
        return order_in(OrderRow.objects.get(uuid=order_id))

    def execution(self, row: ExecutionRow) -> tuple[Decimal, Decimal, Decimal]:
        """Return quantity, price and fee of an execution."""
        event = decoded(EventRow.objects.get(account=row.account_id, number=row.number).body)
        assert isinstance(event, Executed)
        return event.quantity, event.price, event.fee

    def check(self) -> None:
        """Check what must always hold: the ledger, and the state that follows from the events."""
        state = self.state
        check_ledger(state)
        account = self.account
        expected = encoded_state(replayed(account, account.number, known=AccountState(id=account.name)))
        assert encoded_state(state) == expected
        # From the newest snapshot, as a process that does not have it.
        assert encoded_state(replayed(account, account.number)) == expected


_PRICES = {"limit_price", "stop_price", "take_profit", "stop_loss"}


def coin(symbol: str = "COIN") -> str:
    """Declare an instrument that trades at any hour, in fractions."""
    market_store().set_instrument(Instrument(symbol, instrument_class="crypto", currency="USD"))
    return symbol
