"""What a start of `manage.py serve` costs: `python -m benchmarks.start [ROUNDS]`.

The first start is on an empty data folder, the others on the same folder again. Prints for each the seconds until it was
ready, and the processor seconds and the memory (proportional, MiB) of all its processes five seconds later.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import CORES, descendants, line_with, processor_seconds, running
from benchmarks.servers import installation_environment

_SETTLE_SECONDS = 5.0


def _memory_mib(pid: int) -> float:
    """Return a process's memory; of pages that several share, each has its part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _start(data: Path, log: Path) -> tuple[float, float, float]:
    began = time.monotonic()
    command = [sys.executable, "manage.py", "serve"]
    with running(command, environment=installation_environment(data), log=log, cores=CORES) as process:
        line_with(process, "Ready on", log=log)
        ready = time.monotonic() - began
        time.sleep(_SETTLE_SECONDS)
        return (
            ready,
            processor_seconds([process.pid]),
            sum(_memory_mib(pid) for pid in descendants([process.pid])),
        )


def main(rounds: int) -> None:
    print("| ready, s | processor, s | memory, MiB |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for _ in range(rounds):
            ready, processor, memory = _start(Path(folder) / "data", Path(folder) / "serve.log")
            print(f"| {ready:.1f} | {processor:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
