"""What this installation's store says for an order, and whether the checks refuse it."""

from typing import Any

from msgspec.structs import replace

from store.exceptions import UnknownSymbol
from trading.core.acceptance import MarketView, judge
from trading.core.account import AccountState
from trading.core.orders import OrderTerms
from trading.core.risk import RiskVerdict
from trading.documents.orders import OrderCheckDocument
from trading.exceptions import RiskRefused, TradingHalted, TradingStopped
from trading.market.symbols import market
from trading.market.views import market_view


def order_view(state: AccountState, order: OrderTerms, *, now_ns: int) -> MarketView:
    """Return what this installation's market says for an order: see `market_view`. Raises UnknownSymbol, too."""
    here = market()
    if not here.is_known(order.symbol):
        raise UnknownSymbol(order.symbol)
    return market_view(here, state, order, now_ns=now_ns)


def order_judge(state: AccountState, order: OrderTerms, view: MarketView, *, now_ns: int) -> RiskVerdict:
    """Check an order in the account's state. Marks that the view lacks are read."""
    missing = market().marks(state, now_ns=now_ns, known=view.marks)
    return judge(state, order, replace(view, marks={**view.marks, **missing}), now_ns=now_ns)


def raise_if_refused(found: RiskVerdict) -> None:
    """Raise TradingStopped, TradingHalted or RiskRefused if a check failed."""
    failed = {check.name: check for check in found.failed}
    if not failed:
        return
    extra: dict[str, Any] = {"checks": [OrderCheckDocument.of(check).as_json() for check in found.checks]}
    if "trading" in failed:
        raise TradingStopped(f"{failed['trading'].message}; start it to open positions", **extra)
    if "zone" in failed:
        raise TradingHalted(**extra)
    message = "; ".join(check.message for check in failed.values())
    raise RiskRefused(message, tuple(failed), **extra)
