"""Which migrations are not in the database yet, and whether another version applied others."""

from contextlib import suppress

from django.core.management.base import CommandError
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from store.exceptions import OtherVersion


def pending_migrations() -> int:
    """Return how many migrations are to be applied. Raises OtherVersion, and the errors of the database."""
    executor = MigrationExecutor(connection)
    loader = executor.loader
    unknown = sorted(set(loader.applied_migrations or ()) - set(loader.disk_migrations or ()))
    if unknown:
        raise OtherVersion(
            "The database", f"it has the migration {'.'.join(unknown[0])}, which this version lacks"
        )
    return len(executor.migration_plan(loader.graph.leaf_nodes()))


def check_migrated() -> None:
    """Raise CommandError if the database has no tables yet, or older ones. A database that is away is not waited for."""
    with suppress(Error):
        if pending_migrations():
            raise CommandError("the database is not migrated: run `make run` or `manage.py migrate` first")
