"""How long tests wait, and to how many seconds they hold a promise.

A machine that does other things beside the tests stands still for seconds, or does everything several times
as slowly. Patience is for that, and its end says that something will never come; a promise is the code's, and
judged by what was measured.
"""

import os
from collections.abc import Iterable

PATIENCE_SECONDS = 120.0
PROGRAM_SECONDS = 300.0
"""For a program that is started: it imports everything, and may make a database first."""
SLOWER = 10.0
"""So many times slower than alone may everything be that runs beside other things."""

_IS_ALONE = "SOAK" in os.environ and "PYTEST_XDIST_WORKER" not in os.environ


def allowed(promised: float) -> float:
    """The most that may be measured where `promised` is promised: just that in a soak's tests that run alone."""
    return promised if _IS_ALONE else promised * SLOWER


def is_kept(promised: float, measured: Iterable[float]) -> bool:
    """Whether measurements keep a promise: each of them in a soak's tests that run alone, else the best, as `allowed`."""
    return (max if _IS_ALONE else min)(measured) <= allowed(promised)
