"""How long tests wait, and when they judge what they measured.

A machine that does other things beside the tests stands still for seconds, or does everything several times
as slowly. Patience is for that: its end says that something will never come.
"""

import os

PATIENCE_SECONDS = 120.0
PROGRAM_SECONDS = 300.0
"""For a program that is started: it imports everything, and may make a database first."""

_IS_ALONE = "SOAK" in os.environ and "PYTEST_XDIST_WORKER" not in os.environ


def is_kept(promised: float, *measured: float) -> bool:
    """Whether no figure is above a promise. Only the soak's tests that run alone are judged: marked `seconds`."""
    return not _IS_ALONE or max(measured) <= promised
