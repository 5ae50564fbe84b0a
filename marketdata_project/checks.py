"""System checks of the settings: each finding has a stable id and a hint. They run before any command."""

import stat
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 Django's name
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string

from jobs.schedules import JobSchedule, ScheduleRefused
from sources import registry as sources
from sources.retention import InvalidRetention, keeping_rules
from store.datasets import TRADES
from store.exceptions import OtherVersion
from trades.conditions import CONDITION_MAPS
from trades.stores import market_store
from web.endpoints import endpoint_list


def check_store(**_: Any) -> list[CheckMessage]:
    """Check that the default market store opens (marketdata.E003)."""
    try:
        market_store()
    except OtherVersion:
        raise  # the command ends with its sentence
    except Exception as error:  # noqa: BLE001 a backend may refuse its options in any way
        message = f"The default market store cannot be opened: {error}"
        hint = "Correct BACKEND and OPTIONS of MARKET_STORES['default']."
        return [Error(message, hint=hint, id="marketdata.E003")]
    return []


def check_proxies(**_: Any) -> list[CheckMessage]:
    """Check that BEHIND_TLS_PROXY comes with TRUSTED_PROXIES (marketdata.E004)."""
    if not settings.BEHIND_TLS_PROXY or settings.TRUSTED_PROXIES:
        return []
    message = (
        "BEHIND_TLS_PROXY is set, and TRUSTED_PROXIES is empty: every X-Forwarded-Proto would be ignored."
    )
    hint = "Set TRUSTED_PROXIES to the addresses of the proxies."
    return [Error(message, hint=hint, id="marketdata.E004")]


def check_exchange_conditions(**_: Any) -> list[CheckMessage]:
    """Check that EXCHANGE_CONDITIONS names condition maps of trades (marketdata.E008)."""
    maps = [name for name, each in CONDITION_MAPS.items() if TRADES.name in each.codes]
    unknown = sorted(set(settings.EXCHANGE_CONDITIONS.values()).difference(maps))
    if not unknown:
        return []
    message = f"EXCHANGE_CONDITIONS names condition maps that do not exist: {', '.join(unknown)}."
    return [Error(message, hint=f"Name one of {', '.join(maps)}.", id="marketdata.E008")]


def check_retention(**_: Any) -> list[CheckMessage]:
    """Check that RETENTION can be read (marketdata.E011)."""
    try:
        keeping_rules(settings.RETENTION)
    except InvalidRetention as error:
        hint = 'Write such as RETENTION="trades 30 d, quotes 7 d".'
        return [Error(f"{error}.", hint=hint, id="marketdata.E011")]
    return []


def check_csrf(**_: Any) -> list[CheckMessage]:
    """Check that a middleware checks CSRF tokens (marketdata.E005).

    Django's own check (security.W003) does not recognise subclasses.
    """
    if any(_is_csrf(import_string(path)) for path in settings.MIDDLEWARE):
        return []
    message = "No middleware checks CSRF tokens: another site's page could write in a browser's session."
    hint = "Put marketdata_project.browsers.CsrfViewMiddleware into MIDDLEWARE."
    return [Error(message, hint=hint, id="marketdata.E005")]


def _is_csrf(middleware: object) -> bool:
    return isinstance(middleware, type) and issubclass(middleware, CsrfViewMiddleware)


def check_worker_cores(**_: Any) -> list[CheckMessage]:
    """Check that WORKER_CORES is one of its values (marketdata.E007)."""
    if settings.WORKER_CORES in {"auto", "none"}:
        return []
    message = f"WORKER_CORES is {settings.WORKER_CORES!r}."
    hint = "Set WORKER_CORES to auto or none; `taskset` chooses the cores of all processes."
    return [Error(message, hint=hint, id="marketdata.E007")]


def check_hosts(**_: Any) -> list[CheckMessage]:
    """Check that ALLOWED_HOSTS lists the service's hosts (marketdata.W002, with `check --deploy`)."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    message = "ALLOWED_HOSTS is '*': redirects and links would contain any Host header that a client sends."
    return [Warning(message, hint="List the host names of the service.", id="marketdata.W002")]


def check_data_folder(**_: Any) -> list[CheckMessage]:
    """Check that other users cannot open the data folder (marketdata.W003, with `check --deploy`)."""
    folder = Path(settings.DATA_DIR)
    if not folder.is_dir() or not folder.stat().st_mode & stat.S_IRWXO:
        return []
    message = f"Every user of this machine can open the data folder {folder}."
    return [Warning(message, hint=f"chmod o-rwx {folder}", id="marketdata.W003")]


def check_secret_files(**_: Any) -> list[CheckMessage]:
    """Check that other users cannot read the files of secrets (marketdata.W004)."""
    return [
        Warning(
            f"Every user of this machine can read the file that {name} names.",
            hint=f"chmod o-rwx {path}",
            id="marketdata.W004",
        )
        for name, path in settings.SECRET_FILES.items()
        if path.is_file() and path.stat().st_mode & stat.S_IRWXO
    ]


def check_schedules(**_: Any) -> list[CheckMessage]:
    """Check that the jobs of JOB_SCHEDULES can be submitted (marketdata.E009)."""
    found: list[CheckMessage] = []
    for name, declared in settings.JOB_SCHEDULES.items():
        try:
            JobSchedule.of(name, declared)
        except ScheduleRefused as error:
            hint = "See docs/jobs.md, Schedules."
            found.append(Error(f"JOB_SCHEDULES[{name!r}]: {error}.", hint=hint, id="marketdata.E009"))
    return found


def check_access(**_: Any) -> list[CheckMessage]:
    """Check that each view declares what its calls require (marketdata.E010)."""
    undeclared = [f"{each.method} {each.path}" for each in endpoint_list() if each.access is None]
    if not undeclared:
        return []
    message = f"Nobody may call {', '.join(undeclared)}: the view does not declare what that requires."
    hint = "Name the handler in the view's `access`; see CONTRIBUTING.md."
    return [Error(message, hint=hint, id="marketdata.E010")]


_CHECKS = (
    check_access,
    check_store,
    check_proxies,
    check_exchange_conditions,
    check_csrf,
    check_retention,
    check_worker_cores,
    check_secret_files,
    sources.check_sources,
    check_schedules,
)
_DEPLOYMENT_CHECKS = (check_hosts, check_data_folder)


def register_checks() -> None:
    """Register the checks with Django."""
    for check in _CHECKS:
        register(check)
    for check in _DEPLOYMENT_CHECKS:
        register(check, Tags.security, deploy=True)
