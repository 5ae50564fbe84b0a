"""The inputs of an account, done again: what clients, people and strategies did, not what the engine made of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from trading.core import due, events
from trading.core.acceptance import MarketView, accept, end_of, judge, next_order_id
from trading.core.account import RUNNING, AccountState
from trading.core.acts import Act
from trading.core.configuration import RiskConfig
from trading.core.events import Check, Event, Executed, OrderAccepted
from trading.core.matching import Record, execution_id_of
from trading.core.orders import OrderState, OrderTerms
from trading.core.rows import MarketRow
from trading.core.transfers import refusal_of
from trading.core.valuation import UnknownMark, equity_of
from trading.market.market import Market

# What the engine derives. A halt is an input if its log was restored, a cancel if the engine did not ask for it.
_DERIVED = (
    events.OrderWorking, events.OrderRested, events.OrderEnded, events.OrderTriggered, Executed,
    events.ExecutionQuestioned, events.SplitApplied, events.DividendPaid, events.Settled, events.BorrowCharged,
    events.Marked, events.CloseQueued, events.Stopped,
)  # fmt: skip


class StoredEvent(NamedTuple):
    """An event of an account as it is stored."""

    number: int
    at_ns: int
    event: Event


class RefusedInput(NamedTuple):
    """An input that was done, and would not have been. order: None for other inputs. checks: those that failed."""

    at_ns: int
    reason: str
    order: OrderTerms | None = None
    order_id: str | None = None
    checks: tuple[Check, ...] = ()


def is_input(event: Event) -> bool:
    """Return whether somebody did this, so that it does not follow from other events, rows and time."""
    if isinstance(event, events.CancelRequested):
        return event.reason != "halt"
    if isinstance(event, OrderAccepted):
        return event.by != due.STOP
    if isinstance(event, events.HaltLatched):
        return event.symbol is not None
    if isinstance(event, events.OverrideEnded):
        return bool(event.by)
    if isinstance(event, events.Alert):
        return event.kind == events.STRATEGY_ALERT
    return not isinstance(event, _DERIVED)


def _is_part_of_input(event: Event) -> bool:
    """Return whether an event came with the acceptance before it: a leg, or the cancel of what it replaces."""
    if isinstance(event, OrderAccepted):
        return event.leg_of is not None
    return isinstance(event, events.CancelRequested) and event.reason == "replaced"


@dataclass(slots=True)
class RecordedInputs:
    """A follower that does an account's inputs at their instants, in the order of their events.

    Time passes at the instants of the other events, too. change: returns the limits that hold in the place of others.
    refused: by the number of the event, the inputs that the account refuses now. ids: of the orders that were placed
    again, by their ids then; "" for one that is refused now.
    """

    account: str
    market: Market
    change: Callable[[RiskConfig], RiskConfig]
    refused: dict[int, RefusedInput] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    _steps: list[tuple[int, list[StoredEvent]]] = field(default_factory=list)
    _next: int = 0
    _recorded_executions: dict[str, Executed] = field(default_factory=dict)
    _executions: dict[str, Executed] = field(default_factory=dict)
    _legs: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, stored: Iterable[StoredEvent]) -> None:
        """Add the account's events in their order. An input comes no earlier than what was recorded before it."""
        now_ns, follows_input = 0, False
        for each in stored:
            event = each.event
            if isinstance(event, Executed):
                self._recorded_executions[event.execution_id] = event
            if isinstance(event, OrderAccepted) and event.leg_of is not None:
                self._legs[event.leg_of, event.leg or ""] = event.order_id
            if _is_part_of_input(event):
                continue
            if each.at_ns > now_ns or not self._steps or (is_input(event) and not follows_input):
                now_ns = max(now_ns, each.at_ns)
                self._steps.append((now_ns, []))
            follows_input = is_input(event)
            if follows_input:
                self._steps[-1][1].append(each)

    def note(self, event: Event) -> None:
        """Note an event of the account as it is now. Give all: a bust looks up the execution that is now."""
        if isinstance(event, Executed):
            self._executions[event.execution_id] = event

    def next_ns(self) -> int | None:
        """Return the instant of the next event."""
        return self._steps[self._next][0] if self._next < len(self._steps) else None

    def due(self, now_ns: int) -> Sequence[tuple[str, Act]]:
        """Return the inputs of an instant between which the engine did nothing, as one act."""
        inputs = self._steps[self._next][1]
        self._next += 1
        return [(self.account, partial(self._do_all, inputs))] if inputs else []

    def taken(self, row: MarketRow) -> Sequence[tuple[str, Act]]:
        """Do nothing: inputs come by their instants."""
        return ()

    def _do_all(self, inputs: Sequence[StoredEvent], state: AccountState, record: Record) -> None:
        for each in inputs:
            reason = self._do(each, state, record)
            if reason is not None:
                self.refused.setdefault(each.number, RefusedInput(each.at_ns, reason))

    def _do(self, stored: StoredEvent, state: AccountState, record: Record) -> str | None:
        """Do an input again, or return why not. An order that is refused is noted with its checks."""
        match stored.event:
            case OrderAccepted() as event:
                self._order(stored.number, event, state, record)
            case events.CancelRequested() as event:
                self._cancel(event, state, record)
            case events.Transferred() as event:
                return self._transfer(stored.at_ns, event, state, record)
            case events.ExecutionBusted() as event:
                return self._bust(event, state, record)
            case event:
                refusal = _refusal(event, state)
                if refusal is None:
                    self._again(event, state, record)
                return refusal
        return None

    def _again(self, event: Event, state: AccountState, record: Record) -> None:
        match event:
            case events.StopRequested():
                due.request_stop(state, record, by=event.by, reason=event.reason)
            case events.HaltLatched():
                due.halt(state, event.reason, record, event.symbol)
            case events.RiskConfigured():
                record(msgspec.structs.replace(event, config=self.change(event.config)))
            case events.TradingStarted() if state.status == RUNNING:
                pass
            case events.OrderRejected():
                self.ids[event.order_id] = order_id = next_order_id(state)
                record(msgspec.structs.replace(event, order_id=order_id))
            case _:
                record(event)

    def _order(self, number: int, event: OrderAccepted, state: AccountState, record: Record) -> None:
        """Judge an order again, by what the market said then. Orders that close are accepted whatever is checked."""
        now_ns = event.submitted_ns
        replaces = None if event.replaces is None else self.ids.get(event.replaces, event.replaces)
        old = None if replaces is None else state.orders.get(replaces)
        if replaces is not None and (old is None or old.state is OrderState.PENDING_CANCEL):
            self._refuse(number, event, "the order that it replaces is not open")
            return
        bars_from_ns = self.market.bars_from_ns(event.order.symbol, event.matches_after_ns)
        expires_ns = event.expires_ns
        if bars_from_ns is None:
            expires_ns = end_of(
                event.order, state.config, now_ns=now_ns, session_end_ns=lambda: event.expires_ns
            )
        marks = self.market.marks(state, now_ns=now_ns)
        view = MarketView(event.terms, event.reference, marks, event.commits, expires_ns, bars_from_ns)
        found = judge(state, event.order, view, now_ns=now_ns)
        if not found.is_passed and all(check.is_passed for check in event.checks):
            self._refuse(number, event, found.failed[0].message, tuple(found.failed))
            return
        new_id = accept(state, record, found, view, now_ns=now_ns, by=event.by, replaces=replaces)
        self.ids[event.order_id] = new_id
        for leg in state.legs_of(new_id):
            self.ids[self._legs[event.order_id, leg.leg or ""]] = leg.id
        if replaces is not None:
            record(events.CancelRequested(order_ids=(replaces,), reason="replaced", by=event.by))

    def _refuse(self, number: int, event: OrderAccepted, reason: str, checks: tuple[Check, ...] = ()) -> None:
        refusal = RefusedInput(event.submitted_ns, reason, event.order, event.order_id, checks)
        self.refused.setdefault(number, refusal)
        # Another order may have their ids now.
        self.ids[event.order_id] = ""
        self.ids |= {
            leg_id: "" for (parent_id, _), leg_id in self._legs.items() if parent_id == event.order_id
        }

    def _cancel(self, event: events.CancelRequested, state: AccountState, record: Record) -> None:
        if event.reason == due.STOP:
            due.request_stop(state, record, by=event.by, reason="")
            return
        ids = [self.ids.get(each, each) for each in event.order_ids]
        asked = tuple(each for each in ids if each in state.orders and state.orders[each].may_be_cancelled)
        if asked:
            record(msgspec.structs.replace(event, order_ids=asked))

    def _transfer(
        self, at_ns: int, event: events.Transferred, state: AccountState, record: Record
    ) -> str | None:
        try:
            equity = equity_of(state, self.market.marks(state, now_ns=at_ns))
        except UnknownMark as error:
            return str(error)
        refusal = refusal_of(state, equity, event.amount)
        if refusal is None:
            record(msgspec.structs.replace(event, equity=equity))
        return refusal

    def _bust(self, event: events.ExecutionBusted, state: AccountState, record: Record) -> str | None:
        """Bust the execution of the same print, if there is one."""
        before = self._recorded_executions.get(event.execution_id)
        if before is None:
            record(event)
            return None
        order_id = self.ids.get(before.order_id, before.order_id)
        found = self._executions.get(execution_id_of(order_id, before.print.ref))
        if found is None:
            return "the execution that was busted would not have been"
        record(
            msgspec.structs.replace(
                event, execution_id=found.execution_id, quantity=found.quantity, price=found.price, fee=found.fee,
                rate=found.rate,
            )
        )  # fmt: skip
        return None


def _refusal(event: Event, state: AccountState) -> str | None:
    """Return why an input cannot be done now; None if it can."""
    match event:
        case events.TradingStarted() if state.halt is not None:
            return f"the account is halted: {state.halt.reason}"
        case events.HaltReleased():
            return "the account is not halted" if state.halt is None else None
        case events.OverrideEnded():
            return "there is no override" if state.override is None else None
        case events.RiskOverridden() if event.risk_level > state.config.max_risk_level:
            return "the risk level is above the maximum"
    return None
