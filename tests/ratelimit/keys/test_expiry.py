"""What happens by itself before a key expires, with a clock that is passed in."""

import json
import logging
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError

from ratelimit.keys import expiry
from ratelimit.keys.expiry import ExpiryRun, keys_watch
from ratelimit.keys.selectors import keys_expiring
from ratelimit.keys.services import CreatedKey, key_create, key_revoke, key_rotate
from ratelimit.models import ApiKey
from tests.ratelimit.keys.key_callers import caller_by

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path, events) -> Path:
    path: Path = tmp_path / "data" / "rotated"
    settings.ROTATED_KEYS_DIR = path
    return path


def made(life: timedelta | None = 100 * DAY, **changes) -> CreatedKey:
    expires_at = None if life is None else NOW + life
    terms = {"name": "feed", "scopes": ["market:read"], "expires_at": expires_at, **changes}
    return key_create(**terms, now=NOW, actor="test")


def watched(start: timedelta, end: timedelta) -> list[tuple[int, ExpiryRun]]:
    """The runs that did something, with the day after NOW, of a worker that runs every six hours."""
    runs = []
    for hour in range(int(start / HOUR), int(end / HOUR) + 1, 6):
        run = keys_watch(now=NOW + hour * HOUR)
        if run != ExpiryRun(0, 0):
            runs.append((hour // 24, run))
    return runs


def test_warnings_are_logged_14_7_and_1_days_before_expiry(events, caplog):
    created = made()
    events.clear()
    with caplog.at_level(logging.WARNING):
        assert watched(80 * DAY, 101 * DAY) == [
            (86, ExpiryRun(1, 0)),
            (93, ExpiryRun(1, 0)),
            (99, ExpiryRun(1, 0)),
        ]
    assert [(told["event"], told["subject"], told["actor"]) for told in events] == [
        ("key.expiring", f"key:{created.id}", "worker")
    ] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert created.prefix in caplog.text
    assert created.key not in caplog.text


def test_a_worker_that_was_away_sends_the_last_due_warning_once(events):
    made()
    assert watched(94 * DAY, 98 * DAY) == [(94, ExpiryRun(1, 0))]


@pytest.mark.parametrize(
    ("life", "days"), [(14 * DAY, [7, 13]), (15 * DAY, [1, 8, 14]), (7 * DAY, [6]), (DAY, []), (None, [])]
)
def test_warnings_before_the_creation_of_a_key_are_skipped(life, days):
    made(life)
    assert [day for day, _ in watched(timedelta(0), 16 * DAY)] == days


def test_invalid_and_rotated_keys_get_no_warning():
    key_revoke(key=made().stored, now=NOW, actor="test")
    key_rotate(key=made().stored, overlap=30 * DAY, now=NOW + 80 * DAY, actor="test")
    assert watched(80 * DAY, 101 * DAY) == []


def test_a_key_is_rotated_once_a_week_before_its_end(events, folder, caplog):
    old = made(before_expiry="rotate", rate=7)
    events.clear()
    with caplog.at_level(logging.WARNING):
        assert watched(80 * DAY, 100 * DAY) == [(93, ExpiryRun(0, 1))]
    new = ApiKey.objects.get(pk=old.id)
    assert (new.rate, new.before_expiry, new.expires_at) == (7, "rotate", NOW + 193 * DAY)
    assert new.overlap_until == NOW + 100 * DAY
    assert [told["event"] for told in events] == ["key.rotated"]
    assert str(folder) in caplog.text
    assert new.prefix in caplog.text


def test_the_new_key_is_in_a_file_that_only_the_owner_can_read(folder):
    old = made(before_expiry="rotate")
    keys_watch(now=NOW + 94 * DAY)
    (path,) = folder.iterdir()
    assert path.name == f"{old.prefix}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    told = json.loads(path.read_text())
    assert told["id"] == old.id
    assert told["signing_secret"].startswith("mds_")
    for key in (told["key"], old.key):
        assert caller_by(key, now=NOW + 95 * DAY).name


def test_the_folder_is_made_private(folder):
    folder.mkdir(mode=0o755, parents=True)
    made(before_expiry="rotate")
    keys_watch(now=NOW + 94 * DAY)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_secrets_are_in_no_log_and_no_event(folder, events, caplog):
    made(before_expiry="rotate")
    with caplog.at_level(logging.DEBUG):
        keys_watch(now=NOW + 94 * DAY)
    told = json.loads(next(folder.iterdir()).read_text())
    for secret in (told["key"], told["signing_secret"]):
        assert secret not in caplog.text
        assert secret not in str(events)


def test_without_its_file_there_is_no_rotation_and_a_warning_instead(folder, events, caplog):
    old = made(before_expiry="rotate")
    folder.parent.mkdir()
    folder.write_text("a file where the folder should be")
    events.clear()
    assert keys_watch(now=NOW + 93 * DAY) == ExpiryRun(1, 0)
    assert keys_watch(now=NOW + 93 * DAY + HOUR) == ExpiryRun(0, 0)
    assert ApiKey.objects.get().digest == old.stored.digest
    assert "was not rotated: [Errno" in caplog.text
    folder.unlink()
    assert keys_watch(now=NOW + 94 * DAY) == ExpiryRun(0, 1)


def test_a_file_that_cannot_be_finished_leaves_nothing(folder, monkeypatch):
    old = made(before_expiry="rotate")

    def full(_descriptor: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("ratelimit.keys.expiry.os.fsync", full)
    keys_watch(now=NOW + 94 * DAY)
    assert list(folder.iterdir()) == []
    assert ApiKey.objects.get().digest == old.stored.digest


@pytest.mark.parametrize(
    ("life", "at"), [(4 * DAY, 2 * DAY), (10 * DAY, 5 * DAY), (14 * DAY, 7 * DAY), (15 * DAY, 8 * DAY)]
)
def test_a_short_lived_key_is_rotated_in_the_second_half_of_its_life(life, at, folder):
    made(life, before_expiry="rotate")
    assert keys_watch(now=NOW + at - timedelta(seconds=1)).rotated == 0
    assert keys_watch(now=NOW + at).rotated == 1
    assert keys_watch(now=NOW + at + HOUR).rotated == 0


def test_a_key_is_rotated_again_before_it_expires_again(folder):
    made(20 * DAY, before_expiry="rotate")
    days = [day for day, seen in watched(timedelta(0), 60 * DAY) if seen.rotated]
    assert days == [13, 26, 39, 52]
    assert len(list(folder.iterdir())) == 1


def test_concurrent_workers_do_each_step_once_and_report_no_failure(monkeypatch, folder, caplog):
    for life in (100 * DAY, 99 * DAY):
        made(life, before_expiry="rotate" if life == 99 * DAY else "warn")
    seen = list(keys_expiring(now=NOW + 95 * DAY, within=14 * DAY))
    assert keys_watch(now=NOW + 95 * DAY) == ExpiryRun(1, 1)
    monkeypatch.setattr(expiry, "keys_expiring", lambda **_: seen)
    caplog.clear()
    assert keys_watch(now=NOW + 95 * DAY) == ExpiryRun(0, 0)
    assert caplog.records == []
    assert ApiKey.objects.filter(old_digest=None).count() == 1


def test_one_key_that_fails_does_not_keep_the_others(settings, monkeypatch, caplog):
    first = made(99 * DAY)
    made()
    warned = expiry._warn

    def failing(key: ApiKey, *, now: datetime) -> bool:
        if key.pk == first.id:
            raise DatabaseError("locked")
        return warned(key, now=now)

    monkeypatch.setattr(expiry, "_warn", failing)
    assert keys_watch(now=NOW + 90 * DAY) == ExpiryRun(1, 0)
    assert "could not be handled" in caplog.text
