"""Makes the first key of a chain of rotations the owner of the chain's quotas: adds all keys' reserved tokens to it."""

from typing import Any

from django.db import migrations, models


def note_families(apps: Any, schema_editor: Any) -> None:
    """Store the family of each successor, and move the successor's reserved tokens to the family."""
    alias = schema_editor.connection.alias
    keys = apps.get_model("ratelimit", "ApiKey").objects.using(alias)
    uses = apps.get_model("ratelimit", "QuotaUse").objects.using(alias)
    families: dict[int, int] = {}
    # A successor has a greater id than its predecessor, so the predecessor's family is already known.
    for key_id, replaced in keys.exclude(replaces=None).order_by("pk").values_list("pk", "replaces_id"):
        families[key_id] = families.get(replaced, replaced)
    for key_id, family in families.items():
        keys.filter(pk=key_id).update(family=family)
        for use in list(uses.filter(identity=f"key:{key_id}")):
            give(uses, use, f"key:{family}")


def give(uses: Any, use: Any, identity: str) -> None:
    """Move the reserved tokens in a row to the row of another identity in the same period."""
    to, is_new = uses.get_or_create(
        identity=identity,
        period=use.period,
        defaults={"booked": use.booked, "updated_at": use.updated_at},
    )
    if not is_new:
        to.booked += use.booked
        to.updated_at = max(to.updated_at, use.updated_at)
        to.save(update_fields=["booked", "updated_at"])
    use.delete()


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "0003_sealed_answer")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="family",
            field=models.BigIntegerField(
                null=True,
                blank=True,
                help_text="The id of the first key in its chain of rotations; empty if it is itself the first.",
            ),
        ),
        migrations.RunPython(note_families, migrations.RunPython.noop),
    ]
