"""`serve --only`: the processes of one of many hosts, and the settings that many hosts need."""

from collections.abc import Iterable

from django.conf import settings
from django.db import connection

from ops.serve.installation import InstallationError
from store.backends import folder_of

ROLES = ("web", "worker", "engine", "jobs")


class HostRefused(InstallationError):
    """`--only` names no role, or the settings are for one host; correct the option or the settings."""


def roles_of(named: Iterable[str]) -> frozenset[str]:
    """Return the roles of this host: those that are named, separated by commas, or all. Raises HostRefused."""
    roles = {role for text in named for role in text.split(",")}
    if not roles:
        return frozenset(ROLES)
    if unknown := sorted(roles.difference(ROLES)):
        raise HostRefused(f"--only takes {', '.join(ROLES)}, separated by commas; not {', '.join(unknown)}")
    if missing := _missing_settings():
        raise HostRefused(
            f"--only is for servers that share their data: set {', '.join(missing)}. "
            "On one machine `serve` without --only runs everything."
        )
    return frozenset(roles)


def _missing_settings() -> list[str]:
    is_set = {
        "DATABASE_URL (PostgreSQL)": connection.vendor == "postgresql",
        "REDIS_URL": not settings.REDIS_EMBEDDED,
        "MARKET_STORE (of servers)": bool(settings.MARKET_STORE) and folder_of(settings.MARKET_STORE) is None,
        "SECRET_KEY": not settings.SECRET_KEY_IS_OWN,
        "UPLOADS_DIR (shared)": not settings.UPLOADS_DIR.is_relative_to(settings.DATA_DIR),
        "EXPORTS_DIR (shared)": not settings.EXPORTS_DIR.is_relative_to(settings.DATA_DIR),
    }
    return [name for name, has in is_set.items() if not has]
