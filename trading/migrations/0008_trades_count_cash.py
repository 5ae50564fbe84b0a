"""Delete the stored states: their open trades count gains and not cash. The events give the states again."""

from typing import Any

from django.db import migrations


def forget(apps: Any, schema_editor: Any) -> None:
    apps.get_model('trading', 'StateSnapshot').objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ('trading', '0007_watchlists'),
    ]

    operations = [
        migrations.RunPython(forget, migrations.RunPython.noop),
    ]
