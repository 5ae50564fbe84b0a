"""Child processes: how they end, with whom they end, the signals that end them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from ops.serve.child import Child, Program, end_with_parent, parent_is, restart_delay
from ops.serve.supervisor import SignalInbox
from tests.front.front_server import eventually


def test_restart_delays_grow_to_a_bound():
    delays = [restart_delay(failures) for failures in range(1, 2000)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays == sorted(delays)
    assert max(delays) == 5.0


def program(*command: str, **options) -> Program:
    return Program("a child", lambda: list(command), end_with_parent(), **options)


def test_a_child_tells_how_it_ended_once():
    child = Child(program(sys.executable, "-c", "raise SystemExit(3)"))
    child.start()
    assert child.process is not None
    pid = child.process.pid
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert child.reap() == f"a child (process {pid}) ended with exit code 3"
    assert child.reap() is None
    assert not child.running
    assert [child.postpone() for _ in range(3)] == [0.1, 0.2, 0.4]


def test_a_child_of_a_killed_process_is_killed():
    script = (
        "import os, subprocess, sys, time\n"
        "from ops.serve.child import end_with_parent\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=end_with_parent())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    assert eventually(lambda: not alive(child))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_parent_is_known_by_its_id():
    assert parent_is(None)
    assert parent_is(os.getppid())
    assert not parent_is(os.getpid())


def test_signals_are_received_in_an_inbox_and_afterwards_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with SignalInbox([signal.SIGTERM, signal.SIGUSR1]) as inbox:
        assert inbox.wait(0) == frozenset()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert eventually(lambda: inbox.wait(0.1) & {signal.SIGTERM, signal.SIGUSR1})
    assert signal.getsignal(signal.SIGTERM) == before


IN_FORK = """
import os, signal, sys
from django.conf import settings
settings.configure()
from ops.serve.child import in_fork
from ops.serve.installation import InstallationError
def fail(): raise LookupError("not there")
def stop(*_): raise SystemExit("stopped")
def be_stopped():
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()
print(in_fork(os.getpid, name="preparation") != os.getpid())
try:
    in_fork(fail, name="preparation")
except LookupError as error:
    print(error, "in fail" in error.__notes__[0])
try:
    in_fork(lambda: os._exit(4), name="preparation")
except InstallationError as error:
    print(error)
try:
    in_fork(signal.pause, name="preparation", seconds=0.1)
except InstallationError as error:
    print(error)
signal.signal(signal.SIGTERM, stop)
in_fork(be_stopped, name="preparation")
"""


def test_a_call_in_a_fork_returns_and_raises_here_and_ends_with_this_process():
    command = [sys.executable, "-c", IN_FORK]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False, timeout=20
    )
    said = [
        "True",
        "not there True",
        "The preparation ended with exit code 4",
        "The preparation ended with exit code -15",
    ]
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (said, "stopped\n", 1)
