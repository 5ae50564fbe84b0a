"""A rolling restart: which numbers new web processes have, and in which order processes are replaced."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from ops.serve import handover, supervisor
from ops.serve.child import Child, Program, end_with_parent
from ops.serve.handover import Handover, RollingRestart, hand_over, handover_take
from ops.serve.plan import ServePlan
from ops.serve.supervisor import Supervisor
from tests.front.front_server import eventually

# Says when it is told to end, and ends at once or never.
SCRIPT = """
import signal, sys
def end(number, _):
    print(sys.argv[1], signal.Signals(number).name, file=open(sys.argv[2], "a"), flush=True)
    if "stubborn" not in sys.argv[1]:
        sys.exit(0)
for each in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, end)
print("ready", flush=True)
while True:
    signal.pause()
"""


PLAN = ServePlan(None, 0, print, [], [], None, 0, [], trades=False, runs_jobs=False, feeds=False, feeds_sample=False)  # fmt: skip


@pytest.mark.parametrize(
    ("used", "count", "expected"),
    [
        ([0, 1], 2, [2, 0]),
        ([2, 0], 2, [1, 2]),
        ([0], 1, [1]),
        ([1], 1, [0]),
        ([0, 1, 2], 1, [3]),
        ([0], 3, [1, 2, 3]),
        ([0], 2, [1, 2]),
        ([0, 1, 2], 2, [3, 0]),
        ([], 2, [0, 1]),
    ],
)
def test_a_new_web_process_has_a_number_that_no_living_one_has(used, count, expected):
    left = Handover(None, {f"web {number + 1}": 4711 for number in used} | {"worker": 4712})
    assert left.web_numbers(count) == expected


@pytest.fixture
def told(tmp_path):
    path = tmp_path / "told"
    path.touch()
    return path


@pytest.fixture
def old(told) -> Iterator[Callable[..., dict[str, int]]]:
    """Starts processes of an earlier supervisor; returns their ids."""
    started: list[subprocess.Popen[str]] = []

    def start(*names: str) -> dict[str, int]:
        for name in names:
            command = [sys.executable, "-c", SCRIPT, name, str(told)]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        return {name: each.pid for name, each in zip(names, started, strict=True)}

    yield start
    for each in started:
        each.kill()
        # Whoever replaced it has waited for it.
        each.returncode = 0
        assert each.stdout is not None
        each.stdout.close()


def child(name: str) -> Child:
    return Child(Program(name, lambda: ["sleep", "60"], end_with_parent()))


def started_in_order(restart: RollingRestart, children: list[Child]) -> list[str]:
    """Go on as the supervisor does until every process was replaced; return the names in the order of their start."""
    names: list[str] = []

    def go_on() -> bool:
        restart.go_on()
        for each in children:
            if not each.running and time.monotonic() >= each.due_at:
                each.start()
                names.append(each.program.name)
        return restart.is_over

    try:
        assert eventually(go_on)
        go_on()
    finally:
        for each in children:
            each.send(signal.SIGKILL)
            if each.process is not None:
                each.process.wait()
    return names


def test_web_processes_start_before_their_predecessors_end_and_others_after(told, old):
    children = [child("web 3"), child("web 1"), child("worker"), child("jobs")]
    inherited = old("web 1", "web 2", "worker", "engine")
    restart = RollingRestart(children, inherited, end_seconds=60)
    # A process that the earlier supervisor had not, waits for nobody.
    assert started_in_order(restart, children) == ["web 3", "jobs", "web 1", "worker"]
    assert told.read_text().splitlines() == [
        "web 1 SIGHUP",
        "web 2 SIGHUP",
        "worker SIGTERM",
        "engine SIGTERM",
    ]
    assert restart.left() == []


def test_a_process_that_does_not_end_in_time_is_killed(told, old):
    children = [child("stubborn worker")]
    restart = RollingRestart(children, old("stubborn worker"), end_seconds=0.1)
    assert started_in_order(restart, children) == ["stubborn worker"]
    assert told.read_text() == "stubborn worker SIGTERM\n"


def test_a_process_that_ended_is_not_replaced_by_one_of_a_living_ones_name(told, old):
    children = [child("web 3"), child("web 1")]
    inherited = old("web 1", "web 2")
    restart = RollingRestart(children, inherited, end_seconds=60)
    os.kill(inherited["web 2"], signal.SIGKILL)
    assert started_in_order(restart, children) == ["web 3", "web 1"]
    assert told.read_text() == "web 1 SIGHUP\n"


@pytest.fixture
def sentences() -> list[str]:
    return []


@pytest.fixture
def running(sentences) -> Supervisor:
    return Supervisor(PLAN, say=sentences.append)


def failing(*_: object, **__: object) -> None:
    raise OSError(2, "No such file or directory")


def test_a_program_that_cannot_be_started_restarts_nothing(monkeypatch, running, sentences):
    monkeypatch.setattr(subprocess, "Popen", failing)
    running._ready = running._is_restart_due = True
    for _ in range(2):
        running._restart()
    assert sentences == [
        "Preparing a rolling restart",
        "The new program cannot be started: [Errno 2] No such file or directory; nothing is restarted",
    ]


def test_a_program_that_cannot_be_become_leaves_this_one_as_it_was(monkeypatch):
    monkeypatch.setattr(os, "execv", failing)
    with socket.socket() as listener:
        with pytest.raises(OSError, match="No such file"):
            hand_over(listener, {"worker": 4711}, [signal.SIGHUP])
        assert not listener.get_inheritable()
    assert handover_take() is None
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_hangup_before_the_server_is_ready_waits_for_that(running, sentences):
    assert not running._is_stopped_by(frozenset({signal.SIGHUP}))
    running._restart()
    assert sentences == []


def test_a_web_process_that_does_not_serve_is_said_once_and_another_hangup_goes_on(
    monkeypatch, old, running, sentences
):
    monkeypatch.setattr(handover, "SERVE_SECONDS", 0)
    inherited = old("web 1", "web 2")
    rolling = running._rolling = RollingRestart([child("web 3"), child("web 1")], inherited, end_seconds=60)
    for _ in range(2):
        running._replace()
    assert sentences == ["web 3 does not serve; older processes go on. SIGHUP tries again"]
    passed: list[dict[str, int]] = []
    monkeypatch.setattr(supervisor, "hand_over", lambda _, pids, __: passed.append(pids))
    monkeypatch.setattr(supervisor, "successor_prepare", lambda: subprocess.Popen(["true"]))
    running._ready = running._is_restart_due = True
    assert eventually(lambda: running._restart() or passed)
    assert passed == [inherited]
    assert not rolling.is_over


@pytest.mark.parametrize(
    ("terminals", "signals", "is_stopped"),
    [
        ((False, False), {signal.SIGHUP}, False),
        ((True, True), {signal.SIGHUP}, False),
        ((True, False), {signal.SIGHUP}, True),
        ((False, False), {signal.SIGHUP, signal.SIGTERM}, True),
        ((True, False), {signal.SIGCHLD}, False),
    ],
)
def test_a_hangup_stops_the_server_only_if_its_terminal_was_closed(
    monkeypatch, terminals, signals, is_stopped
):
    terminal = iter(terminals)
    monkeypatch.setattr(supervisor, "has_terminal", lambda: next(terminal))
    running = Supervisor(PLAN, say=print)
    assert running._is_stopped_by(frozenset(signals)) is is_stopped
