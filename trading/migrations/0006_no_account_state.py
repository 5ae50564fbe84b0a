"""Drop the accounts' states, in a transaction of its own: PostgreSQL alters no table with rows that wait for checks."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ('trading', '0005_state_in_snapshots'),
    ]

    operations = [
        migrations.RemoveField('account', 'state'),
    ]
