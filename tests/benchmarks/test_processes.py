"""Processor time is that of a process and of all below it; SIGTERM ends a run with all that it started."""

import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import descendants, processor_seconds

# /proc counts whole ticks of 10 ms.
SPIN = "import time\nwhile time.process_time() < 0.55: pass\nprint(flush=True); input()"
RUN = """
import os, signal, sys
from pathlib import Path
from benchmarks import __main__ as run
from benchmarks.processes import running

def measure(sizes):
    with running(["sleep", "600"], environment=os.environ, log=Path(sys.argv[1])) as process:
        print(process.pid, flush=True)
        signal.pause()

run.BENCHMARKS["greeks"] = run.Benchmark("a benchmark that never ends", measure, "")
run.main(["--only", "greeks"])
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_the_time_of_a_childs_child_is_counted():
    command = [sys.executable, "-c", PARENT, SPIN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert len(descendants([parent.pid])) == 2
        assert processor_seconds([parent.pid]) >= 0.5
        parent.communicate(b"\n")


def test_sigterm_ends_a_run_and_the_processes_that_it_started(tmp_path):
    command = [sys.executable, "-c", RUN, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        started = int(run.stdout.readline())
        run.terminate()
        assert run.wait() == -signal.SIGINT
    assert not Path(f"/proc/{started}").exists()
