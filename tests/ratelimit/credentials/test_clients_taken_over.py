"""Clients of earlier versions: the migration makes keys of them, and their secrets stay valid until they are rotated."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from audit.models import AuditRecord
from jobs.models import Job
from ratelimit.keys.services import key_rotate
from ratelimit.models import ApiKey, QuotaUse
from tests.api_client import Api
from tests.ratelimit.access.programs import GRANT, Program, oauth

SECRETS = [f"md_oauth2cl_{digit * 64}" for digit in "ab"]
HOUR = timedelta(hours=1)


def old_hash(secret: str) -> str:
    """The hash of a secret as earlier versions stored it."""
    encoded = PBKDF2PasswordHasher().encode(secret, "salt", 1000)
    return encoded.replace("pbkdf2_sha256", "pbkdf2_sha256_of_random")


@pytest.fixture
def old_apps(transactional_db: None) -> Any:
    """The models before the migration; it is made after the test if not in it."""
    executor = MigrationExecutor(connection)
    yield executor.migrate([("ratelimit", "0014_client_ids")]).apps
    migrate()


def migrate() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def is_accepted(client_id: str, secret: str) -> bool:
    response = oauth("token", GRANT, Program(client_id, secret).basic)
    assert response.status_code in {200, 401}
    return bool(response.status_code == 200)


def test_a_client_is_a_key_with_its_client_id_grants_and_use(old_apps, api):
    client = old_apps.get_model("ratelimit", "OAuthClient").objects.create(
        client_id="desk-id",
        name="desk",
        tier="premium",
        scopes=["market:read"],
        client_secret=old_hash(SECRETS[0]),
    )
    old_apps.get_model("ratelimit", "QuotaUse").objects.create(
        identity=f"client:{client.pk}", period="2026-11", booked=7, updated_at=timezone.now()
    )
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE oauth2_provider_grant (id integer)")
    migrate()
    key = ApiKey.objects.get(client_id="desk-id")
    assert (key.name, key.tier, key.scopes, key.created_at) == (
        "desk",
        "premium",
        ["market:read"],
        client.created,
    )
    assert QuotaUse.objects.get().identity == f"key:{key.pk}"
    assert not [name for name in connection.introspection.table_names() if "oauth" in name]
    # The secret is a hash until it is used the first time; from then on it is a key.
    assert Api(SECRETS[0]).get("/api/v1/clock").status_code == 401
    assert not is_accepted("desk-id", SECRETS[1])
    assert not is_accepted("another", SECRETS[0])
    for _ in range(2):
        assert is_accepted("desk-id", SECRETS[0])
    assert Api(SECRETS[0]).get("/api/v1/clock").status_code == 200
    assert not ApiKey.objects.exclude(old_secret="").exists()
    record = AuditRecord.objects.get(event="key.secret_adopted")
    assert (record.caller, record.subject) == (f"key:{key.pk}", f"key:{key.pk}")
    assert record.correlation_id
    key_rotate(key=key, overlap=timedelta(0), now=timezone.now(), actor="test")
    assert not is_accepted("desk-id", SECRETS[0])


def test_the_secret_before_the_last_rotation_is_its_predecessor_until_the_overlap_ends(old_apps):
    client = old_apps.get_model("ratelimit", "OAuthClient").objects.create(
        client_id="desk-id",
        scopes=["market:read"],
        client_secret=old_hash(SECRETS[1]),
        old_secret=old_hash(SECRETS[0]),
        old_secret_expires_at=timezone.now() + HOUR,
    )
    name, now = f"client:{client.pk}", timezone.now()
    Job.objects.create(kind="echo", owner=name, created_by=name, not_before=now, created_at=now)
    migrate()
    assert [is_accepted("desk-id", secret) for secret in SECRETS] == [True, True]
    old, new = ApiKey.objects.filter(client_id="desk-id")
    assert (new.replaces, new.family, new.expires_at) == (old, old.pk, None)
    assert old.expires_at is not None
    job = Job.objects.get()
    assert (job.owner, job.created_by) == (f"key:{old.pk}", f"key:{new.pk}")


def test_keys_get_the_prefix_of_the_first_of_their_chain(old_apps):
    keys = old_apps.get_model("ratelimit", "ApiKey").objects
    first = keys.create(name="a", prefix="Aaaaaaaa", digest="a", created_at=timezone.now())
    keys.create(name="b", prefix="Bbbbbbbb", digest="b", created_at=timezone.now(), family=first.pk)
    migrate()
    assert list(ApiKey.objects.values_list("client_id", flat=True)) == ["Aaaaaaaa"] * 2
