"""The endpoints that begin, renew and end token sessions of people and keys."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from ratelimit.callers import Caller
from ratelimit.credentials.authentication import CHALLENGE
from ratelimit.credentials.bearer import token_cache
from ratelimit.credentials.browser_login import (
    browser_login,
    browser_logout,
    refresh_in_cookie,
    set_cookie,
    wants_cookie,
)
from ratelimit.credentials.jwt import ACCESS_LIFETIME, MAX_LENGTH, REFRESH_LIFETIME
from ratelimit.credentials.sessions import (
    CREDENTIAL_CALLS,
    JWT,
    TokenPair,
    key_session_begin,
    session_begin,
    session_continue,
    session_end,
)
from ratelimit.exceptions import InvalidToken
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.parameters import single_parameters
from web.requests.parsers import request_document

_View = TypeVar("_View", bound=Callable[..., Any])
_MAX_PASSWORD_LENGTH = 1024
_MAX_KEY_LENGTH = 200
NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_BY_COOKIE = OpenApiParameter(
    "X-Refresh",
    str,
    OpenApiParameter.HEADER,
    enum=["cookie"],
    description="For browsers: `cookie` keeps the refresh token in a cookie instead of the body.",
)
_LOGIN = OpenApiExample(
    "A person", value={"username": "ada", "password": "correct horse battery staple"}, request_only=True
)
_KEY_LOGIN = OpenApiExample("An API key", value={"key": "md_9f3a2c1b_…"}, request_only=True)
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
    username = serializers.CharField(required=False, max_length=150, trim_whitespace=False)
    password = serializers.CharField(
        required=False,
        max_length=_MAX_PASSWORD_LENGTH,
        trim_whitespace=False,
        style={"input_type": "password"},
    )
    key = serializers.CharField(
        required=False,
        max_length=_MAX_KEY_LENGTH,
        trim_whitespace=False,
        style={"input_type": "password"},
        help_text="An API key, instead of name and password.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.keys() == {"key"}:
            return attrs
        if "key" in attrs:
            raise serializers.ValidationError(
                {"key": "Send a key, or name and password, not both."}, code="unfit"
            )
        missing = {name for name in ("username", "password") if name not in attrs}
        if missing:
            text = self.fields["username"].error_messages["required"]
            raise serializers.ValidationError(dict.fromkeys(missing, text), code="required")
        return attrs


class RefreshSerializer(KnownFieldsSerializer):
    refresh = serializers.CharField(max_length=MAX_LENGTH, trim_whitespace=False)


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="Send it as `Authorization: Bearer …`.")
    refresh = serializers.CharField(
        help_text="Valid once, at `POST /auth/refresh`. Empty with `X-Refresh: cookie`: it is in a cookie then."
    )
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


def _schema(**operation: Any) -> Callable[[_View], _View]:
    common = {"auth": [], "parameters": [_BY_COOKIE], "responses": {200: TokenPairSerializer}}
    return extend_schema(**{**common, **operation})


class _SessionView(APIView):
    tag = "access"
    access = {"post": CREDENTIAL_CALLS}
    authentication_classes = [NoCredential]


class TokenView(_SessionView):
    checks_password = True

    @_schema(request=LoginSerializer, examples=[_LOGIN, _KEY_LOGIN, _PAIR])
    def post(self, request: Request) -> Response:
        """Log in. Log in with name and password, or with an API key.

        Returns an access token for five minutes and a refresh token for a day. For browsers: with the header
        `X-Refresh: cookie` the refresh token is a cookie that scripts cannot read.
        """
        pair = _logged_in(request)
        response = _token_response(request, pair)
        if wants_cookie(request):
            browser_login(request._request, response, pair)  # noqa: SLF001 Django's session is the request's
        return response


class RefreshView(_SessionView):
    @_schema(request=RefreshSerializer, examples=[_REFRESH, _PAIR])
    def post(self, request: Request) -> Response:
        """Renew the tokens.

        Exchange a refresh token for two new tokens. It is valid once: a second use may be theft, and ends the session.
        """
        address = request.META.get("REMOTE_ADDR", "")
        pair = session_continue(refresh=_refresh_token(request), address=address, now=timezone.now())
        response = _token_response(request, pair)
        if wants_cookie(request):
            set_cookie(response, pair)
        return response


class LogoutView(_SessionView):
    @_schema(request=RefreshSerializer, responses={204: None}, examples=[_REFRESH])
    def post(self, request: Request) -> Response:
        """Log out. End the session of a refresh token. Within a second none of the session's tokens is accepted."""
        response = Response(status=204, headers=NOT_STORED)
        if not wants_cookie(request):
            _session_end(request)
            return response
        # A browser is logged out even if its token is no longer valid.
        with suppress(InvalidToken):
            _session_end(request)
        browser_logout(request._request, response)  # noqa: SLF001 Django's session is the request's
        return response


def _session_end(request: Request) -> None:
    identity = session_end(refresh=_refresh_token(request), now=timezone.now())
    token_cache.forget(identity)
    # The audit log names this caller, who needs no grants.
    request.user = Caller(identity, identity, "default", 0, frozenset(), credential=JWT)  # type: ignore[assignment]


def _logged_in(request: Request) -> TokenPair:
    """Begin a session by the key, or by the name and password, in the body."""
    now, login = timezone.now(), _validated(LoginSerializer, request)
    if "key" in login:
        return key_session_begin(key=login["key"], address=request.META.get("REMOTE_ADDR", ""), now=now)
    return session_begin(
        username=login["username"],
        password=login["password"],
        request=request._request,  # noqa: SLF001 for the signals of Django's logins
        now=now,
    )


def _refresh_token(request: Request) -> str:
    """Return the refresh token in the cookie, if the caller says so, else in the body."""
    if wants_cookie(request):
        return refresh_in_cookie(request)
    token: str = _validated(RefreshSerializer, request)["refresh"]
    return token


def _validated(serializer_class: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the validated body. Query parameters are refused, because they would appear in logs."""
    single_parameters(request.GET, ("format",))
    serializer = serializer_class(data=request_document(request))
    serializer.is_valid(raise_exception=True)
    body: dict[str, Any] = serializer.validated_data
    return body


def _token_response(request: Request, pair: TokenPair) -> Response:
    # The audit log names this caller.
    request.user = pair.holder.caller  # type: ignore[assignment]  # as after every other authentication
    refresh = "" if wants_cookie(request) else pair.refresh
    return Response(TokenPairSerializer({"access": pair.access, "refresh": refresh}).data, headers=NOT_STORED)
