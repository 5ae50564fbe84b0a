from django.db import migrations


class Migration(migrations.Migration):
    """The table stays: the app `idempotency` has taken it over."""

    dependencies = [
        ("ratelimit", "0005_hashed_idempotency_keys"),
        ("idempotency", "0001_sealed_answer"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel(name="SealedAnswer")]),
    ]
