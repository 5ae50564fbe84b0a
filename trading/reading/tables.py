"""The tables of an account that can be exported, each as it was after one of the account's events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from django.db.models import Model, QuerySet

from trading.core.events import ExecutionQuestioned, decoded
from trading.documents.accounts import HeldPositionDocument
from trading.documents.ledger import ExecutionDocument, LedgerLineDocument, TransactionDocument
from trading.documents.orders import OrderDocument
from trading.journal import replayed
from trading.models import OPEN, QUESTIONED, Account, TransactionRow
from trading.reading.selectors import execution_documents
from trading.services.orders import order_in
from web.documents import AnswerDocument

Row = TypeVar("Row", bound=Model)
Pages = Iterator[Sequence[AnswerDocument]]
PAGE_ROWS = 500


class AccountTable(NamedTuple):
    """A table of an account. pages: yields its rows after an event of the account, by its number, the oldest first."""

    document: type[AnswerDocument]
    pages: Callable[[Account, int], Pages]


def _orders(account: Account, event: int) -> Pages:
    # An order that has ended does not change any more.
    working = replayed(account, event).orders
    for rows in _pages(account.orders.all()):
        orders = [working.get(str(row.uuid)) or order_in(row) for row in rows]
        yield [OrderDocument.of(each, account=account.name) for each in orders if each.first_event <= event]


def _executions(account: Account, event: int) -> Pages:
    questioned = _questioned(account, event)
    for rows in _pages(account.executions.filter(number__lte=event).select_related("order")):
        for row in rows:
            row.state = QUESTIONED if str(row.uuid) in questioned else OPEN
        yield execution_documents(rows, account=account)


def _questioned(account: Account, event: int) -> set[str]:
    """Return the ids of the executions that were questioned up to an event."""
    found = account.events.filter(name="execution_questioned", number__lte=event)
    events = map(decoded, found.values_list("body", flat=True).iterator())
    return {each.execution_id for each in events if isinstance(each, ExecutionQuestioned)}


def _transactions(account: Account, event: int) -> Pages:
    for rows in _booked(account, event):
        yield [TransactionDocument.of(row) for row in rows]


def _ledger(account: Account, event: int) -> Pages:
    for rows in _booked(account, event):
        yield [
            line for row in rows for line in LedgerLineDocument.of_transaction(TransactionDocument.of(row))
        ]


def _booked(account: Account, event: int) -> Iterator[list[TransactionRow]]:
    return _pages(account.transactions.filter(number__lte=event))


def _positions(account: Account, event: int) -> Pages:
    positions = replayed(account, event).positions
    yield [HeldPositionDocument.of(position) for _, position in sorted(positions.items())]


def _pages(rows: QuerySet[Row]) -> Iterator[list[Row]]:
    """Yield rows in the order in which they were made, some at a time."""
    last = 0
    while page := list(rows.filter(pk__gt=last).order_by("pk")[:PAGE_ROWS]):
        last = page[-1].pk
        yield page


ACCOUNT_TABLES: Mapping[str, AccountTable] = {
    "orders": AccountTable(OrderDocument, _orders),
    "executions": AccountTable(ExecutionDocument, _executions),
    "transactions": AccountTable(TransactionDocument, _transactions),
    "ledger": AccountTable(LedgerLineDocument, _ledger),
    "positions": AccountTable(HeldPositionDocument, _positions),
}
