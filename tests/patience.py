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
SLOWER = 4.0
"""So many times slower than alone may everything be that runs beside other things."""

_IS_ALONE = bool(os.environ.get("SOAK"))


def allowed(promised: float) -> float:
    """What may be measured where so much is promised: just that with SOAK=1, when nothing runs beside."""
    return promised if _IS_ALONE else promised * SLOWER


def is_kept(promised: float, measured: Iterable[float]) -> bool:
    """Whether measurements of the same thing keep a promise: each of them with SOAK=1, else the best, and that as `allowed`."""
    return (max if _IS_ALONE else min)(measured) <= allowed(promised)
