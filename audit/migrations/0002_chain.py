"""Makes the table of chained records and moves the existing records into it, in their order."""

from itertools import islice

from django.db import migrations, models
from django.db.models import Q

BATCH = 2000
CALL = ("at", "caller", "method", "path", "query", "status", "latency_us", "address", "correlation_id")


def chain_records(apps, schema_editor):
    """Chain the existing records as they are. Only later changes of them can be detected."""
    from audit.chain.append import base_seal, chain_key
    from audit.chain.links import BEGINNING, Head
    from audit.records.columns import AuditColumns

    old = apps.get_model("audit", "UnchainedRecord").objects.using(schema_editor.connection.alias)
    new = apps.get_model("audit", "AuditRecord").objects.using(schema_editor.connection.alias)
    head = BEGINNING
    found = old.order_by("id").values_list(*CALL).iterator(chunk_size=BATCH)
    while rows := list(islice(found, BATCH)):
        links = list(chain_key().chained(head, (AuditColumns(*row) for row in rows)))
        new.bulk_create(
            [new.model(sequence=each.sequence, hash=each.hash, **each.columns._asdict()) for each in links]
        )
        head = Head(links[-1].sequence, links[-1].hash)
    apps.get_model("audit", "ChainEnds").objects.using(schema_editor.connection.alias).create(
        pk=1,
        head_sequence=head.sequence,
        head_hash=head.hash,
        base_sequence=BEGINNING.sequence,
        base_hash=BEGINNING.hash,
        base_seal=base_seal(BEGINNING),
    )


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RemoveIndex("auditrecord", "audit_at"),
        migrations.RemoveIndex("auditrecord", "audit_caller"),
        migrations.RemoveIndex("auditrecord", "audit_method"),
        migrations.RemoveIndex("auditrecord", "audit_status"),
        migrations.RenameModel("AuditRecord", "UnchainedRecord"),
        migrations.CreateModel(
            name="ChainEnds",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("head_sequence", models.PositiveBigIntegerField()),
                ("head_hash", models.CharField(max_length=64)),
                ("base_sequence", models.PositiveBigIntegerField()),
                ("base_hash", models.CharField(max_length=64)),
                ("base_seal", models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name="AuditRecord",
            fields=[
                ("sequence", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(help_text="When the call began, UTC.")),
                ("caller", models.CharField(blank=True, help_text="Empty: nobody was authenticated.", max_length=100)),
                ("method", models.CharField(blank=True, help_text="Empty: an event.", max_length=16)),
                ("path", models.CharField(blank=True, max_length=1024)),
                ("query", models.CharField(blank=True, help_text="Secrets are masked.", max_length=1536)),
                ("status", models.PositiveSmallIntegerField(help_text="0: an event, or an answer that never was.")),
                ("latency_us", models.PositiveBigIntegerField(verbose_name="latency (µs)")),
                ("address", models.CharField(blank=True, max_length=64)),
                ("correlation_id", models.CharField(blank=True, max_length=128)),
                ("audit_class", models.CharField(blank=True, max_length=16, verbose_name="class")),
                ("event", models.CharField(blank=True, max_length=64)),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("detail", models.TextField(blank=True, help_text="JSON: masked parameters, changes.")),
                ("hash", models.CharField(help_text="Over this record and the hash before it, keyed.", max_length=64)),
            ],
            options={
                "ordering": ["-sequence"],
                "indexes": [
                    models.Index(fields=["at"], name="audit_record_at"),
                    models.Index(fields=["caller", "-sequence"], name="audit_record_caller"),
                    models.Index(fields=["method", "-sequence"], name="audit_record_method"),
                    models.Index(fields=["status", "-sequence"], name="audit_record_status"),
                    models.Index(fields=["correlation_id"], name="audit_record_correlation"),
                    models.Index(
                        fields=["audit_class", "-sequence"],
                        name="audit_record_class",
                        condition=~Q(audit_class=""),
                    ),
                ],
            },
        ),
        migrations.RunPython(chain_records, migrations.RunPython.noop),
        migrations.DeleteModel("UnchainedRecord"),
    ]
