"""Why an execution is as it is: the stored events that decided it. `account verify` computes them again."""

import msgspec

from trading.core.events import Executed, OrderAccepted, decoded
from trading.documents.ledger import ExplanationDocument
from trading.journal import replayed
from trading.models import EventRow, ExecutionRow


def execution_explain(row: ExecutionRow) -> ExplanationDocument:
    """Return what an execution was decided by: its order as accepted, the print, the checks, the limits.

    Amounts are texts, as in the account's events. The document depends on nothing that comes later.
    """
    account = row.account
    executed = decoded(EventRow.objects.get(account=account, number=row.number).body)
    assert isinstance(executed, Executed)  # noqa: S101 the row names the number of its event
    state = replayed(account, row.number - 1)
    order = state.orders[executed.order_id]
    accepted = decoded(EventRow.objects.get(account=account, number=order.first_event).body)
    assert isinstance(accepted, OrderAccepted)  # noqa: S101 as its number says
    return ExplanationDocument(
        account=account.name,
        number=row.number,
        execution=msgspec.to_builtins(executed),
        order={
            **msgspec.to_builtins(accepted),
            "filled_before": str(order.filled),
            "is_triggered": order.is_triggered,
        },
        risk={"version": state.risk_version, "config": msgspec.to_builtins(state.config)},
    )
