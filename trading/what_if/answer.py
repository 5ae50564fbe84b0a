"""The answer of a what-if: what was, and beside it what would have been."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from store.timestamps import format_timestamp
from trading.core.curve import point_at_marks
from trading.documents import (
    Document,
    check_document,
    number,
    number_or_null,
    terms_document,
    trade_document,
)
from trading.market.market import Market
from trading.reading.report_documents import report_document
from trading.what_if.inputs import RecordedInputs, RefusedInput
from trading.what_if.outcome import NOTHING, AccountOutcome, Filled
from trading.what_if.replay import AccountReplay

# Of each list so many are shown; `counts` has them all.
MOST_SHOWN = 500
_T = TypeVar("_T")


def what_if_document(replay: AccountReplay) -> Document:
    """Replay an account, and return what differs. Raises the errors of `AccountReplay.run_changed`."""
    was, would_be = AccountOutcome(), AccountOutcome()
    replay.apply_recorded(was.take)
    inputs = replay.run_changed(would_be.take)
    refused = list(inputs.refused.values())
    missing = [trade for trade in was.trades if not _is_entered(trade.id, was, would_be, inputs)]
    fills = _different_fills(was, would_be, inputs)
    return {
        "is_same": was.events == would_be.events,
        "counts": {"refused": len(refused), "missing_trades": len(missing), "fills": len(fills)},
        "refused": _shown(refused, _refusal_document),
        "missing_trades": _shown(missing, trade_document),
        "fills": fills[:MOST_SHOWN],
        "was": _outcome_document(was, replay),
        "would_be": _outcome_document(would_be, replay),
    }


def _is_entered(trade_id: str, was: AccountOutcome, would_be: AccountOutcome, inputs: RecordedInputs) -> bool:
    """Return whether the order that began a trade fills now. A trade from before the replay is left out."""
    order_id = was.order_of.get(trade_id)
    if order_id is None:
        return True
    filled = would_be.orders.get(inputs.ids.get(order_id, order_id))
    return filled is not None and filled.quantity > 0


def _different_fills(was: AccountOutcome, would_be: AccountOutcome, inputs: RecordedInputs) -> list[Document]:
    """Return the orders that fill otherwise, with their fills then and now. One that is only now has its id of now."""
    ids = {order_id: inputs.ids.get(order_id, order_id) for order_id in was.orders}
    pairs = [(each, was.orders[each], would_be.orders.get(ids[each], NOTHING)) for each in ids]
    known = set(ids.values())
    pairs += [(each, NOTHING, filled) for each, filled in would_be.orders.items() if each not in known]
    return [
        {"order_id": order_id, "was": _filled_document(before), "would_be": _filled_document(after)}
        for order_id, before, after in pairs
        if before != after
    ]


def _shown(rows: Sequence[_T], document: Callable[[_T], Document]) -> list[Document]:
    return [document(each) for each in rows[:MOST_SHOWN]]


def _filled_document(filled: Filled) -> Document:
    return {
        "filled": number(filled.quantity),
        "average_price": number_or_null(filled.average_price),
        "fees": number(filled.fees),
    }


def _refusal_document(refusal: RefusedInput) -> Document:
    return {
        "at": format_timestamp(refusal.at_ns),
        "reason": refusal.reason,
        "order_id": refusal.order_id,
        "order": None if refusal.order is None else terms_document(refusal.order),
        "checks": [check_document(check) for check in refusal.checks],
    }


def _outcome_document(outcome: AccountOutcome, replay: AccountReplay) -> Document:
    if outcome.state is not None:
        marks = Market(replay.store).marks(outcome.state, now_ns=replay.until_ns)
        point = point_at_marks(outcome.state, marks, replay.until_ns)
        if point is not None:
            outcome.report.add_point(point)
    outcome.report.end(replay.until_ns + 1)
    last = outcome.report.curve.last
    return {
        "events": len(outcome.events),
        "equity": None if last is None else number(last.equity),
        **report_document(outcome.report),
    }
