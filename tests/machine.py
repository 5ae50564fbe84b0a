"""How slow the machine is at this moment, for promises in processor time.

The same work takes more of it on a slower processor, and up to twice as much where another thread runs on the
same core.
"""

import json
import time

# What the work below takes where the promises were measured, with the core to itself.
_USUAL_SECONDS = 0.016
_TEXT = json.dumps({str(number): [number, str(number), number / 7] for number in range(3_000)})


def slowness() -> float:
    """How many times more processor time than usual a piece of work takes; 1 on a machine that is quicker."""
    began = time.process_time()
    for _ in range(5):
        counts: dict[int, int] = {}
        for number in range(30_000):
            counts[number % 1_000] = counts.get(number % 1_000, 0) + number
        json.loads(_TEXT)
    return max(1.0, (time.process_time() - began) / _USUAL_SECONDS)
