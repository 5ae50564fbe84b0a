from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Backfill',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dataset', models.CharField(max_length=40)),
                ('symbol', models.CharField(db_index=True, max_length=32)),
                ('start_ns', models.BigIntegerField()),
                ('end_ns', models.BigIntegerField()),
                ('state', models.CharField(choices=[('filled', 'filled'), ('empty', 'empty'), ('exhausted', 'exhausted')], max_length=12)),
                ('source', models.CharField(default='', max_length=100)),
                ('rows', models.BigIntegerField(default=0)),
                ('told', models.JSONField(default=list)),
                ('message', models.TextField(default='')),
                ('job', models.UUIDField(db_index=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('retry_at', models.DateTimeField(db_index=True, null=True)),
                ('asked_at', models.DateTimeField()),
            ],
        ),
    ]
