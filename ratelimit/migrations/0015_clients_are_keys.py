"""OAuth2 clients become API keys with the same client id; the tables of django-oauth-toolkit go, with their tokens."""

import secrets
import string
from typing import Any

from django.db import migrations
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

_GRANTS = (
    "tier", "rate", "trading_rate", "daily_quota", "monthly_quota", "scopes",
    "accounts", "sensitivity", "networks", "expires_at", "revoked_at",
)  # fmt: skip
# Where other tables name the principal of a client, which is the first key of its chain of rotations.
_PRINCIPALS = (
    ("ratelimit_apikey", "owner"),
    ("ratelimit_quotause", "identity"),
    ("ratelimit_sealedanswer", "identity"),
    ("jobs_job", "owner"),
    ("outbox_event", "owner"),
    ("trading_preview", "owner"),
)
# Where they name its identity, which is the key itself.
_IDENTITIES = (("jobs_job", "created_by"),)
_BASE62 = string.ascii_letters + string.digits


def take_over_clients(apps: Any, schema_editor: Any) -> None:
    """Give each key its client id, make a key for each client, and write the key's name where the client's stands."""
    alias = schema_editor.connection.alias
    keys = apps.get_model("ratelimit", "ApiKey").objects.using(alias)
    first = keys.filter(pk=Coalesce(OuterRef("family"), OuterRef("pk"))).order_by().values("prefix")[:1]
    keys.update(client_id=Subquery(first))
    for client in apps.get_model("ratelimit", "OAuthClient").objects.using(alias).order_by("pk"):
        key, old = key_of(client, keys), f"client:{client.pk}"
        rename(schema_editor.connection, _PRINCIPALS, old, f"key:{key.family or key.pk}")
        rename(schema_editor.connection, _IDENTITIES, old, f"key:{key.pk}")


def key_of(client: Any, keys: Any) -> Any:
    """Store a client as a key, and its secret before the last rotation as the key's predecessor. Returns the key."""
    common = {name: getattr(client, name) for name in _GRANTS}
    common |= {"name": (client.name or client.client_id)[:100], "client_id": client.client_id}
    until, before = client.old_secret_expires_at, None
    if client.old_secret and until is not None and until > timezone.now():
        ends = {"expires_at": min(until, client.expires_at or until)}
        before = keys.create(**{**common, **ends, **secret_columns(client.old_secret), "created_at": client.created})
    return keys.create(
        **common,
        **secret_columns(client.client_secret),
        created_at=client.created,
        replaces=before,
        family=None if before is None else before.pk,
    )


def secret_columns(secret: str) -> dict[str, str]:
    """Return the hash of a client's secret, as Django names it, and a prefix and a digest that no key has."""
    prefix = secrets.choice(string.ascii_letters) + "".join(secrets.choice(_BASE62) for _ in range(7))
    old_secret = secret.replace("pbkdf2_sha256_of_random$", "pbkdf2_sha256$", 1)
    return {"old_secret": old_secret, "prefix": prefix, "digest": secrets.token_hex(32)}


def rename(connection: Any, columns: tuple[tuple[str, str], ...], old: str, new: str) -> None:
    """Replace the name of a caller in the tables that exist."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for table, column in columns:
            if table in tables:
                cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {column} = %s", [new, old])


def drop_tables(apps: Any, schema_editor: Any) -> None:
    """Drop the tables of django-oauth-toolkit, if there are any."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    for table in tables:
        if table.startswith("oauth2_provider_"):
            name = schema_editor.quote_name(table)
            schema_editor.execute(schema_editor.sql_delete_table % {"table": name})


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "0014_client_ids")]

    operations = [
        migrations.RunPython(take_over_clients, migrations.RunPython.noop),
        migrations.RunPython(drop_tables, migrations.RunPython.noop),
        migrations.DeleteModel("OAuthClient"),
    ]
