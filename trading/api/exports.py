"""Exports of an account's rows: the kind of jobs, and its endpoint."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.exports.tables import TableExportSerializer, table_export
from jobs.exports.views import ExportSubmissionViewSet
from jobs.kinds import JobKind, Run
from store.timestamps import format_timestamp, parse_timestamp, parse_timestamp_or_epoch
from trading.api.account_view import ACCOUNT_ID, ACCOUNT_READ, AccountView
from trading.documents.accounts import HeldPositionDocument
from trading.documents.ledger import ExecutionDocument, LedgerLineDocument, TransactionDocument
from trading.documents.orders import OrderDocument
from trading.journal import state_of
from trading.lease import engine_status
from trading.models import Account, TransactionRow
from trading.selectors import execution_documents
from trading.services.orders import order_in
from web.documents import AnswerDocument
from web.endpoints import WRITE
from web.requests.json_fields import Instant, JsonObject, Word

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


class AccountExportSerializer(TableExportSerializer):
    """Which rows of an account to export."""

    examples: ClassVar = {"All orders": {"table": "orders", "format": "csv"}}

    table = Word([*ACCOUNT_TABLES])
    until = Instant(
        convert=parse_timestamp_or_epoch,
        required=False,
        help_text="The rows up to then, as they are now: ISO 8601, UTC without an offset. Default: all.",
    )


def account_export(run: Run) -> JsonObject:
    """Write a table of an account into a file (the function of the kind)."""
    account, table = (
        Account.objects.get(name=run.parameters["account"]),
        ACCOUNT_TABLES[run.parameters["table"]],
    )
    return table_export(run, table.document, table.pages(account, parse_timestamp(run.parameters["until"])))


ACCOUNT_EXPORT = JobKind(
    name="account_export",
    function=account_export,
    serializer=AccountExportSerializer,
    unit="rows",
    access=replace(ACCOUNT_READ, kind=WRITE),
    account_parameter="account",
    most_unfinished=100,
    is_export=True,
)


class AccountExportsViewSet(AccountView, ExportSubmissionViewSet):
    """Exports of accounts."""

    access: ClassVar = {"create": ACCOUNT_EXPORT.access}
    bodies: ClassVar = {"create": AccountExportSerializer}
    common_parameters = (ACCOUNT_ID,)
    kind = ACCOUNT_EXPORT.name

    def create(self, request: Request, account: str) -> Response:
        """Export rows of an account.

        Queue a job that writes orders, executions, transactions, lines of the ledger or positions into a file.

        It has the rows up to `until`, as they are when the job runs. Positions are those of now.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the body's, the account, and until when."""
        values, account, now_ns = self.body(), self.account(), engine_status().now_ns
        until_ns = min(values.get("until", now_ns), now_ns)
        return {**values, "account": account.name, "until": format_timestamp(until_ns)}
