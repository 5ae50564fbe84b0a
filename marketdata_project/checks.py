"""System checks: what cannot work is said before anything is started, with an id and what to do about it."""

import stat
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 Django's name
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string

from trades.stores import market_store

_HIGHEST_PORT = 65_535
_OTHERS = stat.S_IRWXO


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


def check_proxies(**_: Any) -> list[CheckMessage]:
    """marketdata.E004: a proxy whose word is taken is one that is named."""
    if not settings.BEHIND_TLS_PROXY or settings.TRUSTED_PROXIES:
        return []
    message = (
        "BEHIND_TLS_PROXY is set, and TRUSTED_PROXIES names no proxy: nobody's X-Forwarded-Proto would count."
    )
    hint = "Set TRUSTED_PROXIES to the addresses of the proxies."
    return [Error(message, hint=hint, id="marketdata.E004")]


def check_csrf(**_: Any) -> list[CheckMessage]:
    """marketdata.E005: CSRF tokens are checked.

    Django's own check (security.W003) does not know subclasses.
    """
    if any(_is_csrf(import_string(path)) for path in settings.MIDDLEWARE):
        return []
    message = "No middleware checks CSRF tokens: another site's page could write in a browser's session."
    hint = "Put marketdata_project.browsers.CsrfViewMiddleware into MIDDLEWARE."
    return [Error(message, hint=hint, id="marketdata.E005")]


def _is_csrf(middleware: object) -> bool:
    return isinstance(middleware, type) and issubclass(middleware, CsrfViewMiddleware)


def check_debug(**_: Any) -> list[CheckMessage]:
    """marketdata.W001: pages that show internals are for this machine alone."""
    if not settings.DEBUG or _is_local(settings.HOST):
        return []
    message = (
        f"DEBUG is on, and {settings.HOST} is reached from other machines: error pages show them internals."
    )
    return [Warning(message, hint="Leave DEBUG out.", id="marketdata.W001")]


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_hosts(**_: Any) -> list[CheckMessage]:
    """marketdata.W002, of a deployment: links are made of no host that a client has made up."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    message = "ALLOWED_HOSTS is '*': any Host header is taken, and ends up in redirects and links."
    return [Warning(message, hint="Name the hosts under which the service is reached.", id="marketdata.W002")]


def check_data_folder(**_: Any) -> list[CheckMessage]:
    """marketdata.W003, of a deployment: nobody else on the machine reads what is stored, or writes it."""
    folder = Path(settings.DATA_DIR)
    if not folder.is_dir() or not stat.S_IMODE(folder.stat().st_mode) & _OTHERS:
        return []
    message = f"The data folder {folder} is open to every user of this machine."
    return [Warning(message, hint=f"chmod o-rwx {folder}", id="marketdata.W003")]


_CHECKS = (check_workers, check_port, check_store, check_proxies, check_csrf, check_debug)
_OF_DEPLOYMENTS = (check_hosts, check_data_folder)


def register_checks() -> None:
    """Have them run with all others: by `check`, and before any command."""
    for check in _CHECKS:
        register(check)
    for check in _OF_DEPLOYMENTS:
        register(check, Tags.security, deploy=True)
