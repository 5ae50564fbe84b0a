"""Our classes and functions for django-oauth-toolkit's authorization server (RFC 6749), named in its settings."""

import secrets
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password
from django.utils import timezone
from oauth2_provider.models import AccessToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import BaseScopes
from oauth2_provider.settings import oauth2_settings

from ratelimit.access.scopes import SCOPES
from ratelimit.credentials.bearer import client_identity, token_cache
from ratelimit.models import OAuthClient

# In the format of API keys, so that log masking and secret scanners recognise tokens, too.
TOKEN_PREFIX = "md_oauthtok_"  # noqa: S105 what all tokens begin with


class ClientValidator(OAuth2Validator):  # type: ignore[misc]  # without types
    """The library's validator, which also accepts a client's old secret until its overlap ends.

    It takes as long for an unknown client as for a wrong secret.
    """

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        # The library would try header and body in turn, and the second attempt discards the client found by the first.
        by_header = self._extract_basic_auth(request) is not None
        authenticate = self._authenticate_basic_auth if by_header else self._authenticate_request_body
        is_authenticated = bool(authenticate(request))
        if request.client is None:
            self._check_secret("a guess", _secret_of_nobody())
        return is_authenticated

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        """Return whether a secret is the client's, or its old one. The library names the client by its secret's hash."""
        if super()._check_secret(provided_secret, stored_secret):
            return True
        rotated = OAuthClient.objects.filter(
            client_secret=stored_secret, old_secret_expires_at__gt=timezone.now()
        )
        old_secret = rotated.values_list("old_secret", flat=True).first()
        is_same = check_password(provided_secret, old_secret or _secret_of_nobody())
        return bool(old_secret) and is_same

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        """Store a token, and delete the client's expired ones."""
        AccessToken.objects.filter(application=request.client, expires__lt=timezone.now()).delete()
        super().save_bearer_token(token, request, *args, **kwargs)

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        super().revoke_token(token, token_type_hint, request, *args, **kwargs)
        token_cache.forget(client_identity(request.client))


class ClientScopes(BaseScopes):  # type: ignore[misc]  # without types
    """The scopes that a client may request: its own. If it requests none, it gets all of them."""

    def get_all_scopes(self) -> Mapping[str, str]:
        return {scope: scope for scope in SCOPES}

    def get_available_scopes(
        self, application: OAuthClient | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return [] if application is None else list(application.scopes)

    def get_default_scopes(
        self, application: OAuthClient | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return self.get_available_scopes(application)


def new_token(request: Any, refresh_token: bool = False) -> str:
    """Make an opaque token of 256 random bits. Unlike a JWT it contains no dot."""
    return TOKEN_PREFIX + secrets.token_hex(32)


@cache
def _secret_of_nobody() -> str:
    return make_password(secrets.token_hex(32), hasher=oauth2_settings.CLIENT_SECRET_HASHER)


class SecretHasher(PBKDF2PasswordHasher):
    """PBKDF2 that takes a millisecond, for random secrets of 256 bits, which nobody can guess.

    With a hash as slow as for passwords anybody could keep the processors busy.
    """

    algorithm = "pbkdf2_sha256_of_random"
    iterations = 1_000
