"""The sources by name: vendors, what `SOURCES` declares, and the exchanges that ccxt knows."""

import threading
from difflib import get_close_matches
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from ops.outbound.exceptions import DestinationRefused
from sources.protocol import Source, SourceRefused

VENDORS = ("alpaca", "databento", "massive")
"""Sources that need no declaration. Each class is made as `Class(name, key=…, **members of SOURCES)`."""
DECLARED = ("folder", "installation")
"""Kinds of sources that only `SOURCES` declares."""

_made: dict[str, Source] = {}
_mutex = threading.Lock()


def source_named(name: str) -> Source:
    """Return the source with this name. Each process makes it once. Raises SourceRefused, ImproperlyConfigured."""
    with _mutex:
        if name not in _made:
            _made[name] = _make(name)
        return _made[name]


def source_forget(name: str) -> None:
    """Let the next `source_named` make the source anew."""
    with _mutex:
        _made.pop(name, None)


def source_names() -> list[str]:
    """Return the names of all sources: those of `SOURCES` in their order, then the vendors and the exchanges."""
    return list(dict.fromkeys([*settings.SOURCES, *VENDORS, *exchange_names()]))


def declared_names() -> list[str]:
    """Return the names in `SOURCES`, in their order: the order in which other sources fill the gaps of a symbol."""
    return list(settings.SOURCES)


@cache
def exchange_names() -> list[str]:
    """Return the exchanges that ccxt knows, ascending, without loading it."""
    package = cast("ModuleSpec", find_spec("ccxt"))
    return sorted(path.stem for path in Path(str(package.origin)).with_name("abstract").glob("[a-z]*.py"))


def kind_of(name: str) -> str:
    """Return a source's kind: a name in `VENDORS` or `DECLARED`, or an exchange of ccxt. Raises SourceRefused."""
    kind = str(settings.SOURCES.get(name, {}).get("kind", name))
    if kind in VENDORS or kind in exchange_names() or (kind in DECLARED and name in settings.SOURCES):
        return kind
    near = get_close_matches(name, source_names(), 3)
    hint = f"did you mean {', '.join(near)}?" if near else "list them with: manage.py fetch --sources"
    raise SourceRefused(f"there is no source {name}: {hint}")


def _make(name: str) -> Source:
    kind = kind_of(name)
    members: dict[str, Any] = {**settings.SOURCES.get(name, {}), "key": settings.SOURCE_KEYS.get(name, "")}
    members.pop("kind", None)
    path = f"sources.{kind}.{kind.title()}"
    if kind not in (*VENDORS, *DECLARED):
        path, members["exchange"] = "sources.ccxt_exchange.CcxtExchange", kind
    try:
        return cast("Source", import_string(path)(name, **members))
    except (ImportError, DestinationRefused, TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"SOURCES[{name!r}] declares no source that can be made: {error}"
        ) from error


def check_sources(**_: Any) -> list[CheckMessage]:
    """Check that every source of `SOURCES` can be made (sources.E001). None is asked."""
    found: list[CheckMessage] = []
    for name in settings.SOURCES:
        try:
            source_named(name)
        except (ImproperlyConfigured, SourceRefused) as error:
            found.append(
                Error(str(error), hint="Correct its kind and the kind's members.", id="sources.E001")
            )
    return found


@receiver(setting_changed)
def _forget_sources(*, setting: str, **_: Any) -> None:
    if setting in {"SOURCES", "SOURCE_KEYS", "OUTBOUND_SCHEMES", "OUTBOUND_NETWORKS"}:
        _made.clear()
