"""Finds the key that an OAuth2 client sends as its `client_secret`."""

import hmac

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from ratelimit.keys.api_keys import digest, is_well_formed
from ratelimit.keys.selectors import CachedKey, key_cache, key_now
from ratelimit.models import ApiKey


def key_of_client(client_id: str, secret: str) -> CachedKey | None:
    """Return the key that is the secret of that client; None if there is none. Whether it is valid is not checked."""
    if not is_well_formed(secret):
        return None
    key = key_cache.find(digest(secret)) or _taken_over(client_id, secret)
    is_its_own = key is not None and hmac.compare_digest(key.client_id.encode(), client_id.encode())
    return key if is_its_own else None


def _taken_over(client_id: str, secret: str) -> CachedKey | None:
    """Return the key of a client that an earlier version made, if the secret is right.

    Its hash is a password's. From now on it is a key like others, and the hash is deleted. Whoever guesses a client
    id can tell by the time that it has such a hash; a client id is no secret (RFC 6749, 2.2).
    """
    if not (client_id.isascii() and client_id.isprintable()):
        return None
    for key in ApiKey.objects.filter(client_id=client_id).exclude(old_secret=""):
        # Unlike check_password, this takes no longer for a wrong secret.
        if PBKDF2PasswordHasher().verify(secret, key.old_secret):
            ApiKey.objects.filter(pk=key.pk).update(digest=digest(secret), old_secret="")
            return key_now(key.pk)
    return None
