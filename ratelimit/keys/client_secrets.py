"""Finds the key that an OAuth2 client sends as its `client_secret`."""

import hmac
from base64 import b64decode
from datetime import datetime
from urllib.parse import unquote_plus

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import transaction

from ratelimit.events import key_event
from ratelimit.keys.api_keys import digest, is_well_formed
from ratelimit.keys.selectors import CachedKey, key_cache, key_now
from ratelimit.models import ApiKey


def client_in_basic(credentials: str) -> tuple[str, str]:
    """Return the client's id and secret in HTTP Basic credentials (RFC 6749, 2.3.1). Raises ValueError."""
    client_id, _, secret = b64decode(credentials).decode().partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


def key_of_client(client_id: str, secret: str, *, now: datetime, correlation_id: str) -> CachedKey | None:
    """Return the key that is the secret of that client; None if there is none. Whether it is valid is not checked."""
    if not is_well_formed(secret):
        return None
    key = key_cache.find(digest(secret)) or _taken_over(
        client_id, secret, now=now, correlation_id=correlation_id
    )
    is_its_own = key is not None and hmac.compare_digest(key.client_id.encode(), client_id.encode())
    return key if is_its_own else None


def _taken_over(client_id: str, secret: str, *, now: datetime, correlation_id: str) -> CachedKey | None:
    """Return the key of a client that an earlier version made, if the secret is right.

    Its hash is a password's. From now on it is a key like others, and the hash is deleted. Whoever guesses a client
    id can tell by the time that it has such a hash; a client id is no secret (RFC 6749, 2.2).
    """
    if not (client_id.isascii() and client_id.isprintable()):
        return None
    for key in ApiKey.objects.filter(client_id=client_id).exclude(old_secret=""):
        # Unlike check_password, this takes no longer for a wrong secret.
        if PBKDF2PasswordHasher().verify(secret, key.old_secret):
            _adopt(key, secret, now=now, correlation_id=correlation_id)
            return key_now(key.pk)
    return None


def _adopt(key: ApiKey, secret: str, *, now: datetime, correlation_id: str) -> None:
    """Store the secret as the key's digest and record it, once if calls are concurrent."""
    name = f"key:{key.pk}"
    with transaction.atomic():
        unused = ApiKey.objects.filter(pk=key.pk, old_secret=key.old_secret)
        if unused.update(digest=digest(secret), old_secret=""):
            key_event(
                at=now,
                actor=name,
                event="key.secret_adopted",
                subject=name,
                detail={"client_id": key.client_id},
                correlation_id=correlation_id,
            )
