"""Database triggers that refuse to change or delete audit records, and the deletion of pruned records.

Triggers prevent mistakes. Somebody who may alter the schema can drop them; the chain detects later changes.
"""

from typing import Any

from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_TABLE, _ENDS = "audit_auditrecord", "audit_chainends"
_BASE = f"(SELECT base_sequence FROM {_ENDS})"  # noqa: S608 names of our own
_WORDS = "audit records are never changed"

SQLITE = (
    (
        f"CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON {_TABLE}"
        f" BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
    ),
    (
        f"CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON {_TABLE} WHEN OLD.sequence > {_BASE}"
        f" BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
    ),
)
POSTGRESQL = (
    f"""
    CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF OLD.sequence <= {_BASE} THEN RETURN OLD; END IF;
        END IF;
        RAISE EXCEPTION '{_WORDS}';
    END $$
    """,
    (
        f"CREATE OR REPLACE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON {_TABLE}"
        " FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
    ),
    (
        f"CREATE OR REPLACE TRIGGER audit_no_truncation BEFORE TRUNCATE ON {_TABLE}"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    ),
)
REMOVED = {
    "sqlite": ("DROP TRIGGER IF EXISTS audit_no_update", "DROP TRIGGER IF EXISTS audit_no_delete"),
    "postgresql": ("DROP FUNCTION IF EXISTS audit_refuse CASCADE",),
}
MADE = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


def triggers_make(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the triggers. A migration that rebuilds the table must call it again."""
    _run(schema_editor, MADE)


def triggers_drop(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop the triggers."""
    _run(schema_editor, REMOVED)


def rows_delete(end: int) -> None:
    """Delete the records up to number `end`. The chain's base must be set to `end` before. Raises django.db.Error."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {_TABLE} WHERE sequence <= %s", [end])  # noqa: S608


def _run(schema_editor: BaseDatabaseSchemaEditor, statements: dict[str, tuple[str, ...]]) -> None:
    for statement in statements.get(schema_editor.connection.vendor, ()):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(statement)
