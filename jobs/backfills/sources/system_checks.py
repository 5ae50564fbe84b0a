"""System checks of the sources' settings: each finding has a stable id and a hint."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from jobs.backfills.sources.registry import source_named


def check_sources(**_: Any) -> list[CheckMessage]:
    """Check that every source can be made (backfills.E001). None is asked."""
    found: list[CheckMessage] = []
    for name in settings.BACKFILL_SOURCES:
        try:
            source_named(name)
        except ImproperlyConfigured as error:
            hint = f"Correct BACKEND and OPTIONS of BACKFILL_SOURCES[{name!r}]."
            found.append(Error(str(error), hint=hint, id="backfills.E001"))
    return found


def check_order(**_: Any) -> list[CheckMessage]:
    """Check that BACKFILL_ORDER lists declared sources (backfills.E002)."""
    return [
        Error(
            f"BACKFILL_ORDER[{exchange!r}] is not a list of names in BACKFILL_SOURCES.",
            hint=f"List some of: {', '.join(settings.BACKFILL_SOURCES) or 'none is declared'}.",
            id="backfills.E002",
        )
        for exchange, names in settings.BACKFILL_ORDER.items()
        if not (isinstance(names, list) and settings.BACKFILL_SOURCES.keys() >= {str(name) for name in names})
    ]
