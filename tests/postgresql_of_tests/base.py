"""The backend of `DATABASES` in tests over PostgreSQL, under the name by which Django finds it."""

from ops.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django closes a connection without autocommit, and a test runs within a transaction. SQLite in memory is never closed."""

    def close_if_unusable_or_obsolete(self) -> None:
        if not self.in_atomic_block:
            super().close_if_unusable_or_obsolete()
