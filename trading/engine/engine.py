"""The engine: takes the rows of all logs in one order, and does what follows from them and from time."""

import logging
import time
from collections.abc import Iterator, Mapping
from functools import partial
from threading import Event as Ending
from uuid import uuid4

from django.db import close_old_connections

from store.datasets import CORPORATE_ACTIONS, DATASETS
from store.protocol import ALL_TIME, CommitId
from store.timestamps import format_timestamp
from store.walk import BEGINNING, LogPosition
from trades.stores import market_store
from trading.core import due
from trading.core.account import STOPPED, STOPPING, AccountState
from trading.core.amounts import NS_PER_SECOND
from trading.core.due import ENGINE, request_cancels
from trading.core.matching import Record
from trading.engine.engine_store import EngineReplaced, EngineStore
from trading.engine.floor import Floor
from trading.engine.logs import Arrival, DataClock, EngineClock, FollowedLog, ReadPosition, merged
from trading.exceptions import LogError, LogRestored
from trading.lease import data_clock_ns, lease_end, lease_take
from trading.market.symbols import followed_market
from trading.models import Account, LogProgress
from trading.services.accounts import audit_stop, is_stop_file_there, trading_stop

logger = logging.getLogger(__name__)

# A round takes rows for so long before it looks at the accounts again.
_ROUND_SECONDS = 0.1
# An engine that has taken all rows looks for more after so long.
_PAUSE_SECONDS = 0.02
# Without accounts nobody waits for the engine, and looking for new ones costs processor time.
_PAUSE_WITHOUT_ACCOUNTS_SECONDS = 0.2
# An account that failed is tried again.
_RETRY_SECONDS = 60.0
# So often the lease is renewed, places from which nothing followed are stored, and the file STOP is looked for.
_UPKEEP_SECONDS = 1.0
_Key = tuple[str, str]


class Engine:
    """One round after another: `run` until a stop, or `round` in tests and replays."""

    def __init__(self, clock: EngineClock) -> None:
        self._clock = clock
        self._holder = uuid4()
        self._leads = False
        self._open_floor(EngineStore(holder=self._holder))
        self._logs: dict[_Key, FollowedLog] = {}
        self._broken: dict[_Key, float] = {}
        self._upkeep_at = 0.0
        self._retry_at = 0.0
        # The states' version for which the logs were looked up.
        self._followed_version = -1

    def run(self, ending: Ending) -> None:
        """Be the engine, or wait until the lease is free, until `ending` is set."""
        try:
            while not ending.is_set():
                pause: float = _UPKEEP_SECONDS
                try:
                    if self.round():
                        pause = 0
                    else:
                        pause = _PAUSE_SECONDS if self._accounts.states else _PAUSE_WITHOUT_ACCOUNTS_SECONDS
                except EngineReplaced:
                    logger.warning("another process is the engine now")
                    self._forget()
                except Exception:
                    logger.exception("the engine begins again from what is stored")
                    self._forget()
                finally:
                    close_old_connections()
                ending.wait(pause)
        finally:
            lease_end(self._holder)

    def _forget(self) -> None:
        """Forget all that is not stored: the next round reads it again."""
        self._open_floor(EngineStore(holder=self._holder, failed=self._accounts.failed))
        self._leads = False
        self._logs.clear()
        self._upkeep_at = 0.0
        self._followed_version = -1

    def _open_floor(self, accounts: EngineStore) -> None:
        self._accounts = accounts
        self._market = followed_market(self._place_of)
        self._floor = Floor(accounts, self._clock, self._market)

    def round(self) -> bool:
        """Take what is new, for a tenth of a second at most.

        Return whether more may be taken at once. Raises EngineReplaced.
        """
        if not self._keep_up():
            return False
        self._accounts.refresh()
        self._follow()
        until = time.monotonic() + _ROUND_SECONDS
        with self._accounts.one_transaction():
            # What follows from a row happens at its instant, also if the engine was killed in between.
            if self._clock.now_ns:
                self._floor.pass_time(self._clock.now_ns)
            for arrival in self._arrivals():
                self._floor.go_on(arrival.known_ns)
                self._take(arrival)
                self._floor.pass_time(self._clock.now_ns)
                if self._accounts.is_waited_for or time.monotonic() > until:
                    return True
            self._floor.go_on(self._clock.idle())
        return False

    @property
    def _now_ns(self) -> int:
        """The engine's time. A wall clock has none before the first row or pause: orders must not expire before missed prints."""
        return self._clock.now_ns or time.time_ns()

    def _keep_up(self) -> bool:
        """Once a second: renew the lease, store places, look for the file STOP. Return whether this is the engine."""
        now = time.monotonic()
        if now < self._upkeep_at:
            return True
        if not self._lead():
            self._forget()
            return False
        self._upkeep_at = now + _UPKEEP_SECONDS
        if now >= self._retry_at:
            self._retry_at = now + _RETRY_SECONDS
            if self._accounts.failed:
                self._accounts.failed.clear()
                self._floor.look_again()
        if self._accounts.moved:
            self._accounts.places_save()
        self._accounts.refresh(is_thorough=True)
        obey_stop_file(self._accounts.states)
        silent = silent_accounts(self._accounts.states, self._now_ns)
        self._accounts.act_each([(name, cancel_all) for name in silent], at_ns=self._now_ns)
        self._let_go()
        return True

    def _let_go(self) -> None:
        """Stop following the logs of symbols that no account needs: each log costs each round.

        Not on a data clock, which moves by their rows.
        """
        if isinstance(self._clock, DataClock):
            return
        needed = self._accounts.symbols
        idle = {key for key in self._logs if key[1] not in needed}
        if not idle or not self._accounts.let_go(idle):
            return
        for dataset, symbol in idle:
            del self._logs[dataset, symbol]
            self._market.forget([symbol])
            if dataset == CORPORATE_ACTIONS.name:
                self._floor.forget_actions(symbol)

    def _lead(self) -> bool:
        """Take the lease, or renew it. Return whether this is the engine. A data clock goes on where that of the last one ended."""
        now_ns = None
        if isinstance(self._clock, DataClock):
            now_ns = self._clock.now_ns if self._leads else self._clock.advance(data_clock_ns())
        is_taken = lease_take(self._holder, now_ns=now_ns, document=self._document())
        self._leads = self._leads or is_taken
        return is_taken

    def _document(self) -> dict[str, object]:
        """Return what the lease says of the engine: the logs that it cannot read, and its clock."""
        return {
            "now": format_timestamp(max(self._clock.now_ns, 0)),
            "failed_accounts": sorted(self._accounts.failed),
            "broken": sorted(f"{dataset}:{symbol}" for dataset, symbol in self._broken),
        }

    def _follow(self) -> None:
        """Follow the logs that acceptances named; ask for the rows that an account needs."""
        if self._accounts.version == self._followed_version:
            return
        needed = self._accounts.symbols
        for row in LogProgress.objects.all():
            key = row.dataset, row.symbol
            if key not in self._logs and key not in self._broken:
                try:
                    self._logs[key] = self._log_of(row)
                except LogError as error:
                    self._failed(error)
        for (dataset, symbol), log in self._logs.items():
            is_wanted = symbol in needed or dataset == CORPORATE_ACTIONS.name
            if log.is_wanted and not is_wanted:
                self._market.forget([symbol])
            log.is_wanted = is_wanted
        # A log that could not be opened is tried again.
        self._followed_version = -1 if self._broken else self._accounts.version

    def _log_of(self, row: LogProgress) -> FollowedLog:
        """Return the log of a row.

        Corporate actions are few, and are read from the beginning, because they take effect later. What was taken
        before is known at once: none may take effect that was cancelled since.
        """
        store, dataset = market_store(), DATASETS[row.dataset]
        commit = CommitId(row.commit, row.hash)
        if dataset is CORPORATE_ACTIONS:
            # Later commits of a log that was cut have the numbers of those that were taken.
            FollowedLog.after(store, self._clock, dataset, row.symbol, commit.token)
            begin = ReadPosition(BEGINNING, ALL_TIME.start_ns)
            log = FollowedLog(store, self._clock, dataset, row.symbol, begin)
            for arrival in log.arrivals():
                if arrival.place.position.commit.number > row.commit:
                    break
                log.place = arrival.place
                if arrival.row is not None:
                    self._floor.know(arrival.row)
            return log
        if row.newest_ns is None:
            return FollowedLog.after(store, self._clock, dataset, row.symbol, commit.token)
        if isinstance(self._clock, DataClock):
            # Of the second of these rows the accounts were valued before.
            self._clock.advance(row.newest_ns)
        place = ReadPosition(LogPosition(commit, row.ordinal), row.newest_ns)
        return FollowedLog(store, self._clock, dataset, row.symbol, place)

    def _arrivals(self) -> Iterator[Arrival]:
        """Yield what is new in the logs that can be read."""
        now = time.monotonic()
        self._broken = {key: until for key, until in self._broken.items() if until > now}
        for _ in range(len(self._logs) + 1):
            try:
                yield from merged(log for key, log in self._logs.items() if key not in self._broken)
                break
            except LogError as error:
                self._failed(error)

    def _failed(self, error: LogError) -> None:
        """Leave a log for a second that cannot be read."""
        if isinstance(error, LogRestored):
            self._restored(error)
        else:
            logger.warning("the engine waits: %s", error)
            self._broken[error.dataset, error.symbol] = time.monotonic() + _UPKEEP_SECONDS

    def _restored(self, error: LogRestored) -> None:
        """Halt the accounts that hold or order the symbol, and follow its log from its head."""
        logger.warning("the engine halts accounts: %s", error)
        halt = partial(_halt_for_log, error.symbol)
        names = self._accounts.of_symbol(error.symbol)
        self._accounts.act_each([(name, halt) for name in names], at_ns=self._now_ns)
        dataset = DATASETS[error.dataset]
        followed = FollowedLog.at_head(market_store(), self._clock, dataset, error.symbol)
        self._logs[error.dataset, error.symbol] = followed
        self._followed_version = -1
        self._accounts.move(followed, followed.place)
        self._accounts.places_save()

    def _take(self, arrival: Arrival) -> None:
        """Do what follows from a row."""
        log = self._logs[arrival.dataset, arrival.symbol]
        self._accounts.move(log, arrival.place)
        if arrival.row is not None:
            self._floor.take(arrival.row)

    def _place_of(self, dataset: str, symbol: str) -> LogPosition | None:
        """Return how far a log was taken; None if its rows are not followed."""
        log = self._logs.get((dataset, symbol))
        return log.place.position if log is not None and log.is_wanted else None


def _halt_for_log(symbol: str, state: AccountState, record: Record) -> None:
    due.halt(state, "log_restored", record, symbol)


def obey_stop_file(states: Mapping[str, AccountState]) -> None:
    """Stop all accounts if DATA_DIR has a file STOP."""
    if not is_stop_file_there():
        return
    for name, state in list(states.items()):
        if state.status != STOPPING and (state.status != STOPPED or state.positions or state.orders):
            try:
                account = Account.objects.get(name=name)
                trading_stop(account=account, by="file", reason="the file STOP is there")
                audit_stop([name], actor="file", reason="the file STOP is there")
            except Exception:  # the others are stopped all the same, and this one is tried again in a second
                logger.exception("the file STOP does not stop %s", name)


def silent_accounts(states: Mapping[str, AccountState], now_ns: int) -> Iterator[str]:
    """Yield the accounts with orders whose clients promised heartbeats and have stayed away."""
    for name, state in states.items():
        seconds = state.preferences.heartbeat_seconds
        if seconds is None or not any(order.may_be_cancelled for order in state.orders.values()):
            continue
        heard_ns = Account.objects.values_list("heartbeat_ns", flat=True).get(name=name)
        if heard_ns is None or now_ns - heard_ns > seconds * NS_PER_SECOND:
            yield name


def cancel_all(state: AccountState, record: Record) -> None:
    """Ask for the cancel of all orders of an account whose client has stayed away."""
    request_cancels(state.orders.values(), record, reason="heartbeat", by=ENGINE)
