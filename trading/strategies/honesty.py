"""Whether a strategy decides by data that could not have been known: it runs on bars of now, and on bars of then."""

from collections.abc import Callable
from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from store.reading import Reader
from store.timestamps import format_timestamp
from trading.core.events import CancelRequested, OrderAccepted, OrderRejected
from trading.core.orders import OrderTerms
from trading.documents.backtests import DecisionDocument, DecisionsThatDifferDocument, HonestyDocument
from trading.engine.floor import RecordedEvent
from trading.strategies.backtest import Backtest, BacktestInputs
from web.documents import number


class Decision(NamedTuple):
    """What a strategy decided at an instant. order: None for a cancel, whose orders are counted."""

    at_ns: int
    order: OrderTerms | None
    cancelled: int = 0


class Honesty(NamedTuple):
    """How the decisions differ with both kinds of knowledge.

    first: the first that differ, with what is known now and with what was known then; None for no decision there.
    same: how many decisions are equal before it. equity_now, equity_then: at the end, in the account's currency.
    """

    first: tuple[Decision | None, Decision | None] | None
    same: int
    equity_now: Decimal
    equity_then: Decimal

    @property
    def unknowable(self) -> Decimal:
        """How much of the result was data that could not have been known."""
        return self.equity_now - self.equity_then


def honesty_of(
    inputs: BacktestInputs, reader: Reader, progress: Callable[[float], object] = lambda _: None
) -> Honesty:
    """Run a strategy with what is known now and with what was known then. Raises StrategyError.

    progress: is told the part of both runs that is done, now and then.
    """

    def run(knowledge: str, done: float) -> tuple[list[Decision], Decimal]:
        known = msgspec.structs.replace(inputs, knowledge=knowledge)
        return _decisions(known, reader, lambda part: progress(done + part / 2))

    (now, equity_now), (then, equity_then) = run("now", 0), run("then", 0.5)
    pairs = enumerate(zip_longest(now, then))
    found = next(((index, pair) for index, pair in pairs if pair[0] != pair[1]), None)
    same, first = (len(now), None) if found is None else found
    return Honesty(first, same, equity_now, equity_then)


def _decisions(
    inputs: BacktestInputs, reader: Reader, progress: Callable[[float], object]
) -> tuple[list[Decision], Decimal]:
    decisions: list[Decision] = []

    def keep(recorded: RecordedEvent) -> None:
        event = recorded.event
        is_own = getattr(event, "by", "").startswith("strategy:")
        if isinstance(event, OrderAccepted | OrderRejected) and is_own:
            if getattr(event, "leg_of", None) is None:
                decisions.append(Decision(recorded.at_ns, event.order))
        elif isinstance(event, CancelRequested) and is_own:
            decisions.append(Decision(recorded.at_ns, None, len(event.order_ids)))

    state = Backtest(inputs, reader, keep).run(progress)
    return decisions, state.equity


def honesty_document(honesty: Honesty) -> HonestyDocument:
    """Return the document of a test of honesty."""
    first = None if honesty.first is None else DecisionsThatDifferDocument(*map(_decision, honesty.first))
    return HonestyDocument.of_attributes(honesty, first=first)


def _decision(decision: Decision | None) -> DecisionDocument | None:
    if decision is None:
        return None
    order = decision.order
    return DecisionDocument(
        at=format_timestamp(decision.at_ns),
        side=None if order is None else order.side,
        symbol=None if order is None else order.symbol,
        quantity=None if order is None else number(order.quantity),
        cancelled=decision.cancelled,
    )
