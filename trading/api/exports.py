"""Exports of an account's rows: the kind of jobs, and its endpoint."""

from dataclasses import replace
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from jobs.exports.tables import TableExportSerializer, table_export
from jobs.exports.views import ExportSubmissionViewSet
from jobs.kinds import JobKind, Run
from store.timestamps import format_timestamp, parse_timestamp, parse_timestamp_or_epoch
from trading.api.access import ACCOUNT_READ
from trading.api.account_view import ACCOUNT_ID, AccountView
from trading.lease import engine_status
from trading.models import Account
from trading.reading.tables import ACCOUNT_TABLES
from web.endpoints import WRITE
from web.requests.json_fields import Instant, JsonObject, Word


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
