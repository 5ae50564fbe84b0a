"""What decides all that tests leave to chance."""

import os
import time

# Usual runs try the same each time, so that whoever changes something knows its effect; SOAK tries others.
_USUAL = 77


def chosen_seed() -> int:
    """SEED; without it the usual one, or another one in each run with SOAK=1."""
    usual = time.time_ns() % 2**32 if os.environ.get("SOAK") else _USUAL
    return int(os.environ.get("SEED") or usual)
