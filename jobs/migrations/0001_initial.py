import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('kind', models.CharField(max_length=40)),
                ('state', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('needs_confirmation', 'needs_confirmation'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled')], default='queued', max_length=20)),
                ('owner', models.CharField(max_length=100)),
                ('created_by', models.CharField(max_length=100)),
                ('correlation_id', models.CharField(default='', max_length=128)),
                ('callback_url', models.TextField(default='')),
                ('parameters', models.JSONField(default=dict)),
                ('once_key', models.CharField(default='', max_length=200)),
                ('turn', models.CharField(default='', max_length=200)),
                ('urgency', models.SmallIntegerField(default=0)),
                ('done', models.BigIntegerField(default=0)),
                ('total', models.BigIntegerField(null=True)),
                ('note', models.JSONField(default=dict)),
                ('result', models.JSONField(null=True)),
                ('error', models.JSONField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('preview', models.JSONField(null=True)),
                ('asked_at', models.DateTimeField(db_index=True, null=True)),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('cancel_requested', models.BooleanField(default=False)),
                ('lease', models.UUIDField(null=True)),
                ('leased_until', models.DateTimeField(null=True)),
                ('slot', models.PositiveSmallIntegerField(null=True)),
                ('not_before', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(db_index=True, null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['owner', 'id'], name='job_owner'), models.Index(condition=models.Q(('state__in', ('queued', 'running'))), fields=['kind', 'state'], name='job_unfinished')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'slot'), name='job_slot_once'), models.UniqueConstraint(condition=models.Q(('state', 'running'), models.Q(('turn', ''), _negated=True)), fields=('turn',), name='job_turn_once'), models.UniqueConstraint(condition=models.Q(('state__in', ('queued', 'running', 'needs_confirmation')), models.Q(('once_key', ''), _negated=True)), fields=('once_key',), name='job_once')],
            },
        ),
    ]
