"""Reads of a day's minute bars of every symbol of a store, in a process of their own.

Run as `python -m benchmarks.many_reads STORE START END`, the bounds in nanoseconds: prints what it cost as
JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.processes import memory_of_process
from store import open_store
from store.reading import Reader as _  # noqa: F401 imported before anything is timed

_MEASURES = ("VmRSS", "RssAnon")


def main(store: str, start: int, end: int) -> None:
    """Open, read the middle symbol first, then all others."""
    before = {measure: memory_of_process(measure) for measure in _MEASURES}
    began = time.perf_counter()
    reader = open_store(store)
    opened = time.perf_counter()
    symbols = reader.symbols()
    listed = time.perf_counter()
    seconds, bars = [], 0
    for symbol in sorted(symbols, key=lambda name: name != symbols[len(symbols) // 2]):
        asked = time.perf_counter()
        bars += len(reader.bars(symbol, start, end))
        seconds.append(time.perf_counter() - asked)
    cost = {
        "opening": opened - began,
        "listing": listed - opened,
        "first": seconds[0],
        "others": float(np.median(seconds[1:])) if seconds[1:] else seconds[0],
        **{measure: memory_of_process(measure) - before[measure] for measure in _MEASURES},
        "handles": len(list(Path("/proc/self/fd").iterdir())) - 1,
        "maps": Path("/proc/self/maps").read_text().count(".arrow"),
        "bars": bars,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
