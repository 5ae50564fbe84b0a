"""The configured sources. The setting `BACKFILL_SOURCES` has the form of Django's `STORAGES`."""

import threading
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from jobs.backfills.sources.protocol import Source
from ops.outbound.exceptions import DestinationRefused

DEFAULT = "default"
_made: dict[str, Source] = {}
_mutex = threading.Lock()


def source_named(name: str) -> Source:
    """Return the source with this name. Each process makes it once. Raises `ImproperlyConfigured`."""
    with _mutex:
        if name not in _made:
            _made[name] = _make(name)
        return _made[name]


def sources_in_order(exchange: str | None) -> list[Source]:
    """Return the sources to ask for an instrument of this exchange, the first one first.

    By `BACKFILL_ORDER` of the exchange, else of "default", else all in the order of `BACKFILL_SOURCES`.
    """
    order = settings.BACKFILL_ORDER
    names = order.get(exchange or DEFAULT, order.get(DEFAULT, list(settings.BACKFILL_SOURCES)))
    return [source_named(name) for name in names]


def _make(name: str) -> Source:
    try:
        declared: dict[str, Any] = settings.BACKFILL_SOURCES[name]
        backend = import_string(declared["BACKEND"])
        return cast("Source", backend(name, **declared.get("OPTIONS", {})))
    except (KeyError, ImportError, DestinationRefused, TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"BACKFILL_SOURCES declares no source {name!r} that can be made: {error}"
        ) from error


@receiver(setting_changed)
def _forget_sources(*, setting: str, **_: Any) -> None:
    if setting in {"BACKFILL_SOURCES", "OUTBOUND_SCHEMES"}:
        _made.clear()
