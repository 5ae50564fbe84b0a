"""Keys have a client id, and token sessions may have scopes, for OAuth2."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "0013_remove_storage_quotas")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="client_id",
            field=models.CharField(
                default="",
                max_length=255,
                db_index=True,
                help_text="The OAuth2 client of the key and its successors: the prefix of the first key in its chain of rotations.",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="apikey",
            name="old_secret",
            field=models.CharField(
                max_length=255,
                default="",
                blank=True,
                help_text="The hash of the OAuth2 secret that an earlier version made, until it is used the first time.",
            ),
        ),
        migrations.AddField(
            model_name="tokensession",
            name="scopes",
            field=models.JSONField(
                null=True, help_text="The scopes of an OAuth2 token; null: all of the holder's."
            ),
        ),
        migrations.AlterField(
            model_name="tokensession",
            name="refresh_id",
            field=models.CharField(
                max_length=32, default="", help_text="The id of the only valid refresh token; empty for OAuth2."
            ),
        ),
    ]
