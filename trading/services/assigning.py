"""Services of strategies: assign one to an account, carry out what it wants, end one that failed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from django.db import transaction

from audit.chain.append import write_transaction
from audit.services import event_record
from trading.account_store import account_act
from trading.core.account import AccountState
from trading.core.account_store import Decision
from trading.core.events import STRATEGY_ALERT, Alert, Event, StrategyAssigned, StrategyChoice, name_of
from trading.core.matching import Record
from trading.exceptions import StrategyNameTaken
from trading.lease import engine_status
from trading.models import Account, RunningStrategy

_LONGEST_FAILURE = 500


class StrategyReplaced(Exception):
    """The strategy does not run for the account any more, or another process runs it. This one must do nothing more."""


def strategy_assign(*, account: Account, strategy: StrategyChoice | None, by: str) -> None:
    """Have a strategy decide for the account from now on; none with None. What it holds and orders stays.

    Assigned anew, also with the same values, a strategy begins without what it remembered. The strategy's name,
    parameters and symbols were checked. Raises StrategyNameTaken.
    """
    now_ns = engine_status().now_ns

    def assign(state: AccountState, record: Record) -> int | None:
        if strategy is not None and strategy.name == state.preferences.model:
            raise StrategyNameTaken(f"the account's model is called {strategy.name}, too")
        if strategy is not None or state.assignment is not None:
            record(StrategyAssigned(strategy=strategy, by=by))
        return None if strategy is None else state.number

    with transaction.atomic():
        number = account_act(account.name, assign, at_ns=now_ns)
        RunningStrategy.objects.filter(account=account).delete()
        if number is not None:
            RunningStrategy.objects.create(
                account=account, assignment=number, number=number, shown_ns=now_ns - 1
            )


def strategy_act(
    *,
    running: RunningStrategy,
    decisions: Sequence[Decision],
    save: Callable[[], object],
    by: str,
    at_ns: int,
) -> None:
    """Carry out what a strategy wants, each in turn, and save what it remembers, in one transaction.

    Raises StrategyReplaced, what `save` raises, and the errors of the database and the store.
    """
    events = dict[str, str]()

    def act(state: AccountState, record: Record) -> None:
        def noted(event: Event) -> object:
            result = record(event)
            events[str(state.number)] = name_of(event)
            return result

        check_runs(running, state)
        for decide in decisions:
            decide(state, noted)

    name = running.account.name
    with write_transaction():
        account_act(name, act, at_ns=at_ns)
        if events:
            event_record(
                at=datetime.now(UTC),
                actor=by,
                audit_class="trading",
                event="account.changed",
                subject=f"account:{name}",
                detail={"events": events},
            )
        save()


def check_runs(running: RunningStrategy, state: AccountState) -> None:
    """Raises StrategyReplaced if the account has another assignment by now, or none."""
    assignment = state.assignment
    if assignment is None or assignment.number != running.assignment or assignment.failure:
        raise StrategyReplaced(f"the strategy of the account {state.id} does not run any more")


def strategy_fail(*, running: RunningStrategy, reason: str, at_ns: int) -> None:
    """End a strategy that failed, with an alert. The account stays as it is. Does nothing if it runs no more."""
    fail = partial(_fail, running, reason[:_LONGEST_FAILURE])
    with transaction.atomic():
        account_act(running.account.name, fail, at_ns=at_ns)
        RunningStrategy.objects.filter(pk=running.pk, assignment=running.assignment).delete()


def _fail(running: RunningStrategy, reason: str, state: AccountState, record: Record) -> None:
    assignment = state.assignment
    if assignment is not None and assignment.number == running.assignment and not assignment.failure:
        message = f"The strategy {assignment.strategy.name} failed: {reason}. It decides no more; orders and positions stay."
        record(Alert(kind=STRATEGY_ALERT, message=message))
        record(StrategyAssigned(strategy=assignment.strategy, failure=reason, by="strategies"))
