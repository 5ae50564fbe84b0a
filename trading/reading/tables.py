"""The tables of an account that can be exported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from django.db.models import Model, QuerySet

from trading.documents.accounts import HeldPositionDocument
from trading.documents.ledger import ExecutionDocument, LedgerLineDocument, TransactionDocument
from trading.documents.orders import OrderDocument
from trading.journal import state_of
from trading.models import Account, TransactionRow
from trading.reading.selectors import execution_documents
from trading.services.orders import order_in
from web.documents import AnswerDocument

Row = TypeVar("Row", bound=Model)
Pages = Iterator[Sequence[AnswerDocument]]
PAGE_ROWS = 500


class AccountTable(NamedTuple):
    """A table of an account. pages: yields its rows up to an instant, the oldest first, as they are now."""

    document: type[AnswerDocument]
    pages: Callable[[Account, int], Pages]


def _orders(account: Account, until_ns: int) -> Pages:
    for rows in _pages(account.orders.filter(submitted_ns__lte=until_ns)):
        yield [OrderDocument.of(order_in(row), account=account.name) for row in rows]


def _executions(account: Account, until_ns: int) -> Pages:
    for rows in _pages(account.executions.filter(at_ns__lte=until_ns).select_related("order")):
        yield execution_documents(rows, account=account)


def _transactions(account: Account, until_ns: int) -> Pages:
    for rows in _booked(account, until_ns):
        yield [TransactionDocument.of(row) for row in rows]


def _ledger(account: Account, until_ns: int) -> Pages:
    for rows in _booked(account, until_ns):
        yield [
            line for row in rows for line in LedgerLineDocument.of_transaction(TransactionDocument.of(row))
        ]


def _booked(account: Account, until_ns: int) -> Iterator[list[TransactionRow]]:
    return _pages(account.transactions.filter(at_ns__lte=until_ns))


def _positions(account: Account, _until_ns: int) -> Pages:
    positions = state_of(account).positions
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
