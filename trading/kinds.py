"""The kind of jobs that transfer money."""

from decimal import Decimal

from jobs.kinds import Document, JobKind, Run
from trading.account_inputs import TransferParameters
from trading.accounts import account_transfer


def transfer(run: Run) -> Document:
    """Transfer once, however often the job is started: the job's id is the transfer's. Raises the errors of `account_transfer`."""
    account, amount = run.parameters["account"], run.parameters["amount"]
    account_transfer(name=account, transfer=str(run.uuid), amount=Decimal(repr(amount)))
    return {"account": account, "transfer": str(run.uuid), "amount": amount}


TRANSFER = JobKind(
    name="transfer",
    function=transfer,
    serializer=TransferParameters,
    unit="transfers",
    endpoint="account-transfers",
    scope="trading:write",
    sensitivity="confidential",
    audit_class="trading",
    turn=lambda parameters: f"transfer:{parameters['account']}",
)
