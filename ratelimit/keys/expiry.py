"""Warns about keys that expire soon, or rotates them. Called by the worker."""

import json
import logging
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class ExpiryRun:
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
        try:
            is_due = key.before_expiry == "warn" or rotation_is_due(key, now=now)
            if is_due and key.before_expiry == "rotate" and _rotate(key, now=now):
                rotated += 1
            elif is_due and _is_warning_due(key, now=now) and _warn(key, now=now):
                warned += 1
        except (Error, KeyAdministrationError):
            logger.exception("API key %d (%s) expires soon and could not be handled", key.pk, key.prefix)
    return ExpiryRun(warned=warned, rotated=rotated)


def rotation_is_due(key: ApiKey, *, now: datetime) -> bool:
    """Return whether to rotate a key: in the last week before its expiry, but not in the first half of its lifetime."""
    expiry, lifetime = _end_of(key)
    return expiry - now <= min(ROTATED_BEFORE, lifetime / 2)


def _is_warning_due(key: ApiKey, *, now: datetime) -> bool:
    """Return whether one of WARNINGS is due. Warnings that would come before the key was created are skipped."""
    expiry, lifetime = _end_of(key)
    before = min((before for before in WARNINGS if expiry - now <= before < lifetime), default=None)
    return before is not None and (key.warned_at is None or key.warned_at < expiry - before)


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


def _rotate(key: ApiKey, *, now: datetime) -> bool:
    """Rotate the key and write its new secrets to a file. Returns False if that was not possible."""
    path, (expiry, _) = Path(settings.ROTATED_KEYS_DIR) / f"{key.prefix}.json", _end_of(key)
    try:
        with transaction.atomic():
            rotated = key_rotate(key=key, overlap=expiry - now, now=now, actor=ACTOR)
            # The file is written before the commit, so that a stored key is never lost. If the commit fails, the next
            # rotation overwrites the file.
            _write_file(rotated.document(now=now), path)
    except NotRotatable as error:
        logger.warning("API key %d (%s) expires soon: %s", key.pk, key.prefix, error)
        return False
    except OSError:
        logger.exception("API key %d (%s): the new secret could not be written", key.pk, key.prefix)
        return False
    logger.warning(
        "API key %d (%s, %s) has a new secret, in the file %s; the old one ends at %s",
        key.pk, key.prefix, key.name, path, format_instant(key.expires_at),
    )  # fmt: skip
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


def _end_of(key: ApiKey) -> tuple[datetime, timedelta]:
    """Return when a key expires, and how long it lives from its creation, or from a rotation."""
    assert key.expires_at is not None  # noqa: S101 `keys_expiring` returns only such keys
    return key.expires_at, key.lifetime or key.expires_at - key.created_at
