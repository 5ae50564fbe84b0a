"""The processes of strategies: each account with a strategy has one, which this process forks, watches and ends."""

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from threading import Event as Ending
from uuid import uuid4

import pyarrow as pa
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections

from ops.metrics.process_files import Publisher
from ops.serve.child import Child, Program, end_with_parent, in_fork, parent_is
from ops.serve.installation import InstallationError
from trades.children import memory_limited
from trading.engine.engine_store import is_passing
from trading.exceptions import LogError
from trading.lease import LEASE_SECONDS, STRATEGIES, lease_end, lease_take
from trading.models import RunningStrategy
from trading.services.assigning import StrategyReplaced, strategy_fail
from trading.strategies.catalogue import own_failure
from trading.strategies.live import LiveStrategy, WatchedCalls

ROUND_SECONDS = 1.0
# What a strategy's process may take beside what it has at its fork.
MEMORY_BYTES = 256 * 2**20
# It never delays the engine.
_NICENESS = 10
# Exit codes of a strategy's process that is started again, and of one whose strategy failed.
PASSING, FAILED = 75, 1
# This process ends the strategies so long before another host may start them.
_TRUST_SECONDS = LEASE_SECONDS - 1.0
# A failure is recorded within so long, while the lease lasts, or in a later round.
_RECORD_SECONDS = 3.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class StrategyProcess:
    """The process of a strategy. failure: why the strategy failed; empty while it runs."""

    running: RunningStrategy
    calls: WatchedCalls = field(default_factory=WatchedCalls)
    failure: str = ""
    child: Child = field(init=False)

    def __post_init__(self) -> None:
        name, descriptor = self.running.account.name, self.calls.descriptor
        options = ["--account", name, "--watched-by", str(descriptor), "--parent", str(os.getpid())]
        self.child = Child(
            Program(
                name=f"strategy {name}",
                command=lambda: [sys.executable, "-m", "django", "strategies", *options, "--skip-checks"],
                bind_to_parent=end_with_parent(),
                descriptors=(descriptor,),
                main=partial(run_strategy, name, self.calls),
            )
        )

    def look(self) -> None:
        """See whether the process has ended, and end one whose strategy does not answer."""
        process, seconds = self.child.process, settings.STRATEGY_SECONDS
        if process is None:
            return
        if self.calls.unanswered_seconds > seconds:
            self.kill()
            self.failure = f"it did not answer within {seconds} seconds"
        elif (message := self.child.reap()) is not None:
            self._ended(process.poll(), message)

    def _ended(self, code: int | None, message: str) -> None:
        if code == FAILED:
            self.failure = self.calls.failure or message
        elif code:
            logger.warning("%s; starting it again in %.1f s", message, self.child.postpone())
        else:
            # Taken away, or another host's process saved first: the next rounds know whether it still runs here.
            self.child.postpone()

    def kill(self) -> None:
        """End the process at once."""
        process = self.child.process
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
            self.child.reap()

    def start_if_due(self) -> None:
        """Start the process if it does not run. This process must have no connection to the database."""
        if self.child.running or self.failure or time.monotonic() < self.child.due_at:
            return
        # A process that was killed during a call has left its beginning.
        self.calls.forget()
        try:
            self.child.start()
        except OSError as error:
            name, seconds = self.child.program.name, self.child.postpone()
            logger.warning("%s cannot be started: %s; trying again in %.1f s", name, error, seconds)


class StrategyProcesses:
    """One round a second: `run` until a stop. For the main thread of a process that has no other threads."""

    def __init__(self) -> None:
        self._holder = uuid4()
        self._leased_until = 0.0
        self._processes: dict[tuple[int, int], StrategyProcess] = {}

    def run(self, ending: Ending, *, parent: int | None, publisher: Publisher | None = None) -> None:
        """Run the strategies, or wait until the lease is free, until `ending` is set or the parent has ended."""
        try:
            while not ending.is_set() and parent_is(parent):
                self.round()
                if publisher is not None:
                    publisher.publish()
                ending.wait(ROUND_SECONDS)
        finally:
            self._keep([])
            with suppress(DatabaseError):
                lease_end(self._holder, of=STRATEGIES)

    def round(self) -> None:
        """Renew the lease, end the processes whose strategies do not answer or run no more, start those that are missing."""
        try:
            now = time.monotonic()
            if lease_take(self._holder, of=STRATEGIES):
                self._leased_until = now + _TRUST_SECONDS
                self._keep(RunningStrategy.objects.select_related("account"))
            else:
                self._keep([])
        except DatabaseError as error:
            logger.warning("the strategies' processes stay as they are: %s", error)
            if time.monotonic() > self._leased_until:
                self._keep([])
        connections.close_all()
        # The lease is renewed in time, however many processes are to be started.
        until = time.monotonic() + ROUND_SECONDS
        for process in self._processes.values():
            process.look()
            if time.monotonic() < until:
                if process.failure:
                    self._tell_failure(process)
                process.start_if_due()

    def _keep(self, wanted: Iterable[RunningStrategy]) -> None:
        """End all processes but those of the strategies that run, and have one for each of these."""
        by_assignment = {(each.pk, each.assignment): each for each in wanted}
        for key in self._processes.keys() - by_assignment.keys():
            process = self._processes.pop(key)
            process.kill()
            process.calls.close()
        for key in by_assignment.keys() - self._processes.keys():
            self._processes[key] = StrategyProcess(by_assignment[key])

    def _tell_failure(self, process: StrategyProcess) -> None:
        """Have the failure recorded. If that is not possible now it is tried again in the next round."""
        fail = partial(strategy_fail, running=process.running, reason=process.failure, at_ns=time.time_ns())
        try:
            in_fork(fail, name="strategy's failure", seconds=_RECORD_SECONDS)
        except (DatabaseError, InstallationError) as error:
            logger.warning("%s failed, which cannot be recorded yet: %s", process.child.program.name, error)


def prepare_forks() -> None:
    """Load what all forks need, and have no collection of theirs write to it: a fork copies what it writes to.

    The system's allocator takes 6 MiB less in each fork than that of Arrow. Raises django.db.Error.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    for module in ("django_redis.client", "ops.redis.client", "pyarrow.pandas_compat"):
        import_module(module)
    list(RunningStrategy.objects.select_related("account"))
    connections.close_all()
    gc.collect()
    gc.freeze()


def run_strategy(account: str, calls: WatchedCalls) -> None:
    """Be the process of an account's strategy until another one is assigned, or it is taken away.

    Raises SystemExit: `PASSING` if the store or the database is away, `FAILED` if the strategy failed.
    """
    os.nice(_NICENESS)
    try:
        with memory_limited(MEMORY_BYTES):
            _run(account, calls)
    except StrategyReplaced as end:
        logger.info("%s", end)
    except BaseException as error:
        if is_passing(error) or isinstance(error, LogError):
            logger.warning("the strategy of the account %s begins again: %s", account, error)
            raise SystemExit(PASSING) from error
        calls.failure = own_failure(error) or f"{type(error).__name__}: {error}"
        logger.exception("the strategy of the account %s failed", account)
        raise SystemExit(FAILED) from error


def _run(account: str, calls: WatchedCalls) -> None:
    running = RunningStrategy.objects.select_related("account").filter(account__name=account).first()
    if running is None:
        raise StrategyReplaced(f"the account {account} has no strategy")
    strategy, never = LiveStrategy(running, calls, clock=time.time_ns), Ending()
    while True:
        seconds = strategy.step()
        close_old_connections()
        never.wait(seconds)
