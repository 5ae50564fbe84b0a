"""The processes of strategies: whatever ends one of them, it starts again, and the lease is kept meanwhile."""

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, DataError, OperationalError

from ops.serve.child import Child
from trading.models import Account, RunningStrategy
from trading.strategies import processes
from trading.strategies.processes import FAILED, PASSING, StrategyProcess, StrategyProcesses, run_strategy


def process_of(name: str) -> StrategyProcess:
    return StrategyProcess(RunningStrategy(account=Account(name=name), assignment=1, number=1, shown_ns=0))


@pytest.fixture
def strategy() -> Iterator[StrategyProcess]:
    process = process_of("ACC")
    yield process
    process.kill()
    process.calls.close()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have a program run as the strategy's process."""

    def as_program(*command: str) -> None:
        def start(child: Child) -> None:
            child.process = subprocess.Popen(command)

        monkeypatch.setattr(Child, "start", start)

    return as_program


def test_one_that_was_killed_during_a_call_has_not_failed(
    strategy: StrategyProcess, starts: Callable[..., None], settings: Any
) -> None:
    starts("sleep", "60")
    strategy.start_if_due()
    with strategy.calls.call():
        assert strategy.child.process is not None
        os.kill(strategy.child.process.pid, signal.SIGKILL)
        strategy.child.process.wait()
        strategy.look()
        strategy.child.due_at = settings.STRATEGY_SECONDS = 0
        strategy.start_if_due()
        strategy.look()
        assert (strategy.failure, strategy.child.running) == ("", True)


def test_one_that_another_hosts_process_replaced_starts_again(
    strategy: StrategyProcess, starts: Callable[..., None]
) -> None:
    """The other host has lost the lease, and ends its process."""
    starts("true")
    strategy.start_if_due()
    assert strategy.child.process is not None
    strategy.child.process.wait()
    strategy.look()
    assert not strategy.child.running
    assert strategy.child.due_at < time.monotonic() + 1


def test_one_that_cannot_be_started_is_tried_again(
    strategy: StrategyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: Child) -> None:
        raise OSError(errno.EAGAIN, "too many processes")

    monkeypatch.setattr(Child, "start", start)
    strategy.start_if_due()
    assert strategy.failure == ""
    assert 0 < strategy.child.due_at < time.monotonic() + 1


@pytest.mark.parametrize(("error", "code"), [(OperationalError, PASSING), (DataError, FAILED)])
def test_one_whose_values_the_database_refuses_has_failed(
    strategy: StrategyProcess, monkeypatch: pytest.MonkeyPatch, error: type[DatabaseError], code: int
) -> None:
    def refused(*_: object) -> None:
        raise error("integer out of range")

    monkeypatch.setattr(processes, "_run", refused)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    with pytest.raises(SystemExit) as ended:
        run_strategy("ACC", strategy.calls)
    assert ended.value.code == code
    assert ("integer out of range" in strategy.calls.failure) == (code == FAILED)


def test_one_that_is_no_fork_ends_with_its_parent(strategy: StrategyProcess) -> None:
    assert f"--parent {os.getpid()} " in " ".join(strategy.child.program.command())


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_many_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round starts some, and the next round goes on."""

    def start(child: Child) -> None:
        time.sleep(0.1)
        child.process = subprocess.Popen(["sleep", "60"])

    monkeypatch.setattr(Child, "start", start)
    monkeypatch.setattr(processes, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(StrategyProcesses, "_keep", lambda *_: None)
    site, some = StrategyProcesses(), {(number, 1): process_of(str(number)) for number in range(3)}
    site._processes = some
    try:
        running = []
        for _ in some:
            site.round()
            running.append(sum(each.child.running for each in some.values()))
        assert running == [1, 2, 3]
    finally:
        for each in some.values():
            each.kill()
            each.calls.close()
