"""Makes four indexes again in ascending order, because in descending order each new record costs more."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_triggers")]

    operations = [
        migrations.RemoveIndex("auditrecord", "audit_record_caller"),
        migrations.RemoveIndex("auditrecord", "audit_record_method"),
        migrations.RemoveIndex("auditrecord", "audit_record_status"),
        migrations.RemoveIndex("auditrecord", "audit_record_class"),
        migrations.AddIndex(
            "auditrecord", models.Index(fields=["caller", "sequence"], name="audit_record_caller")
        ),
        migrations.AddIndex(
            "auditrecord", models.Index(fields=["method", "sequence"], name="audit_record_method")
        ),
        migrations.AddIndex(
            "auditrecord", models.Index(fields=["status", "sequence"], name="audit_record_status")
        ),
        migrations.AddIndex(
            "auditrecord",
            models.Index(
                fields=["audit_class", "sequence"], name="audit_record_class", condition=~Q(audit_class="")
            ),
        ),
    ]
