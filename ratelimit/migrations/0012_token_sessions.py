"""Sessions have a row each; the tables of djangorestframework-simplejwt's blacklist go. People must log in again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "0011_key_lifetime")]

    operations = [
        migrations.CreateModel(
            name="TokenSession",
            fields=[
                ("id", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("holder", models.CharField(help_text="`Caller.identity`.", max_length=100)),
                ("secret", models.CharField(help_text="The digest of the holder's password or key.", max_length=64)),
                ("refresh_id", models.CharField(help_text="The id of the only valid refresh token.", max_length=32)),
                ("began_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(db_index=True, help_text="When the newest token expires.")),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RunSQL(
            [
                "DROP TABLE IF EXISTS token_blacklist_blacklistedtoken",
                "DROP TABLE IF EXISTS token_blacklist_outstandingtoken",
            ],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
