from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='CatalogueState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stamp', models.CharField(max_length=64)),
                ('rows', models.PositiveBigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='InstrumentEntry',
            fields=[
                ('symbol', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('instrument_class', models.CharField(blank=True, db_index=True, max_length=16, verbose_name='class')),
                ('name', models.CharField(blank=True, max_length=200)),
                ('exchange', models.CharField(blank=True, db_index=True, max_length=4)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('base_currency', models.CharField(blank=True, max_length=3)),
                ('bar_policy', models.CharField(blank=True, max_length=64)),
                ('volume_kind', models.CharField(blank=True, max_length=16)),
                ('tick_size', models.FloatField(blank=True, null=True)),
                ('aliases', models.TextField(blank=True, help_text='Other symbols that mean it, separated by semicolons.')),
                ('allow_nonpositive_price', models.BooleanField(default=False, verbose_name='prices of zero and less')),
                ('unknown_conditions', models.CharField(blank=True, max_length=16)),
                ('gap_rule', models.CharField(blank=True, max_length=16)),
                ('settle', models.FloatField(blank=True, default=2.0)),
                ('calendar', models.CharField(blank=True, max_length=2000)),
                ('underlying', models.CharField(blank=True, max_length=32)),
                ('expiry', models.DateField(blank=True, db_index=True, null=True)),
                ('strike', models.FloatField(blank=True, null=True)),
                ('right', models.CharField(blank=True, max_length=4)),
                ('multiplier', models.FloatField(blank=True, null=True)),
                ('exercise', models.CharField(blank=True, max_length=16)),
                ('settlement', models.CharField(blank=True, max_length=2)),
                ('document', models.TextField(editable=False)),
            ],
            options={
                'verbose_name': 'instrument',
                'ordering': ('symbol',),
                'indexes': [models.Index(fields=['underlying', 'expiry', 'strike'], name='instrument_contract')],
            },
        ),
    ]
