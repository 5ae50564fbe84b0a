"""The processor time that authentication, limits and audit add to a request, measured by switching each off in turn."""

import json
import os
from collections.abc import Iterator

from benchmarks.generated_trades import json_body, spread_rows
from benchmarks.processes import run_python
from benchmarks.report import Note, Ratio, Row, Sizes
from benchmarks.servers import OF_OTHERS, Connection, our_server

BARS = "/v1/stats/ohlc"
# The window is in the past, so its answer stays cached as long as there is room.
QUERY = "symbol=BENCH&interval=1min&start=2025-01-06T00:00:00Z&end=2025-01-06T01:00:00Z"
_PATHS = {"drf": "through Django", "door": "at the front door"}
_ROWS = 1_000
_IN_PROCESS = (
    "import json; from benchmarks.access_in_process import measure; print(json.dumps(measure({rounds})))"
)


def measure_access(sizes: Sizes) -> Iterator[Row]:
    """Yield the microseconds of a complete request, against those with one part, or all three, switched off."""
    with our_server() as server:
        with Connection(server) as connection:
            connection.post([(json_body(spread_rows(_ROWS, minutes=60)), _ROWS)])
            connection.exchange(server.request("GET", f"{BARS}?{QUERY}"))
        # A second process answers the requests, with the server's database, Redis and store.
        environment = {
            **{name: value for name, value in os.environ.items() if name not in OF_OTHERS},
            "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
            "DATA_DIR": str(server.folder),
            "WORKERS": "1",
        }
        code = _IN_PROCESS.format(rounds=4 * sizes.rounds)
        log = server.folder / "access.log"
        microseconds = json.loads(
            run_python("django", "shell", "--no-imports", "-c", code, environment=environment, log=log)
        )
    for path, name in _PATHS.items():
        by_part = microseconds[path]
        complete = by_part.pop("nothing")
        for part, without in by_part.items():
            yield Ratio(f"a cached answer {name}, against one without {part}", complete, without, "us")
        difference = complete - by_part["all three"]
        yield Note(f"{name}, authentication, limits and audit take {difference:.0f} us (wanted: at most 120)")
