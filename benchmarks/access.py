"""What it costs to know who calls, to limit and to record it: each switched off in turn, in processor time of one request."""

import json
import os

from benchmarks.access_in_process import Measured
from benchmarks.access_parts import BARS, DOOR, DRF, OFF, QUERY
from benchmarks.posting import Connection
from benchmarks.processes import run_python
from benchmarks.report import Report
from benchmarks.servers import OF_OTHERS, Server, our_server
from benchmarks.sizes import Sizes
from benchmarks.tape import json_body, spread_rows

_WANTED_US = 120
_PATHS = {DRF: "through Django", DOOR: "at the front door"}
_ROWS = 1_000


def measure_access(report: Report, sizes: Sizes) -> None:
    """Add for each way of a request its whole time and what each part of access is of it."""
    with our_server() as server:
        _store_rows(server)
        measured = _measured(server, rounds=4 * sizes.rounds)
    for path, name in _PATHS.items():
        whole, without = measured["switched_off"][path]["nothing"], measured["switched_off"][path]
        for part in OFF:
            wanted = f"<= {_WANTED_US} us between them" if part == "all three" else ""
            report.add(
                f"a cached answer {name}, against one without {part}", here=whole, peer=without[part], unit="us", wanted=wanted
            )  # fmt: skip
        report.notes.append(
            f"{name}, authentication, throttle and audit take {whole - without['all three']:.0f} us of processor time together"
        )
    for credential, microseconds in measured["credentials"].items():
        report.add(
            f"a request by {credential}, against one by a key", here=microseconds, peer=measured["credentials"]["key"], unit="us", wanted=""
        )  # fmt: skip


def _store_rows(server: Server) -> None:
    with Connection(server) as connection:
        connection.post([(json_body(spread_rows(_ROWS, minutes=60)), _ROWS)])
        connection.exchange(server.request("GET", f"{BARS}?{QUERY}"))


def _measured(server: Server, *, rounds: int) -> Measured:
    """What a process beside the server measures over its database, Redis and store."""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in OF_OTHERS},
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
        "DATA_DIR": str(server.folder),
        "WORKERS": "1",
    }
    printed = run_python(
        "benchmarks.access_in_process", str(rounds), environment=environment, log=server.folder / "access.log"
    )
    found: Measured = json.loads(printed)
    return found
