"""Calls that are recorded before they are answered: sixteen callers against one, also on a disk whose syncs are slow."""

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pinning import LOAD_CORE, pinned
from benchmarks.posting import Connection
from benchmarks.report import Report
from benchmarks.servers import Server, our_server
from benchmarks.sizes import Sizes

CALLERS = 16
SYNC_MS = 10
_KEYS = "/api/v1/keys"
_WARM_UP = 20
# Replaces the C library's syncs in every process of the server, SQLite's among them.
_SLOW_SYNCS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slow(const char *name, int fd) {
    usleep(SYNC_MS * 1000);
    return ((int (*)(int)) dlsym(RTLD_NEXT, name))(fd);
}
int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
"""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Answers per second, the median and the 99th percentile of their latencies."""

    per_second: float
    p50_ms: float
    p99_ms: float


def measure_strict_calls(report: Report, sizes: Sizes) -> None:
    """Add, for each kind of disk, calls per second and latencies of sixteen callers against one's."""
    with our_server() as server:
        _measure(report, server, "", sizes.posts)
    if shutil.which("cc") is None:
        report.left_out.append(f"strict calls with {SYNC_MS} ms added to each sync: there is no C compiler")
        return
    with _slow_syncs() as library, our_server(LD_PRELOAD=str(library)) as server:
        _measure(report, server, f", {SYNC_MS} ms added to each sync", sizes.posts)


def _measure(report: Report, server: Server, disk: str, calls: int) -> None:
    _made(server, callers=1, each=_WARM_UP)
    alone = _made(server, callers=1, each=calls)
    many = _made(server, callers=CALLERS, each=calls // 4)
    name = f"keys made by {CALLERS} callers against one{disk}"
    report.add(name, here=many.per_second, peer=alone.per_second, unit="calls/s", wanted="")
    report.add(f"{name}: median", here=many.p50_ms, peer=alone.p50_ms, unit="ms", wanted="")
    report.add(f"{name}: 99th percentile", here=many.p99_ms, peer=alone.p99_ms, unit="ms", wanted="")


def _made(server: Server, *, callers: int, each: int) -> _Measured:
    """What it takes to make so many keys by each of the callers, which begin together."""
    ready = threading.Barrier(callers + 1)
    seconds: list[float] = []
    errors: list[BaseException] = []

    def call() -> None:
        body = json.dumps({"name": "bench", "tier": "default", "scopes": ["market:read"]}).encode()
        request = server.request("POST", _KEYS, body)
        try:
            with pinned(LOAD_CORE), Connection(server) as connection:
                ready.wait()
                for _ in range(each):
                    began = time.perf_counter()
                    connection.exchange(request)
                    seconds.append(time.perf_counter() - began)
        except BaseException as error:  # noqa: BLE001 raised again by whoever waits for all of them
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=call, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - began
    if errors:
        raise errors[0]
    return _measured(seconds, taken)


def _measured(seconds: list[float], taken: float) -> _Measured:
    ordered = sorted(seconds)
    return _Measured(
        per_second=len(ordered) / taken,
        p50_ms=1000 * ordered[len(ordered) // 2],
        p99_ms=1000 * ordered[len(ordered) * 99 // 100],
    )


@contextmanager
def _slow_syncs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        library = Path(folder) / "slow_syncs.so"
        command = [
            "cc",
            "-shared",
            "-fPIC",
            f"-DSYNC_MS={SYNC_MS}",
            "-x",
            "c",
            "-",
            "-o",
            str(library),
            "-ldl",
        ]
        subprocess.run(command, input=_SLOW_SYNCS, text=True, check=True)
        yield library
