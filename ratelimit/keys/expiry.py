"""Warns about keys that expire soon, or rotates them. Called by the worker."""

import json
import logging
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import Error, transaction

from ratelimit.events import key_event
from ratelimit.exceptions import KeyAdministrationError, NotRotatable
from ratelimit.keys.selectors import keys_expiring, stored_caller
from ratelimit.keys.services import CreatedKey, key_rotate
from ratelimit.models import ApiKey
from store.instant_text import format_instant
from web.events import EVENT_WRITE

ACTOR = "worker"
# The times before a key's expiry at which a warning is given, and at which the key is rotated.
WARNINGS = (timedelta(days=14), timedelta(days=7), timedelta(days=1))
ROTATED_BEFORE = timedelta(days=7)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExpiryRun:
    """The number of keys that were warned about, and of keys that were rotated."""

    warned: int
    rotated: int


def keys_watch(*, now: datetime) -> ExpiryRun:
    """Warn about keys 14, 7 and 1 days before they expire; rotate keys with `before_expiry` "rotate" a week before.

    If calls are concurrent, each step is done once. A failed step is logged, and the next call tries it again.
    """
    warned = rotated = 0
    for key in list(keys_expiring(now=now, within=max(WARNINGS))):
        try:
            if key.before_expiry == "rotate" and rotation_is_due(key, now=now) and _rotate(key, now=now):
                rotated += 1
            elif _is_warning_due(key, now=now) and _warn(key, now=now):
                warned += 1
        except (Error, KeyAdministrationError):
            logger.exception("API key %d (%s) expires soon and could not be handled", key.pk, key.prefix)
    return ExpiryRun(warned=warned, rotated=rotated)


def rotation_is_due(key: ApiKey, *, now: datetime) -> bool:
    """Return whether to rotate a key: in the last week before its expiry, but not in the first half of its lifetime."""
    lifetime = _expiry_of(key) - key.created_at
    return _expiry_of(key) - now <= min(ROTATED_BEFORE, lifetime / 2)


def due_warning(key: ApiKey, *, now: datetime) -> timedelta | None:
    """Return the latest warning (from WARNINGS) that is due; None before the first.

    Warnings that would come before the key was created are skipped.
    """
    remaining, lifetime = _expiry_of(key) - now, _expiry_of(key) - key.created_at
    return min((before for before in WARNINGS if remaining <= before < lifetime), default=None)


def _is_warning_due(key: ApiKey, *, now: datetime) -> bool:
    """Return whether a warning is due. For a key that rotates automatically it is due only if its rotation is late."""
    if key.before_expiry == "rotate" and not rotation_is_due(key, now=now):
        return False
    before = due_warning(key, now=now)
    return before is not None and (key.warned_at is None or key.warned_at < _expiry_of(key) - before)


def _warn(key: ApiKey, *, now: datetime) -> bool:
    """Log and record a warning. Returns False if a concurrent call did it."""
    with transaction.atomic():
        unchanged = ApiKey.objects.filter(
            pk=key.pk, warned_at=key.warned_at, revoked_at=None, successors=None
        )
        if not unchanged.update(warned_at=now):
            return False
        detail = {"expires_at": format_instant(key.expires_at)}
        key_event(at=now, actor=ACTOR, event="key.expiring", subject=f"key:{key.pk}", detail=detail)
        _tell(key, now=now)
    logger.warning("API key %d (%s, %s) expires at %s", key.pk, key.prefix, key.name, detail["expires_at"])
    return True


def _tell(key: ApiKey, *, now: datetime) -> None:
    """Tell the key itself and its owner."""
    data = {
        "id": key.pk,
        "prefix": key.prefix,
        "name": key.name,
        "expires_at": format_instant(key.expires_at),
    }
    for principal in {stored_caller(key).principal, key.owner} - {""}:
        EVENT_WRITE.get()(kind="key.expiring", subject=f"key:{key.pk}", owner=principal, data=data, now=now)


def _rotate(key: ApiKey, *, now: datetime) -> bool:
    """Rotate the key and write the successor's secrets to a file. Returns False if that was not possible."""
    folder = Path(settings.ROTATED_KEYS_DIR)
    try:
        with transaction.atomic():
            created = key_rotate(key=key, overlap=_expiry_of(key) - now, now=now, actor=ACTOR)
            # The file is written before the commit, so that the key of a stored successor is never lost. If the commit
            # fails, the next rotation overwrites the file.
            path = _write_file(created, folder / f"{key.prefix}.json", now=now)
    except NotRotatable:
        # A concurrent call has rotated the key.
        return False
    except OSError:
        logger.exception(
            "The successor of API key %d (%s) could not be written to a file", key.pk, key.prefix
        )
        return False
    logger.warning(
        "API key %d (%s, %s) has a successor, %d (%s), in the file %s; the old key expires at %s",
        key.pk, key.prefix, key.name, created.id, created.prefix, path, format_instant(key.expires_at),
    )  # fmt: skip
    return True


def _write_file(created: CreatedKey, path: Path, *, now: datetime) -> Path:
    """Write a new key and its secrets atomically to a file that only the owner can read. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(created.document(now=now), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    # Without this, a power cut could undo the renaming.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def _expiry_of(key: ApiKey) -> datetime:
    assert key.expires_at is not None  # noqa: S101 `keys_expiring` returns only such keys
    return key.expires_at
