"""A process that counts and publishes: a line `commits rows` in, the totals of all processes out."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    from ops.metrics.declarations import COMMITS, CONNECTIONS, REQUEST_SECONDS  # noqa: PLC0415
    from ops.metrics.process_files import Publisher, totals  # noqa: PLC0415

    folder, name = Path(sys.argv[1]), sys.argv[2]
    Publisher(folder, name).start()
    CONNECTIONS.set(5)
    for line in sys.stdin:
        COMMITS.labels("trades").inc(int(line))
        REQUEST_SECONDS.labels("ohlc").observe(0.3)
        found = {
            (each.name, *each.labels.values()): each.value for family in totals() for each in family.samples
        }
        keys = [
            ("marketdata_store_commits_total", "trades"),
            ("marketdata_http_request_duration_seconds_bucket", "ohlc", "0.5"),
            ("marketdata_open_connections",),
            ("marketdata_process_starts_total", name),
        ]
        print(*(int(found[key]) for key in keys), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
