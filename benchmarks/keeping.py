"""The derived files of a store, kept or built in a process of their own.

Run as `python -m benchmarks.keeping keep STORE`: keeps them as the worker does, though not as nice, until
SIGTERM. Run as `python -m benchmarks.keeping build STORE`: builds those of the one symbol, and prints JSON:
its seconds, and the process's bytes of memory before and at their peak.
"""

import json
import sys
import time

from benchmarks.processes import memory_of_process
from benchmarks.stream import SYMBOL
from store.csv import CsvStore
from store.datasets import TRADES

_PERIOD_SECONDS = 1.0


def keep(store: CsvStore) -> None:
    """Round after round."""
    keeper = store.keeper()
    print("Keeping", flush=True)
    while True:
        time.sleep(_PERIOD_SECONDS)
        keeper.round(seconds=_PERIOD_SECONDS)


def build(store: CsvStore) -> None:
    """All at once."""
    before, began = memory_of_process("VmHWM"), time.perf_counter()
    store.derive(TRADES, SYMBOL, rebuild=True)
    print(
        json.dumps(
            {"seconds": time.perf_counter() - began, "before": before, "peak": memory_of_process("VmHWM")}
        )
    )


if __name__ == "__main__":
    {"keep": keep, "build": build}[sys.argv[1]](CsvStore(sys.argv[2]))
