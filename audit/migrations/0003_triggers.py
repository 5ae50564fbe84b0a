"""Adds triggers with which the database refuses to change records."""

from django.db import migrations

from audit.chain.tables import triggers_drop, triggers_make


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_chain")]

    operations = [migrations.RunPython(triggers_make, triggers_drop)]
