"""The authorization server (OAuth2, RFC 6749) that django-oauth-toolkit is told to be, by its settings."""

import secrets
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.utils import timezone
from oauth2_provider.models import AccessToken
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import BaseScopes
from oauth2_provider.settings import oauth2_settings

from ratelimit.access.scopes import SCOPES
from ratelimit.credentials.bearer import known_tokens
from ratelimit.credentials.program_tokens import identity_of
from ratelimit.models import OAuthClient

# In the shape of a key, by which secrets are found and masked wherever they turn up.
TOKEN_PREFIX = "md_oauthtok_"  # noqa: S105 what all tokens begin with


class ClientValidator(OAuth2Validator):  # type: ignore[misc]  # without types
    """The library's own, which takes as long for a client that is not there as for a wrong secret."""

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        # The library tries the one way and then the other, and so forgets whom it has found.
        by_header = self._extract_basic_auth(request) is not None
        authenticate = self._authenticate_basic_auth if by_header else self._authenticate_request_body
        is_authenticated = bool(authenticate(request))
        if request.client is None:
            check_password("a guess", _secret_of_nobody())
        return is_authenticated

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        """Store a token, and sweep those of the client that have expired."""
        AccessToken.objects.filter(application=request.client, expires__lt=timezone.now()).delete()
        super().save_bearer_token(token, request, *args, **kwargs)

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        super().revoke_token(token, token_type_hint, request, *args, **kwargs)
        known_tokens.forget(identity_of(request.client))


class ClientScopes(BaseScopes):  # type: ignore[misc]  # without types
    """A client may ask for any of its own scopes, and gets all of them if it asks for none."""

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
    """An opaque token of 256 bits, without a dot, which a person's token has."""
    return TOKEN_PREFIX + secrets.token_hex(32)


@cache
def _secret_of_nobody() -> str:
    return make_password("the secret of nobody", hasher=oauth2_settings.CLIENT_SECRET_HASHER)
