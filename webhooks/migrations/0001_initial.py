import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='MarketAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('owner', models.CharField(max_length=100)),
                ('symbol', models.CharField(max_length=32)),
                ('kind', models.CharField(max_length=10)),
                ('direction', models.CharField(default='', max_length=10)),
                ('value', models.FloatField(null=True)),
                ('seconds', models.PositiveIntegerField(null=True)),
                ('state', models.CharField(default='armed', max_length=10)),
                ('armed_at', models.DateTimeField()),
                ('fired_at', models.DateTimeField(null=True)),
                ('fired', models.JSONField(null=True)),
                ('commit', models.BigIntegerField(default=0)),
                ('commit_hash', models.CharField(default='', max_length=64)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['owner', 'id'], name='webhook_alert_owner'), models.Index(condition=models.Q(('state', 'armed')), fields=['symbol'], name='webhook_alert_armed')],
            },
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('owner', models.CharField(max_length=100)),
                ('url', models.TextField()),
                ('kinds', models.JSONField(default=list)),
                ('accounts', models.JSONField(default=list)),
                ('symbols', models.JSONField(default=list)),
                ('secret', models.TextField(default='')),
                ('old_secret', models.TextField(default='')),
                ('old_secret_until', models.DateTimeField(null=True)),
                ('state', models.CharField(default='active', max_length=10)),
                ('paused_because', models.CharField(default='', max_length=20)),
                ('failing_since', models.DateTimeField(null=True)),
                ('retry_at', models.DateTimeField(null=True)),
                ('is_slow', models.BooleanField(default=True)),
                ('leased_until', models.DateTimeField(default=django.utils.timezone.now)),
                ('is_callback', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['owner', 'id'], name='webhook_owner')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('is_callback', True)), fields=('owner', 'url'), name='webhook_callback_once')],
            },
        ),
        migrations.CreateModel(
            name='WebhookEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('kind', models.CharField(max_length=40)),
                ('subject', models.CharField(max_length=200)),
                ('owner', models.CharField(default='', max_length=100)),
                ('account', models.CharField(default='', max_length=64)),
                ('symbol', models.CharField(default='', max_length=32)),
                ('correlation_id', models.CharField(default='', max_length=128)),
                ('data', models.JSONField()),
                ('created_at', models.DateTimeField(db_index=True)),
                ('fanned_out_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'event',
                'indexes': [models.Index(condition=models.Q(('fanned_out_at', None)), fields=['id'], name='webhook_event_new')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('url', models.TextField(default='')),
                ('subject', models.CharField(max_length=200)),
                ('state', models.CharField(default='pending', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_at', models.DateTimeField()),
                ('status', models.PositiveSmallIntegerField(null=True)),
                ('error', models.CharField(default='', max_length=200)),
                ('latency_ms', models.PositiveIntegerField(null=True)),
                ('answer', models.TextField(default='')),
                ('created_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('webhook', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='webhooks.webhook')),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='webhooks.webhookevent')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'indexes': [models.Index(condition=models.Q(('state', 'pending')), fields=['webhook', 'subject', 'event'], name='webhook_delivery_turn'), models.Index(condition=models.Q(('state', 'pending')), fields=['webhook', 'next_at'], name='webhook_delivery_due'), models.Index(fields=['webhook', 'id'], name='webhook_delivery_log')],
                'constraints': [models.UniqueConstraint(fields=('event', 'webhook'), name='webhook_delivery_once')],
            },
        ),
    ]
