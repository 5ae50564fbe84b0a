import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Account',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
                ('number', models.BigIntegerField(default=0)),
                ('created_ns', models.BigIntegerField()),
                ('heartbeat_ns', models.BigIntegerField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('holder', models.UUIDField(null=True)),
                ('leased_until_ns', models.BigIntegerField(default=0)),
                ('started_ns', models.BigIntegerField(default=0)),
                ('now_ns', models.BigIntegerField(null=True)),
                ('document', models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name='LogProgress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dataset', models.CharField(max_length=40)),
                ('symbol', models.CharField(max_length=32)),
                ('commit', models.BigIntegerField()),
                ('hash', models.CharField(max_length=64)),
                ('ordinal', models.BigIntegerField()),
                ('newest_ns', models.BigIntegerField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('dataset', 'symbol'), name='trading_log_once')],
            },
        ),
        migrations.CreateModel(
            name='OrderRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(unique=True)),
                ('client_order_id', models.CharField(default='', max_length=128)),
                ('symbol', models.CharField(max_length=32)),
                ('side', models.CharField(max_length=4)),
                ('strategy', models.CharField(default='', max_length=64)),
                ('state', models.CharField(max_length=20)),
                ('submitted_ns', models.BigIntegerField()),
                ('is_open', models.BooleanField(default=True)),
                ('is_signal', models.BooleanField(default=False)),
                ('document', models.TextField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='trading.account')),
            ],
            options={
                'verbose_name': 'order',
            },
        ),
        migrations.CreateModel(
            name='ExecutionRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(unique=True)),
                ('number', models.BigIntegerField()),
                ('at_ns', models.BigIntegerField()),
                ('symbol', models.CharField(max_length=32)),
                ('value', models.CharField(max_length=40)),
                ('fee', models.CharField(max_length=40)),
                ('exposure', models.CharField(max_length=40)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='executions', to='trading.account')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='executions', to='trading.orderrow', to_field='uuid')),
            ],
            options={
                'verbose_name': 'execution',
            },
        ),
        migrations.CreateModel(
            name='RunningStrategy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('assignment', models.BigIntegerField()),
                ('state', models.TextField(default='')),
                ('shown_ns', models.BigIntegerField()),
                ('number', models.BigIntegerField()),
                ('timers', models.JSONField(default=list)),
                ('saves', models.BigIntegerField(default=0)),
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='trading.account')),
            ],
        ),
        migrations.CreateModel(
            name='StateSnapshot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
                ('state', models.TextField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='snapshots', to='trading.account')),
            ],
        ),
        migrations.CreateModel(
            name='TargetModel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64)),
                ('weights', models.JSONField()),
                ('changed_ns', models.BigIntegerField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='target_models', to='trading.account')),
            ],
        ),
        migrations.CreateModel(
            name='TradeRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
                ('symbol', models.CharField(max_length=32)),
                ('strategy', models.CharField(default='', max_length=64)),
                ('direction', models.CharField(max_length=5)),
                ('opened_ns', models.BigIntegerField()),
                ('closed_ns', models.BigIntegerField()),
                ('document', models.TextField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='trades', to='trading.account')),
            ],
        ),
        migrations.CreateModel(
            name='TransactionRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
                ('at_ns', models.BigIntegerField()),
                ('kind', models.CharField(max_length=40)),
                ('symbol', models.CharField(default='', max_length=32)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.CharField(max_length=40)),
                ('balance', models.CharField(max_length=40)),
                ('entries', models.JSONField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='transactions', to='trading.account')),
            ],
            options={
                'verbose_name': 'transaction',
            },
        ),
        migrations.CreateModel(
            name='Watchlist',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, unique=True)),
                ('name', models.CharField(max_length=64)),
                ('symbols', models.JSONField(default=list)),
                ('created_ns', models.BigIntegerField()),
                ('changed_ns', models.BigIntegerField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='watchlists', to='trading.account')),
            ],
        ),
        migrations.CreateModel(
            name='EquityRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
                ('at_ns', models.BigIntegerField()),
                ('equity', models.CharField(max_length=40)),
                ('high_water', models.CharField(max_length=40)),
                ('start_equity', models.CharField(max_length=40)),
                ('exposure', models.CharField(max_length=40)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='equities', to='trading.account')),
            ],
            options={
                'indexes': [models.Index(fields=['account', 'at_ns', 'id'], name='trading_equity_time')],
            },
        ),
        migrations.CreateModel(
            name='EventRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
                ('at_ns', models.BigIntegerField()),
                ('name', models.CharField(max_length=40)),
                ('body', models.TextField()),
                ('orders', models.TextField(default='')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='events', to='trading.account')),
            ],
            options={
                'indexes': [models.Index(fields=['account', 'name', 'number'], name='trading_event_name'), models.Index(condition=models.Q(('orders', ''), _negated=True), fields=['account', 'number'], name='trading_event_orders')],
                'constraints': [models.UniqueConstraint(fields=('account', 'number'), name='trading_event_once')],
            },
        ),
        migrations.AddIndex(
            model_name='orderrow',
            index=models.Index(fields=['account', 'state', 'id'], name='trading_order_state'),
        ),
        migrations.AddIndex(
            model_name='orderrow',
            index=models.Index(fields=['account', 'symbol', 'id'], name='trading_order_symbol'),
        ),
        migrations.AddIndex(
            model_name='orderrow',
            index=models.Index(fields=['account', 'strategy', 'id'], name='trading_order_strategy'),
        ),
        migrations.AddIndex(
            model_name='orderrow',
            index=models.Index(condition=models.Q(('is_open', True)), fields=['account', 'id'], name='trading_order_open'),
        ),
        migrations.AddIndex(
            model_name='orderrow',
            index=models.Index(condition=models.Q(('is_signal', True)), fields=['account', 'id'], name='trading_order_signal'),
        ),
        migrations.AddConstraint(
            model_name='orderrow',
            constraint=models.UniqueConstraint(condition=models.Q(('client_order_id', ''), _negated=True), fields=('account', 'client_order_id'), name='trading_client_order_once'),
        ),
        migrations.AddIndex(
            model_name='executionrow',
            index=models.Index(fields=['account', 'at_ns', 'id'], name='trading_execution_time'),
        ),
        migrations.AddConstraint(
            model_name='statesnapshot',
            constraint=models.UniqueConstraint(fields=('account', 'number'), name='trading_snapshot_once'),
        ),
        migrations.AddConstraint(
            model_name='targetmodel',
            constraint=models.UniqueConstraint(fields=('account', 'name'), name='trading_model_once'),
        ),
        migrations.AddIndex(
            model_name='traderow',
            index=models.Index(fields=['account', 'closed_ns', 'id'], name='trading_trade_time'),
        ),
        migrations.AddIndex(
            model_name='traderow',
            index=models.Index(fields=['account', 'symbol', 'id'], name='trading_trade_symbol'),
        ),
        migrations.AddIndex(
            model_name='traderow',
            index=models.Index(fields=['account', 'strategy', 'id'], name='trading_trade_strategy'),
        ),
        migrations.AddIndex(
            model_name='transactionrow',
            index=models.Index(fields=['account', 'at_ns', 'id'], name='trading_transaction_time'),
        ),
        migrations.AddConstraint(
            model_name='transactionrow',
            constraint=models.UniqueConstraint(fields=('account', 'number'), name='trading_transaction_once'),
        ),
        migrations.AddConstraint(
            model_name='watchlist',
            constraint=models.UniqueConstraint(fields=('account', 'name'), name='trading_watchlist_once'),
        ),
    ]
