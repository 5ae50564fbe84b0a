"""System checks: what cannot work is said before anything is started, with an id and what to do about it."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from trades.stores import market_store

_HIGHEST_PORT = 65_535


def check_workers(**_: Any) -> list[CheckMessage]:
    """marketdata.E001: somebody has to answer."""
    if settings.WORKERS >= 1:
        return []
    message = f"WORKERS is {settings.WORKERS}: there would be no web process."
    return [Error(message, hint="Set WORKERS to 1 or more.", id="marketdata.E001")]


def check_port(**_: Any) -> list[CheckMessage]:
    """marketdata.E002: the port is one that exists."""
    if 0 <= settings.PORT <= _HIGHEST_PORT:
        return []
    message = f"PORT is {settings.PORT}, which is no port."
    hint = f"Set PORT to 1-{_HIGHEST_PORT}, or to 0 for any free one."
    return [Error(message, hint=hint, id="marketdata.E002")]


def check_store(**_: Any) -> list[CheckMessage]:
    """marketdata.E003: the default market store can be made from its declaration."""
    try:
        market_store()
    except Exception as error:  # noqa: BLE001 a backend may refuse its options in any way
        message = f"The default market store cannot be opened: {error}"
        hint = "Correct BACKEND and OPTIONS of MARKET_STORES['default']."
        return [Error(message, hint=hint, id="marketdata.E003")]
    return []


def register_checks() -> None:
    """Have them run with all others: by `check`, and before any command."""
    for check in (check_workers, check_port, check_store):
        register(check)
