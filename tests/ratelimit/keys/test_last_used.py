"""When a key was last used: noted in memory, written by a thread."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import DatabaseError

from ratelimit.exceptions import RevokedApiKey
from ratelimit.keys.selectors import LastUsed
from ratelimit.keys.services import key_create, key_revoke
from ratelimit.models import ApiKey
from tests.migrated_database import place_database
from tests.ratelimit.keys.key_callers import caller_by

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def made() -> ApiKey:
    return key_create(name="feed", scopes=["market:read"], now=NOW, actor="test").stored


def used_at(key: ApiKey) -> datetime | None:
    return ApiKey.objects.get(pk=key.pk).last_used_at


@pytest.mark.django_db
def test_each_key_used_is_written_with_one_statement(django_assert_num_queries):
    uses, keys = LastUsed(), [made() for _ in range(3)]
    for second in range(5):
        for key in keys[:2]:
            uses.note(key.pk, NOW + second * SECOND)
    with django_assert_num_queries(2):
        assert uses.flush() == 2
    assert [used_at(key) for key in keys] == [NOW + 4 * SECOND, NOW + 4 * SECOND, None]
    with django_assert_num_queries(0):
        assert uses.flush() == 0


@pytest.mark.django_db
def test_a_later_use_is_never_overwritten_by_an_earlier_one():
    key = made()
    here, there = LastUsed(), LastUsed()
    here.note(key.pk, NOW)
    there.note(key.pk, NOW + SECOND)
    there.flush()
    here.flush()
    assert used_at(key) == NOW + SECOND
    there.note(key.pk, NOW - SECOND)
    there.flush()
    assert used_at(key) == NOW + SECOND


@pytest.mark.django_db
def test_a_failed_write_is_repeated(monkeypatch):
    key, uses = made(), LastUsed()
    uses.note(key.pk, NOW)

    def locked(*_: object, **__: object) -> None:
        raise DatabaseError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(ApiKey.objects, "filter", locked)
        with pytest.raises(DatabaseError):
            uses.flush()
    assert uses.flush() == 1
    assert used_at(key) == NOW


@pytest.mark.django_db
def test_a_key_that_admits_is_used_and_a_revoked_one_is_not(monkeypatch):
    uses = LastUsed()
    monkeypatch.setattr("ratelimit.keys.selectors.last_used", uses)
    good = key_create(name="feed", scopes=["market:read"], now=NOW, actor="test")
    gone = key_create(name="gone", scopes=["market:read"], now=NOW, actor="test")
    key_revoke(key=gone.stored, now=NOW, actor="test")
    assert caller_by(good.key, now=NOW + SECOND).identity == f"key:{good.id}"
    with pytest.raises(RevokedApiKey):
        caller_by(gone.key, now=NOW + SECOND)
    uses.flush()
    assert (used_at(good.stored), used_at(gone.stored)) == (NOW + SECOND, None)


PROGRAM = """
from marketdata_project.wsgi import application
from datetime import UTC, datetime
from ratelimit.keys.services import key_create
from tests.ratelimit.keys.key_callers import caller_by
now = datetime(2026, 1, 2, tzinfo=UTC)
made = key_create(name="feed", scopes=["market:read"], now=now, actor="test")
caller_by(made.key, now=now)
"""


@pytest.mark.system
def test_another_wsgi_server_writes_uses_down_when_it_ends(tmp_path):
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development",
    }
    place_database(tmp_path)
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=settings.BASE_DIR, env=environment, check=True)
    with closing(sqlite3.connect(tmp_path / "marketdata.sqlite3")) as database:
        (told,) = database.execute("SELECT last_used_at FROM ratelimit_apikey").fetchone()
    assert told.startswith("2026-01-02")
