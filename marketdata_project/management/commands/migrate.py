"""Django's command, which ignores migrations that it does not know: here the database of another version is refused."""

from typing import Any

from django.core.management.commands import migrate

from ops.serve.migrations import pending_migrations


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate the database. Raises OtherVersion."""
        pending_migrations()
        super().handle(*args, **options)
