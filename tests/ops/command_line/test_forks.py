"""A fork begins as a program would, and ends as one. Forked from a process of its own, because this one has threads."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings

from ops.command_line.forks import CAN_FORK

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="forks are not safe on this system")

BEGINNING = """
import json, os, signal, sys, time
from pathlib import Path
from ops.command_line.forks import ForkedProcess
receiver, sender = os.pipe()
elsewhere = open(os.devnull)
inbox = os.pipe()
os.set_blocking(inbox[1], False)
signal.set_wakeup_fd(inbox[1])
signal.signal(signal.SIGTERM, lambda *_: print("the parent's handler"))
"""
FACTS = """
def main():
    own = Path("/proc/self")
    print(json.dumps({
        "title": own.joinpath("cmdline").read_bytes().rstrip(b"\\0").decode(),
        "open": sorted(int(each) for each in os.listdir("/proc/self/fd") if Path("/proc/self/fd", each).exists()),
        "input": sys.stdin.read(),
        "handled": [each for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD) if signal.getsignal(each) != signal.SIG_DFL],
        "blocked": [each.name for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    }))
print(sender)
process = ForkedProcess(main, title="marketdata test", keep=[sender])
print(process.wait(), process.poll(), process.pid > 0)
"""


def outcome_of(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", BEGINNING + program, *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("last_argument", ["", "Börsé", "timestamp=时间"])
def test_it_begins_as_a_program_would(last_argument: str):
    kept, facts, ended = outcome_of(FACTS, last_argument).stdout.splitlines()
    found: dict[str, Any] = json.loads(facts)
    # The folder of descriptors is itself open while it is listed, and closed again before it is looked for.
    assert found.pop("open") == [0, 1, 2, int(kept)]
    assert found == {
        "title": "marketdata test",
        "input": "",
        "handled": [],
        "blocked": [],
    }
    assert ended == "0 0 True"


@pytest.mark.parametrize(
    ("main", "code", "said"),
    [
        ("lambda: sys.exit(3)", 3, ""),
        ("lambda: 1 / 0", 1, "told of: division by zero"),
        ("lambda: os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
        (
            "lambda: (ForkedProcess(lambda: (os.close(1), os.close(2), time.sleep(10)), title='sleeps'), 1 / 0)",
            1,
            "told of: division by zero",
        ),
    ],
    ids=["exit", "error", "signal", "error beside a fork of its own"],
)
def test_it_ends_as_a_program_would(main: str, code: int, said: str):
    done = outcome_of(
        "sys.excepthook = lambda kind, error, traceback: print('told of:', error, file=sys.stderr)\n"
        f"process = ForkedProcess({main}, title='marketdata test')\n"
        "print(process.wait(), process.poll())"
    )
    assert done.stdout.split() == [str(code)] * 2
    assert done.stderr.strip() == said


def test_a_signal_to_it_is_not_its_parents():
    done = outcome_of(
        "process = ForkedProcess(lambda: time.sleep(60), title='marketdata test')\n"
        "assert process.poll() is None\n"
        "os.kill(process.pid, signal.SIGTERM)\n"
        "print(process.wait())\n"
        "os.set_blocking(inbox[0], False)\n"
        "try:\n    print(os.read(inbox[0], 10))\nexcept BlockingIOError:\n    print('nothing')"
    )
    assert done.stdout.splitlines() == ["-15", "nothing"]


def test_a_process_with_threads_does_not_fork():
    done = outcome_of(
        "import threading\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "try:\n    ForkedProcess(lambda: None, title='marketdata test')\n"
        "except RuntimeError as error:\n    print(error)"
    )
    assert done.stdout == "a process with more than one thread must not fork\n"


def test_what_it_prints_is_written_at_once():
    program = """
process = ForkedProcess(lambda: (print("written"), os.kill(os.getpid(), signal.SIGKILL)), title="marketdata test")
print(process.wait())
"""
    assert outcome_of(program).stdout.splitlines() == ["written", "-9"]
