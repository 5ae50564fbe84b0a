"""Warns about keys that expire soon, or rotates them. Called by the worker."""

import json
import logging
import os
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import Error, transaction

from ratelimit.events import key_event
from ratelimit.exceptions import KeyAdministrationError, NotRotatable
from ratelimit.keys.selectors import keys_expiring
from ratelimit.keys.services import key_rotate
from ratelimit.models import ApiKey
from store.instant_text import format_instant
from web.events import EVENT_WRITE

ACTOR = "worker"
# The times before a key's expiry at which a warning is given, and at which the key is rotated.
WARNINGS = (timedelta(days=14), timedelta(days=7), timedelta(days=1))
ROTATED_BEFORE = timedelta(days=7)

logger = logging.getLogger(__name__)


class ExpiryRun(NamedTuple):
    """The number of keys that were warned about, and of keys that were rotated."""

    warned: int
    rotated: int


def keys_watch(*, now: datetime) -> ExpiryRun:
    """Warn about keys 14, 7 and 1 days before they expire; rotate keys with `before_expiry` "rotate" a week before.

    A key whose rotation failed is warned about. If calls are concurrent, each step is done once. A failed step is logged,
    and the next call tries it again.
    """
    warned = rotated = 0
    for key in list(keys_expiring(now=now, within=max(WARNINGS))):
        assert key.expires_at is not None  # noqa: S101 `keys_expiring` returns only such keys
        lifetime, left = key.lifetime or key.expires_at - key.created_at, key.expires_at - now
        # Warnings that would come before the key was created are skipped.
        before = min((each for each in WARNINGS if left <= each < lifetime), default=None)
        is_warned = before is None or (key.warned_at is not None and key.warned_at >= key.expires_at - before)
        try:
            if key.before_expiry == "rotate":
                if left > min(ROTATED_BEFORE, lifetime / 2):
                    continue
                if _rotate(key, left=left, now=now):
                    rotated += 1
                    continue
            warned += not is_warned and _warn(key, now=now)
        except (Error, KeyAdministrationError):
            logger.exception("API key %d (%s) expires soon and could not be handled", key.pk, key.prefix)
    return ExpiryRun(warned=warned, rotated=rotated)


def _warn(key: ApiKey, *, now: datetime) -> bool:
    """Log and record a warning, and notify the key and its owner. Returns False if a concurrent call did it."""
    unchanged = ApiKey.objects.filter(
        pk=key.pk, warned_at=key.warned_at, expires_at=key.expires_at, revoked_at=None
    )
    subject, detail = f"key:{key.pk}", {"expires_at": format_instant(key.expires_at)}
    with transaction.atomic():
        if not unchanged.update(warned_at=now):
            return False
        key_event(at=now, actor=ACTOR, event="key.expiring", subject=subject, detail=detail)
        data = {"id": key.pk, "prefix": key.prefix, "name": key.name, **detail}
        for owner in {subject, key.owner} - {""}:
            EVENT_WRITE.get()(kind="key.expiring", subject=subject, owner=owner, data=data, now=now)
    logger.warning("API key %d (%s, %s) expires at %s", key.pk, key.prefix, key.name, detail["expires_at"])
    return True


def _rotate(key: ApiKey, *, left: timedelta, now: datetime) -> bool:
    """Rotate the key and write its new secrets to a file. Returns False if that was not possible."""
    path = Path(settings.ROTATED_KEYS_DIR) / f"{key.prefix}.json"
    try:
        with transaction.atomic():
            rotated = key_rotate(key=key, overlap=left, now=now, actor=ACTOR)
            # The file is written before the commit, so that a stored key is never lost. If the commit fails, the next
            # rotation overwrites the file.
            _write_file(rotated.document(now=now), path)
    except (NotRotatable, OSError) as error:
        # Otherwise a concurrent call rotated it.
        if ApiKey.objects.filter(pk=key.pk, digest=key.digest).exists():
            logger.warning("API key %d (%s) expires soon and was not rotated: %s", key.pk, key.prefix, error)
        return False
    end = format_instant(key.expires_at)
    logger.warning("API key %d has a new secret, in the file %s; the old one ends at %s", key.pk, path, end)
    return True


def _write_file(document: dict[str, Any], path: Path) -> None:
    """Write a document atomically to a file that only the owner can read. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        # Without this, a power cut could undo the renaming.
        os.fsync(folder)
    finally:
        os.close(folder)
        draft.unlink(missing_ok=True)
