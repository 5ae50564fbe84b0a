"""The accounts of the engine: all of them, changed in transactions that have the places of its logs."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.db import DataError, connection
from django.db import Error as DatabaseError
from django.db.models import Max, Q

from audit.chain.append import write_transaction
from audit.services import event_record
from store.exceptions import DataDamaged, StoreUnavailable
from trading.account_store import DatabaseStore
from trading.core.account import AccountState
from trading.core.account_store import Decision, RecordedEvent
from trading.core.events import name_of
from trading.engine.logs import FollowedLog, ReadPosition
from trading.journal import Journal, replayed
from trading.lease import lease_renew
from trading.models import Account, EventRow, LogProgress

logger = logging.getLogger(__name__)

# So long a transaction takes further rows.
_LOCKED_SECONDS = 0.02


class EngineReplaced(Exception):
    """Another process is the engine. This one must do nothing more."""


@dataclass(slots=True, kw_only=True)
class EngineStore(DatabaseStore):
    """The accounts of the engine, which has all of them.

    holder: of the engine's lease. failed: accounts whose decisions failed, and that are left alone for a while. moved:
    logs of which the engine has taken rows since their places were stored.
    """

    holder: UUID
    failed: set[str] = field(default_factory=set)
    moved: dict[tuple[str, str], FollowedLog] = field(default_factory=dict)
    _transaction: ExitStack | None = None
    _begun_at: float | None = None
    # At the last `refresh`.
    _newest_event: int | None = None

    def refresh(self, *, is_thorough: bool = False) -> None:
        """Read the accounts that other processes changed.

        is_thorough: whether to read all numbers also if there is no newer event. On PostgreSQL an event may be committed
        after a newer one: it is found then.
        """
        newest = EventRow.objects.aggregate(newest=Max("pk"))["newest"]
        if newest == self._newest_event and not is_thorough:
            return
        self._newest_event = newest
        numbers = dict(Account.objects.exclude(name__in=self.failed).values_list("name", "number"))
        changed = [
            name
            for name, number in numbers.items()
            if name not in self.states or self.states[name].number != number
        ]
        for account in Account.objects.filter(name__in=changed):
            with self._blaming(account.name):
                self._load(account)

    def _load(self, account: Account) -> None:
        """Go on from the state that is known with the events of other processes."""
        known = self.states.pop(account.name, None)
        if known is not None and known.number > account.number:
            known = None
        self.accounts[account.name] = account
        self.put(replayed(account, account.number, known=known))

    @contextmanager
    def _blaming(self, name: str) -> Iterator[None]:
        """Leave an account alone for a while if an error is its own, for the others' sake. What passes is raised."""
        try:
            yield
        except Exception as error:
            if is_passing(error):
                raise
            logger.exception("the engine leaves the account %s alone for a while", name)
            self.failed.add(name)

    def move(self, log: FollowedLog, place: ReadPosition) -> None:
        """Note that a log was worked through up to a place. It is stored with what is recorded next."""
        log.place = place
        self.moved[log.dataset.name, log.symbol] = log

    def act(self, name: str, decide: Decision, *, at_ns: int) -> list[RecordedEvent]:
        """Do as other stores do, in the transaction of `one_transaction`, or in an own one.

        The transaction has an audit record of each call, and the places of all logs, so that an engine that begins again
        has taken the same rows of each. An account whose decision fails is left alone for a while, and the others go on.
        Raises EngineReplaced, and the errors of the database and the store.
        """
        if name in self.failed:
            return []
        with self.one_transaction():
            recorded = super(EngineStore, self).act(name, decide, at_ns=at_ns)
            if recorded:
                _audit(name, recorded)
        return recorded

    def _decide(
        self, name: str, decide: Decision, take: Callable[[RecordedEvent], object], at_ns: int
    ) -> list[RecordedEvent]:
        with self._blaming(name):
            return super(EngineStore, self)._decide(name, decide, take, at_ns)
        self.read(name)
        return []

    def _append(self, journal: Journal, state: AccountState) -> bool:
        self._begin()
        return super(EngineStore, self)._append(journal, state)

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Write all that is recorded meanwhile in one transaction, which begins with the first event.

        It ends with the places of the logs.
        """
        if self._transaction is not None:
            yield
            return
        try:
            with ExitStack() as self._transaction:
                yield
                if self._begun_at is not None:
                    self.places_save()
        finally:
            self._transaction = self._begun_at = None

    def _begin(self) -> None:
        assert self._transaction is not None  # noqa: S101 `act` sees to it
        if self._begun_at is None:
            self._transaction.enter_context(write_transaction())
            self._begun_at = time.monotonic()
            if not lease_renew(self.holder):
                raise EngineReplaced

    @property
    def is_waited_for(self) -> bool:
        """Whether the open transaction has locked the database for so long that it should end."""
        return self._begun_at is not None and time.monotonic() - self._begun_at > _LOCKED_SECONDS

    def let_go(self, logs: Collection[tuple[str, str]]) -> bool:
        """Forget how far logs were worked through that no account needs any more, and return whether that was done.

        Not if an account was changed meanwhile: it may have ordered one of their symbols.
        """
        wanted = Q()
        for dataset, symbol in logs:
            wanted |= Q(dataset=dataset, symbol=symbol)
        with write_transaction():
            rows = LogProgress.objects.filter(wanted)
            if connection.features.has_select_for_update:
                len(rows.select_for_update().order_by("pk"))
            numbers = dict(Account.objects.values_list("name", "number"))
            if numbers != {name: state.number for name, state in self.states.items()}:
                return False
            rows.delete()
        for log in logs:
            self.moved.pop(log, None)
        return True

    def places_save(self) -> None:
        """Store how far the logs were worked through, and renew the lease.

        Raises EngineReplaced if another process is the engine.
        """
        with write_transaction():
            if not lease_renew(self.holder):
                raise EngineReplaced
            for log in self.moved.values():
                _place_save(log)
        self.moved.clear()


def is_passing(error: BaseException) -> bool:
    """Return whether an error is of the database or the store, and may be gone when the engine begins again.

    A value that PostgreSQL refuses (DataError) is refused again.
    """
    is_of_store = isinstance(error, StoreUnavailable) and not isinstance(error, DataDamaged)
    return is_of_store or (isinstance(error, DatabaseError) and not isinstance(error, DataError))


def _audit(account: str, recorded: Sequence[RecordedEvent]) -> None:
    """Write an audit record of what the engine did, in the same transaction; for one call with its correlation id."""
    orders = [order for each in recorded for order in each.effects.orders]
    ids = sorted({order.correlation_id for order in orders if order.correlation_id})
    event_record(
        at=datetime.now(UTC),
        actor="engine",
        audit_class="trading",
        event="account.changed",
        subject=f"account:{account}",
        correlation_id=ids[0] if len(ids) == 1 else "",
        detail={"events": {str(each.number): name_of(each.event) for each in recorded}},
    )


def _place_save(log: FollowedLog) -> None:
    place = log.place
    LogProgress.objects.filter(dataset=log.dataset.name, symbol=log.symbol).update(
        commit=place.position.commit.number,
        hash=place.position.commit.hash,
        ordinal=place.position.ordinal,
        newest_ns=place.newest_ns,
    )
