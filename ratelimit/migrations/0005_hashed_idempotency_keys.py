import hashlib

from django.db import migrations, models


def hash_keys(apps, schema_editor):
    """Replace the plain keys that the previous version stored by their hashes, so that its answers are still found."""
    answers = apps.get_model("ratelimit", "SealedAnswer").objects.using(schema_editor.connection.alias)
    for pk, plain in answers.values_list("pk", "idempotency_key"):
        answers.filter(pk=pk).update(idempotency_key=hashlib.sha256(plain.encode()).hexdigest())


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "0004_family")]

    operations = [
        migrations.RunPython(hash_keys, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="sealedanswer",
            name="idempotency_key",
            field=models.CharField(help_text="SHA-256 of it, in hex.", max_length=64),
        ),
    ]
