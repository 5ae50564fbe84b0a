"""If a print that filled an order is cancelled or corrected later, nothing is unmade, and a person is told."""

from collections.abc import Iterable
from functools import partial

from trading.core.account import AccountState
from trading.core.acts import Act
from trading.core.events import EXECUTION_ALERT, Alert, ExecutionQuestioned, Print
from trading.core.matching import Record
from trading.core.rows import RowCorrection


def question(row: RowCorrection, executions: Iterable[tuple[str, str]]) -> list[tuple[str, Act]]:
    """Return what marks the executions that a row filled, for each account. executions: accounts, and ids."""
    return [(account, partial(_question, execution_id, row)) for account, execution_id in executions]


def _question(execution_id: str, row: RowCorrection, _: AccountState, record: Record) -> None:
    after = row.after if isinstance(row.after, Print) else None
    record(
        ExecutionQuestioned(
            execution_id=execution_id,
            action=row.action,
            correction=row.ref,
            price=None if after is None else after.price,
            volume=None if after is None else after.volume,
        )
    )
    message = f"the print of the execution {execution_id} was changed later ({row.action}): look whether to reverse it"
    record(Alert(kind=EXECUTION_ALERT, message=message, symbol=row.ref.symbol))
