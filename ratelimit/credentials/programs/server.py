"""Our parts of django-oauth-toolkit's authorization server (RFC 6749), which its settings name."""

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

# Shaped like a key, so that tokens are recognized and masked wherever they appear.
TOKEN_PREFIX = "md_oauthtok_"  # noqa: S105 what all tokens begin with


class ClientValidator(OAuth2Validator):  # type: ignore[misc]  # without types
    """The library's validator, made to take as long for an unknown client as for a wrong secret."""

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        # The library tries both ways in turn, and the second attempt loses the client that the first found.
        by_header = self._extract_basic_auth(request) is not None
        authenticate = self._authenticate_basic_auth if by_header else self._authenticate_request_body
        is_authenticated = bool(authenticate(request))
        if request.client is None:
            check_password("a guess", _secret_of_nobody())
        return is_authenticated

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        """Store a token, and delete the client's expired ones."""
        AccessToken.objects.filter(application=request.client, expires__lt=timezone.now()).delete()
        super().save_bearer_token(token, request, *args, **kwargs)

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        super().revoke_token(token, token_type_hint, request, *args, **kwargs)
        token_cache.forget(client_identity(request.client))


class ClientScopes(BaseScopes):  # type: ignore[misc]  # without types
    """A client may ask for some of its scopes; without asking it gets all."""

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
    """An opaque token of 256 bits. It has no dot, unlike a JWT."""
    return TOKEN_PREFIX + secrets.token_hex(32)


@cache
def _secret_of_nobody() -> str:
    return make_password("the secret of nobody", hasher=oauth2_settings.CLIENT_SECRET_HASHER)


class SecretHasher(PBKDF2PasswordHasher):
    """PBKDF2 in a millisecond, for random secrets of 256 bits, which nobody can guess.

    As slow as for passwords, it would let any client keep the processors busy.
    """

    algorithm = "pbkdf2_sha256_of_random"
    iterations = 1_000
