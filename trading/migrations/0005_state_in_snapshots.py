"""Move the accounts' states to their snapshots. What comes later is stored every 50 events."""

from django.db import migrations, models


def states_move(apps, schema_editor):
    snapshots = apps.get_model('trading', 'StateSnapshot').objects
    for account in apps.get_model('trading', 'Account').objects.filter(number__gt=0).iterator(chunk_size=10):
        snapshots.get_or_create(account=account, number=account.number, defaults={'state': account.state})


class Migration(migrations.Migration):
    dependencies = [
        ('trading', '0004_exposure'),
    ]

    operations = [
        migrations.AlterField('account', 'state', models.TextField(default='')),
        migrations.RunPython(states_move, migrations.RunPython.noop),
    ]
