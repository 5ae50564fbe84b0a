"""Transfers: the job that pays money in or out, and its endpoint."""

from decimal import Decimal

from rest_framework.request import Request
from rest_framework.response import Response

from jobs.kinds import JobKind, Run
from jobs.views import SubmissionViewSet
from trading.api.access import ACCOUNT_CHANGE
from trading.api.account_inputs import TransferInput, TransferParameters
from trading.api.account_view import AccountView, require_submitter
from trading.journal import state_of
from trading.lease import engine_status
from trading.models import Account
from trading.services.accounts import account_transfer, transferable_equity
from web.requests.json_fields import JsonObject


def transfer(run: Run) -> JsonObject:
    """Transfer once, however often the job is started: the job's id is the transfer's.

    Raises the errors of `account_transfer`, and those of SUBMITTER_REFUSED.
    """
    require_submitter(run, TRANSFER.access)
    account = run.parameters["account"]
    account_transfer(name=account, transfer=str(run.uuid), amount=_amount(run.parameters))
    return {"account": account, "transfer": str(run.uuid), "amount": run.parameters["amount"]}


TRANSFER = JobKind(
    name="transfer",
    function=transfer,
    serializer=TransferParameters,
    unit="transfers",
    access=ACCOUNT_CHANGE,
    account_parameter="account",
    turn=lambda parameters: f"transfer:{parameters['account']}",
)


class TransfersViewSet(AccountView, SubmissionViewSet):
    """Money that is paid in or out."""

    verbs = {"create": ""}
    bodies = {"create": TransferInput}
    access = {"create": TRANSFER.access}
    kind = TRANSFER.name

    def create(self, request: Request, account: str) -> Response:
        """Transfer money.

        Queue a job that pays money in (above zero) or out. It moves no percentage of drawdown or loss.

        422 `invalid_transfer` if the money is not there, or pays for positions and orders; the job fails with it if that
        becomes so before it runs.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the body's, and the account of the path."""
        values = self.body()
        account, _ = self.account_to_change()
        return {"account": account.name, **values}

    def require_possible(self, parameters: JsonObject) -> None:
        """Raise InvalidTransfer, AccountNotValued."""
        state = state_of(Account.objects.get(name=parameters["account"]))
        transferable_equity(state, _amount(parameters), now_ns=engine_status().now_ns)


def _amount(parameters: JsonObject) -> Decimal:
    return Decimal(repr(parameters["amount"]))
