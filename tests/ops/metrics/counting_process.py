"""A process that counts and publishes: a line `commits rows` in, the totals of all processes out."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    from ops.metrics.declarations import COMMITS, CONNECTIONS, PROCESS_STARTS, REQUEST_SECONDS  # noqa: PLC0415
    from ops.metrics.process_files import Publisher, totals  # noqa: PLC0415

    folder, name = Path(sys.argv[1]), sys.argv[2]
    Publisher(folder, name).start()
    CONNECTIONS.add(5)
    for line in sys.stdin:
        COMMITS.add("trades", amount=int(line))
        REQUEST_SECONDS.observe(0.3, "ohlc")
        found = totals()
        told = [
            found[COMMITS][("trades",)][0],
            sum(found[REQUEST_SECONDS][("ohlc",)][:-1]),
            found[CONNECTIONS][()][0],
            found[PROCESS_STARTS].get((name,), [0])[0],
        ]
        print(*map(int, told), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
