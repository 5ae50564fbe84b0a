"""What migrations do to databases of earlier versions."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


@pytest.mark.django_db(transaction=True)
def test_the_table_of_the_outbox_is_dropped() -> None:
    MigrationExecutor(connection).migrate([("jobs", "0001_initial")])
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE outbox_event (id integer)")
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert "outbox_event" not in connection.introspection.table_names()
