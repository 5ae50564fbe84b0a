"""The accounts as the engine knows them, and the only way in which it changes them."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import msgspec
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Q

from audit.chain.append import write_transaction
from audit.services import event_record
from store.exceptions import DataDamaged, StoreUnavailable
from trading.core.account import AccountState
from trading.core.acts import Act, would_record
from trading.core.events import Event, RowRef
from trading.engine.floor import RecordedEvent
from trading.engine.logs import FollowedLog, ReadPosition
from trading.journal import Journal, open_journal, state_of
from trading.lease import lease_renew
from trading.models import Account, ExecutionRow, LogProgress
from web.tracing import ended_span

logger = logging.getLogger(__name__)

# So long a transaction takes further rows.
_LOCKED_SECONDS = 0.02


class EngineReplaced(Exception):
    """Another process is the engine. This one must do nothing more."""


@dataclass(slots=True)
class Desk:
    """The accounts' states.

    holder: of the engine's lease. version, changed: see `trading.engine.floor.AccountsDesk`. failed: accounts for which
    something failed that must not fail. moved: logs of which the engine has taken rows since their places were stored.
    keep: is told of each event that an act recorded. keep_places: stores with the places what else must be of the same
    instant.
    """

    holder: UUID
    version: int = 0
    changed: set[str] = field(default_factory=set)
    states: dict[str, AccountState] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    moved: dict[tuple[str, str], FollowedLog] = field(default_factory=dict)
    keep: Callable[[RecordedEvent], object] = lambda _: None
    keep_places: Callable[[], object] = lambda: None
    _symbols_of: dict[str, set[str]] = field(default_factory=dict)
    _accounts_of: dict[str, set[str]] = field(default_factory=dict)
    _transaction: ExitStack | None = None
    _begun_at: float | None = None
    # Whether `act` read what others changed since the last `refresh`.
    _has_read_changes: bool = False

    def refresh(self) -> bool:
        """Read the accounts that other processes changed. Return whether it or `act` read any."""
        numbers = dict(Account.objects.exclude(name__in=self.failed).values_list("name", "number"))
        changed = [
            name
            for name, number in numbers.items()
            if name not in self.states or self.states[name].number != number
        ]
        if not changed and not self._has_read_changes:
            return False
        self._has_read_changes = False
        for account in Account.objects.filter(name__in=changed):
            with suppress(msgspec.MsgspecError), self._blaming(account.name):
                self._set_state(account.name, state_of(account, self.states.get(account.name)))
        self.version += 1
        return True

    def _set_state(self, name: str, state: AccountState) -> None:
        before, after = self._symbols_of.get(name, set()), state.symbols()
        for symbol in before - after:
            self._accounts_of[symbol].discard(name)
            if not self._accounts_of[symbol]:
                del self._accounts_of[symbol]
        for symbol in after - before:
            self._accounts_of.setdefault(symbol, set()).add(name)
        self.states[name], self._symbols_of[name] = state, after
        self.changed.add(name)

    @property
    def symbols(self) -> Collection[str]:
        """The symbols that accounts hold or order."""
        return self._accounts_of.keys()

    def of_symbol(self, symbol: str) -> list[str]:
        """Return the accounts that hold or order a symbol."""
        return sorted(self._accounts_of.get(symbol, ()))

    def filled_by(self, ref: RowRef) -> list[tuple[str, str]]:
        """Return the executions that a row filled: accounts, and ids."""
        executions = ExecutionRow.objects.filter(
            symbol=ref.symbol,
            dataset=ref.dataset,
            commit=int(ref.commit.partition("-")[0]),
            ordinal=ref.ordinal,
        )
        return [(name, str(uuid)) for name, uuid in executions.values_list("account__name", "uuid")]

    def move(self, log: FollowedLog, place: ReadPosition) -> None:
        """Note that a log was worked through up to a place. It is stored with what is recorded next."""
        log.place = place
        self.moved[log.dataset.name, log.symbol] = log

    def act(self, acts: Iterable[tuple[str, Act]], *, at_ns: int) -> bool:
        """Do what acts record, for all accounts in one transaction: that of `one_transaction`, or an own one.

        It has an audit record for each account, and the places of all logs, so that an engine that begins again has
        taken the same rows of each. Return whether anything was recorded. Raises EngineReplaced.
        """
        wanted = [(name, act) for name, act in acts if name not in self.failed and self._wants(name, act)]
        if not wanted:
            return False
        with self.one_transaction():
            self._begin()
            if not lease_renew(self.holder):
                raise EngineReplaced
            for name, act in wanted:
                began_ns = time.perf_counter_ns()
                with open_journal(name, self.states[name]) as journal, self._blaming(name):
                    self._has_read_changes |= journal.state.number != self.states[name].number
                    act(journal.state, partial(self._record, journal, at_ns))
                self._set_state(name, journal.state)
                ids = journal.correlation_ids
                for each in ids or [""]:
                    ended_span("engine step", each, took_ns=time.perf_counter_ns() - began_ns, account=name)
                _audit(name, journal, ids)
            self.version += 1
        return True

    def _record(self, journal: Journal, at_ns: int, event: Event) -> None:
        journal.record(event, at_ns=at_ns)
        state = journal.state
        self.keep(RecordedEvent(at_ns, state.id, state.number, event, journal.effects, state))

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Write all that acts record meanwhile in one transaction, which begins with the first of them.

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

    @property
    def is_waited_for(self) -> bool:
        """Whether the open transaction has locked the database for so long that it should end."""
        return self._begun_at is not None and time.monotonic() - self._begun_at > _LOCKED_SECONDS

    def _wants(self, name: str, act: Act) -> bool:
        """Return whether an act would record something; False if it fails."""
        try:
            with self._blaming(name):
                return would_record(act, self.states[name])
        except Exception as error:
            if is_passing(error):
                raise
            return False

    @contextmanager
    def _blaming(self, name: str) -> Iterator[None]:
        """Leave an account alone for a while if its act fails, for the others' sake.

        What passes is no error of its own.
        """
        try:
            yield
        except Exception as error:
            if not is_passing(error):
                logger.exception("the engine leaves the account %s alone for a while", name)
                self.failed.add(name)
            raise

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

    def executed_since(self, symbols: Collection[str], since_ns: int) -> set[str]:
        """Return the symbols of which executions are younger than an instant."""
        rows = ExecutionRow.objects.filter(symbol__in=symbols, at_ns__gte=since_ns)
        return set(rows.values_list("symbol", flat=True).distinct())

    def places_save(self) -> None:
        """Store how far the logs were worked through, and renew the lease.

        Raises EngineReplaced if another process is the engine.
        """
        with write_transaction():
            if not lease_renew(self.holder):
                raise EngineReplaced
            for log in self.moved.values():
                _place_save(log)
            self.keep_places()
        self.moved.clear()


def is_passing(error: BaseException) -> bool:
    """Return whether an error is of the database or the store, and may be gone when the engine begins again."""
    is_of_store = isinstance(error, StoreUnavailable) and not isinstance(error, DataDamaged)
    return is_of_store or isinstance(error, DatabaseError)


def _audit(account: str, journal: Journal, ids: list[str]) -> None:
    """Write an audit record of what the engine did, in the same transaction; for one call with its correlation id."""
    if recorded := journal.recorded:
        event_record(
            at=datetime.now(UTC),
            actor="engine",
            audit_class="trading",
            event="account.changed",
            subject=f"account:{account}",
            correlation_id=ids[0] if len(ids) == 1 else "",
            detail={"events": {str(number): name for number, name in recorded.items()}},
        )


def _place_save(log: FollowedLog) -> None:
    place = log.place
    LogProgress.objects.filter(dataset=log.dataset.name, symbol=log.symbol).update(
        commit=place.position.commit.number,
        hash=place.position.commit.hash,
        ordinal=place.position.ordinal,
        newest_ns=place.newest_ns,
    )
