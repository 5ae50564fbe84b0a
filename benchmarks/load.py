"""wrk as the load: prepared requests by turns on persistent connections, and the processor time that they cost."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median

from benchmarks.processes import BASE_DIR, CORES, LOAD_CORE, on_cores, processor_seconds
from benchmarks.report import UnexpectedAnswer
from benchmarks.servers import Server

CONNECTIONS = 32
MISSING = None if shutil.which("wrk") else "wrk is not installed"
_SCRIPT = BASE_DIR / "benchmarks" / "rotate.lua"


@dataclass(frozen=True, slots=True)
class Load:
    """Answers per second, latencies, and the processor microseconds that all processes of the server used for each."""

    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    processor_us: float


def load(server: Server, requests: Sequence[bytes], seconds: int, *, once: bool = False) -> Load:
    """Send the requests by turns for `seconds`; return the figures.

    once: no request may be sent twice. Raises `UnexpectedAnswer` if an answer's status is 400 or above, if a connection
    breaks, or if `once` needs more requests.
    """
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        for request in requests:
            file.write(b"%d\n%b" % (len(request), request))
        file.flush()
        before = processor_seconds(server.roots)
        printed = _wrk(server, file.name, seconds)
        used = processor_seconds(server.roots) - before
    figures = json.loads(printed[printed.rindex("{") :])
    if figures["refused"] or figures["broken"]:
        raise UnexpectedAnswer(f"{figures['refused']} refusals, {figures['broken']} errors: {printed}")
    if not figures["answers"]:
        raise UnexpectedAnswer(f"no answer within {seconds} s: {printed}")
    if once and figures["answers"] + CONNECTIONS > len(requests):
        raise UnexpectedAnswer(f"{figures['answers']} answers: {len(requests)} requests do not suffice")
    return Load(
        per_second=figures["answers"] / figures["us"] * 1e6,
        p50_ms=figures["p50"] / 1e3,
        p99_ms=figures["p99"] / 1e3,
        p999_ms=figures["p999"] / 1e3,
        processor_us=used / figures["answers"] * 1e6,
    )


def medians(loads: Sequence[Load]) -> Load:
    """Return the median of each figure."""
    return Load(*(median(getattr(each, field.name) for each in loads) for field in fields(Load)))


def _wrk(server: Server, requests: str, seconds: int) -> str:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"-s{_SCRIPT}", server.url, "--", requests]
    with on_cores(LOAD_CORE if server.pinned else CORES):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise UnexpectedAnswer(f"wrk: {done.stdout}{done.stderr}")
    return done.stdout
