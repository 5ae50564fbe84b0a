"""The table of events for receivers goes: its only receiver wrote a line of the log."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]

    operations = [migrations.RunSQL("DROP TABLE IF EXISTS outbox_event", migrations.RunSQL.noop)]
