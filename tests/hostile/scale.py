"""How much is tried: a little in each run, all of it with SOAK=1."""

import os

SOAK = bool(os.environ.get("SOAK"))
