"""Which migrations are not in the database yet, and whether another version applied others."""

from django.db import connection
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
