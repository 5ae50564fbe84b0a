"""Bodies of the calls that issue, renew and revoke tokens."""

from typing import Any

from rest_framework import serializers

from http_requests.field_errors import KnownFieldsSerializer
from ratelimit.credentials.people.jwt import ACCESS_LIFETIME, MAX_LENGTH, REFRESH_LIFETIME

_MAX_PASSWORD_LENGTH = 1024


class LoginSerializer(KnownFieldsSerializer):
    username = serializers.CharField(max_length=150, trim_whitespace=False)
    password = serializers.CharField(
        max_length=_MAX_PASSWORD_LENGTH, trim_whitespace=False, style={"input_type": "password"}
    )


class RefreshSerializer(KnownFieldsSerializer):
    refresh = serializers.CharField(max_length=MAX_LENGTH, trim_whitespace=False)


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="Send it as `Authorization: Bearer …`.")
    refresh = serializers.CharField(help_text="Valid once, at `POST /auth/refresh`.")
    token_type = serializers.CharField(default="Bearer")
    expires_in = serializers.IntegerField(
        default=int(ACCESS_LIFETIME.total_seconds()), help_text="Seconds for which `access` is valid."
    )
    refresh_expires_in = serializers.IntegerField(
        default=int(REFRESH_LIFETIME.total_seconds()), help_text="Seconds for which `refresh` is valid."
    )


class OAuthTokenRequestSerializer(serializers.Serializer[Any]):
    grant_type = serializers.ChoiceField(choices=["client_credentials"])
    scope = serializers.CharField(
        required=False, help_text="Some of the client's scopes, separated by spaces; default: all."
    )
    client_id = serializers.CharField(required=False, help_text="Unless sent by HTTP Basic.")
    client_secret = serializers.CharField(required=False, help_text="Unless sent by HTTP Basic.")


class OAuthTokenSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    token_type = serializers.CharField(default="Bearer")
    expires_in = serializers.IntegerField(help_text="Seconds for which the token is valid.")
    scope = serializers.CharField()


class OAuthRevocationRequestSerializer(serializers.Serializer[Any]):
    token = serializers.CharField()
    token_type_hint = serializers.CharField(required=False)
    client_id = serializers.CharField(required=False, help_text="Unless sent by HTTP Basic.")
    client_secret = serializers.CharField(required=False, help_text="Unless sent by HTTP Basic.")


class OAuthErrorSerializer(serializers.Serializer[Any]):
    """An error as OAuth2 clients expect it (RFC 6749, 5.2)."""

    error = serializers.CharField(help_text="invalid_client, invalid_scope, unsupported_grant_type, …")
    error_description = serializers.CharField(required=False)
