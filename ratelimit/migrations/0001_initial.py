import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='TokenSession',
            fields=[
                ('id', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('identity', models.CharField(help_text='`Caller.identity`.', max_length=100)),
                ('secret', models.CharField(help_text="The digest of the person's password or of the key.", max_length=64)),
                ('refresh_id', models.CharField(default='', help_text='The id of the only valid refresh token; empty for OAuth2.', max_length=32)),
                ('scopes', models.JSONField(help_text="The scopes of an OAuth2 token; null: all of the key's.", null=True)),
                ('began_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(db_index=True, help_text='When the newest token expires.')),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='AccessProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tier', models.CharField(default='default', max_length=20)),
                ('rate', models.PositiveIntegerField(blank=True, help_text="Requests per second instead of the tier's.", null=True)),
                ('trading_rate', models.PositiveIntegerField(blank=True, help_text='Trading calls per second instead of the default.', null=True)),
                ('daily_quota', models.PositiveBigIntegerField(blank=True, help_text="Tokens per UTC day instead of the tier's; 0: unlimited.", null=True)),
                ('monthly_quota', models.PositiveBigIntegerField(blank=True, help_text="Tokens per UTC month instead of the tier's; 0: unlimited.", null=True)),
                ('scopes', models.JSONField(default=list)),
                ('accounts', models.JSONField(default=list, help_text='Accounts by id; * is every account.')),
                ('sensitivity', models.CharField(default='internal', help_text='The most sensitive data that may be read.', max_length=20)),
                ('networks', models.JSONField(default=list, help_text='Networks to call from; an empty list allows every address.')),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='access_profile', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tier', models.CharField(default='default', max_length=20)),
                ('rate', models.PositiveIntegerField(blank=True, help_text="Requests per second instead of the tier's.", null=True)),
                ('trading_rate', models.PositiveIntegerField(blank=True, help_text='Trading calls per second instead of the default.', null=True)),
                ('daily_quota', models.PositiveBigIntegerField(blank=True, help_text="Tokens per UTC day instead of the tier's; 0: unlimited.", null=True)),
                ('monthly_quota', models.PositiveBigIntegerField(blank=True, help_text="Tokens per UTC month instead of the tier's; 0: unlimited.", null=True)),
                ('scopes', models.JSONField(default=list)),
                ('accounts', models.JSONField(default=list, help_text='Accounts by id; * is every account.')),
                ('sensitivity', models.CharField(default='internal', help_text='The most sensitive data that may be read.', max_length=20)),
                ('networks', models.JSONField(default=list, help_text='Networks to call from; an empty list allows every address.')),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('name', models.CharField(max_length=100)),
                ('prefix', models.CharField(db_index=True, max_length=8)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('old_digest', models.CharField(help_text='The digest of the key before the last rotation.', max_length=64, null=True, unique=True)),
                ('overlap_until', models.DateTimeField(blank=True, help_text='When the key before the last rotation ends; empty: never rotated.', null=True)),
                ('created_at', models.DateTimeField()),
                ('owner', models.CharField(blank=True, default='', help_text='`Caller.identity` of the caller who created the key; empty: an operator.', max_length=100)),
                ('last_used_at', models.DateTimeField(blank=True, help_text='To within a minute.', null=True)),
                ('signed_only', models.BooleanField(default=False, help_text='Whether only signed requests are accepted, never the bare key.')),
                ('certificate', models.CharField(blank=True, help_text='SHA-256 of the client certificate (DER) that authenticates as this key, in hexadecimal.', max_length=64, null=True, unique=True)),
                ('before_expiry', models.CharField(choices=[('warn', 'warn'), ('rotate', 'rotate')], default='warn', help_text='What the worker does before the key expires.', max_length=10)),
                ('warned_at', models.DateTimeField(blank=True, null=True)),
                ('lifetime', models.DurationField(blank=True, help_text='How long a rotation lets the key live; empty: as long as from its creation to its expiry.', null=True)),
            ],
            options={
                'verbose_name': 'API key',
                'ordering': ('id',),
            },
        ),
        migrations.CreateModel(
            name='QuotaUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.CharField(max_length=100)),
                ('period', models.CharField(max_length=10)),
                ('booked', models.PositiveBigIntegerField(default=0)),
                ('updated_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('identity', 'period'), name='quota_once')],
            },
        ),
        migrations.CreateModel(
            name='UsedNonce',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.CharField(max_length=100)),
                ('nonce', models.CharField(max_length=128)),
                ('expires_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('identity', 'nonce'), name='nonce_once')],
            },
        ),
        migrations.CreateModel(
            name='KnownAddress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address', models.CharField(max_length=64)),
                ('last_login_at', models.DateTimeField(db_index=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='known_addresses', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'address'), name='known_address_once')],
            },
        ),
    ]
