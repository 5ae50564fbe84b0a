from django.db import migrations, models

from audit.chain.tables import triggers_drop, triggers_make


def ends_make(apps, schema_editor):
    """Make the row of the chain's ends: nothing is recorded yet."""
    from audit.chain.append import base_seal
    from audit.chain.links import BEGINNING

    apps.get_model("audit", "ChainEnds").objects.using(schema_editor.connection.alias).create(
        pk=1,
        head_sequence=BEGINNING.sequence,
        head_hash=BEGINNING.hash,
        base_sequence=BEGINNING.sequence,
        base_hash=BEGINNING.hash,
        base_seal=base_seal(BEGINNING),
    )


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='ChainEnds',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('head_sequence', models.PositiveBigIntegerField()),
                ('head_hash', models.CharField(max_length=64)),
                ('base_sequence', models.PositiveBigIntegerField()),
                ('base_hash', models.CharField(max_length=64)),
                ('base_seal', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='SpoolFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=255, unique=True)),
                ('offset', models.PositiveBigIntegerField(default=0)),
                ('updated_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='AuditRecord',
            fields=[
                ('sequence', models.BigAutoField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField(help_text='When the call began, UTC.')),
                ('caller', models.CharField(blank=True, help_text='Empty: nobody was authenticated.', max_length=100)),
                ('method', models.CharField(blank=True, help_text='Empty: an event.', max_length=16)),
                ('path', models.CharField(blank=True, max_length=1024)),
                ('query', models.CharField(blank=True, help_text='Secrets are masked.', max_length=1536)),
                ('status', models.PositiveSmallIntegerField(help_text='0: an event, or an answer that never was.')),
                ('latency_us', models.PositiveBigIntegerField(verbose_name='latency (µs)')),
                ('address', models.CharField(blank=True, max_length=64)),
                ('correlation_id', models.CharField(blank=True, max_length=128)),
                ('audit_class', models.CharField(blank=True, max_length=16, verbose_name='class')),
                ('event', models.CharField(blank=True, max_length=64)),
                ('subject', models.CharField(blank=True, max_length=200)),
                ('detail', models.TextField(blank=True, help_text='JSON: masked parameters, changes.')),
                ('hash', models.CharField(help_text='Over this record and the hash before it, keyed.', max_length=64)),
            ],
            options={
                'ordering': ['-sequence'],
                'indexes': [models.Index(fields=['at'], name='audit_record_at'), models.Index(fields=['caller', 'sequence'], name='audit_record_caller'), models.Index(fields=['method', 'sequence'], name='audit_record_method'), models.Index(fields=['status', 'sequence'], name='audit_record_status'), models.Index(fields=['correlation_id'], name='audit_record_correlation'), models.Index(condition=models.Q(('audit_class', ''), _negated=True), fields=['audit_class', 'sequence'], name='audit_record_class')],
            },
        ),
        migrations.RunPython(ends_make, migrations.RunPython.noop),
        migrations.RunPython(triggers_make, triggers_drop),
    ]
