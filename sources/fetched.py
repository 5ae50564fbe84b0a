"""Which symbols are fetched from a source. Reads ask at each computed answer, so the answer is kept for some seconds."""

import time

from sources.models import SourceSymbol

KEPT_SECONDS = 10.0
_kept: tuple[float, frozenset[str]] = (0.0, frozenset())


def fetched_symbols() -> frozenset[str]:
    """Return the symbols that have a source; a change shows within `KEPT_SECONDS`. Raises the database's errors."""
    global _kept  # noqa: PLW0603 replaced as a whole, so threads see the old one or the new one
    now = time.monotonic()
    until, symbols = _kept
    if now >= until:
        symbols = frozenset(SourceSymbol.objects.values_list("symbol", flat=True))
        _kept = now + KEPT_SECONDS, symbols
    return symbols


def fetched_forget() -> None:
    """Forget what was read: the next call asks the database."""
    global _kept  # noqa: PLW0603 as above
    _kept = (0.0, frozenset())
