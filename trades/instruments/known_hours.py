"""Whether an instrument's trading hours are known, by whom HOURS_REFUSAL names: no calendar is known here."""

from django.conf import settings
from django.utils.module_loading import import_string

from store.instruments import Instrument


def hours_refusal(instrument: Instrument) -> tuple[str, str] | None:
    """Which field, `exchange` or `calendar`, leaves its hours unknown, and why; None where they are known."""
    refusal: tuple[str, str] | None = import_string(settings.HOURS_REFUSAL)(instrument)
    return refusal
