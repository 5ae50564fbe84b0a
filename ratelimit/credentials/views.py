"""The endpoints with which people log in, renew their tokens, and log out."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from http_requests.field_errors import KnownFieldsSerializer
from http_requests.parameters import single_parameters
from http_requests.parsers import request_document
from ratelimit.callers import Caller
from ratelimit.credentials.authentication import CHALLENGE
from ratelimit.credentials.bearer import token_cache
from ratelimit.credentials.people.jwt import ACCESS_LIFETIME, MAX_LENGTH, REFRESH_LIFETIME
from ratelimit.credentials.people.sessions import (
    CREDENTIAL,
    TokenPair,
    session_begin,
    session_continue,
    session_end,
)
from ratelimit.exceptions import CredentialError

_MAX_PASSWORD_LENGTH = 1024
NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_LOGIN = OpenApiExample(
    "A person", value={"username": "ada", "password": "correct horse battery staple"}, request_only=True
)
_REFRESH = OpenApiExample("The refresh token", value={"refresh": "eyJhbGciOi…"}, request_only=True)
_PAIR = OpenApiExample(
    "The tokens",
    value={
        "access": "eyJhbGciOi…",
        "refresh": "eyJhbGciOi…",
        "token_type": "Bearer",
        "expires_in": 300,
        "refresh_expires_in": 86400,
    },
    response_only=True,
    status_codes=["200"],
)


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


class NoCredential(BaseAuthentication):
    """No authentication: an expired credential in the headers must not prevent getting a new one."""

    def authenticate(self, request: Request) -> None:
        return None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class _SessionView(APIView):
    authentication_classes = [NoCredential]

    def handle_exception(self, exc: Exception) -> Response:
        """Answer 401 also for a wrong credential in the body."""
        if isinstance(exc, CredentialError):
            exc = AuthenticationFailed(str(exc), code=exc.code)
        return super().handle_exception(exc)


class TokenView(_SessionView):
    @extend_schema(
        operation_id="auth_token",
        summary="Log in",
        tags=["auth"],
        auth=[],
        request=LoginSerializer,
        responses={200: TokenPairSerializer},
        examples=[_LOGIN, _PAIR],
    )
    def post(self, request: Request) -> Response:
        """Log in with name and password. Returns an access token for five minutes and a refresh token for a day."""
        login = _validated(LoginSerializer, request)
        pair = session_begin(
            username=login["username"],
            password=login["password"],
            request=request._request,  # noqa: SLF001 for the signals of Django's logins
            now=timezone.now(),
        )
        return _token_response(request, pair)


class RefreshView(_SessionView):
    @extend_schema(
        operation_id="auth_refresh",
        summary="Renew the tokens",
        tags=["auth"],
        auth=[],
        request=RefreshSerializer,
        responses={200: TokenPairSerializer},
        examples=[_REFRESH, _PAIR],
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for two new tokens. It is valid once: a second use may be theft, and ends the session."""
        refresh = _validated(RefreshSerializer, request)["refresh"]
        return _token_response(request, session_continue(refresh=refresh, now=timezone.now()))


class LogoutView(_SessionView):
    @extend_schema(
        operation_id="auth_logout",
        summary="Log out",
        tags=["auth"],
        auth=[],
        request=RefreshSerializer,
        responses={204: None},
        examples=[_REFRESH],
    )
    def post(self, request: Request) -> Response:
        """End the session of a refresh token. Within a second none of the session's tokens is accepted."""
        identity = session_end(refresh=_validated(RefreshSerializer, request)["refresh"])
        token_cache.forget(identity)
        # The audit log names this caller, who needs no grants.
        request.user = Caller(identity, identity, "default", 0, frozenset(), credential=CREDENTIAL)  # type: ignore[assignment]
        return Response(status=204, headers=NOT_STORED)


def _validated(serializer_class: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the validated body. Query parameters are refused, because they would appear in logs."""
    single_parameters(request.GET, ("format",))
    serializer = serializer_class(data=request_document(request))
    serializer.is_valid(raise_exception=True)
    body: dict[str, Any] = serializer.validated_data
    return body


def _token_response(request: Request, pair: TokenPair) -> Response:
    # The audit log names this caller.
    request.user = pair.caller  # type: ignore[assignment]  # as after every other authentication
    body = TokenPairSerializer({"access": pair.access, "refresh": pair.refresh}).data
    return Response(body, headers=NOT_STORED)
