"""Tokens of programs (OAuth2): opaque, of which only the SHA-256 is stored."""

import hashlib
from dataclasses import replace
from datetime import datetime

from oauth2_provider.models import AccessToken

from ratelimit.callers import Caller
from ratelimit.entitlements import caller_from
from ratelimit.exceptions import InvalidToken
from ratelimit.models import OAuthClient

CREDENTIAL = "oauth2"


def caller_of_program(token: str, *, now: datetime) -> tuple[Caller, datetime]:
    """The caller that an access token makes, and until when.

    It has those of the client's scopes that the token was issued for. Raises InvalidToken.
    """
    checksum = hashlib.sha256(token.encode()).hexdigest()
    found = AccessToken.objects.select_related("application").filter(token_checksum=checksum).first()
    client = None if found is None else found.application
    if found is None or client is None or now >= found.expires or not client.is_good(now=now):
        raise InvalidToken
    granted = caller_from(client, identity=identity_of(client), name=str(client), credential=CREDENTIAL)
    caller = replace(granted, scopes=granted.scopes & frozenset(found.scope.split()))
    ends = [found.expires] if client.expires_at is None else [found.expires, client.expires_at]
    return caller, min(ends)


def identity_of(client: OAuthClient) -> str:
    return f"client:{client.pk}"
