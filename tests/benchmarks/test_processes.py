"""Processor time is that of a process and of all below it."""

import subprocess
import sys

from benchmarks.processes import descendants, processor_seconds

SPIN = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True); input()"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_the_time_of_a_childs_child_is_counted():
    command = [sys.executable, "-c", PARENT, SPIN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert len(descendants([parent.pid])) == 2
        assert processor_seconds([parent.pid]) >= 0.5
        parent.communicate(b"\n")
