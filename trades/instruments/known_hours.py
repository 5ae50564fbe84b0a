"""Whether an instrument's trading hours are known: the read side, which knows the calendars, says so."""

from collections.abc import Callable

from needs import Need
from store.instruments import Instrument

HOURS_REFUSAL: Need[Callable[[Instrument], tuple[str, str] | None]] = Need(
    "trades.instruments.known_hours.HOURS_REFUSAL"
)
"""Which field, `exchange` or `calendar`, leaves its hours unknown, and why; None where they are known."""
