"""OAuth2's token and revocation endpoints (RFC 6749, 4.4; RFC 7009). A client's secret is an API key."""

from base64 import b64decode
from typing import Any, cast
from urllib.parse import unquote_plus

from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.views import APIView

from ratelimit.callers import Caller
from ratelimit.credentials.authentication import REALM
from ratelimit.credentials.bearer import token_cache
from ratelimit.credentials.sessions import (
    CREDENTIAL_CALLS,
    Holder,
    oauth2_session_begin,
    oauth2_session_end,
    secret_holder,
)
from ratelimit.credentials.views import NOT_STORED, NoCredential
from ratelimit.exceptions import CredentialError, NetworkNotAllowed

_FORM = "application/x-www-form-urlencoded"


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


_ERRORS = {
    400: OpenApiResponse(OAuthErrorSerializer, description="OAuth2's error."),
    401: OpenApiResponse(
        OAuthErrorSerializer,
        description="The client is unknown, its secret is wrong, or its key is not valid from this address.",
    ),
}
_REQUEST = OpenApiExample(
    "All scopes of the client",
    value={"grant_type": "client_credentials"},
    request_only=True,
    media_type=_FORM,
)
_TOKEN = OpenApiExample(
    "A token",
    value={"access_token": "eyJhbGciOi…", "expires_in": 3600, "token_type": "Bearer", "scope": "market:read"},
    response_only=True,
    status_codes=["200"],
)
_REVOCATION = OpenApiExample("The token", value={"token": "eyJhbGciOi…"}, request_only=True, media_type=_FORM)


class OAuthRefusal(Exception):
    """A request that an endpoint of OAuth2 refuses. error: a code of RFC 6749, 5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.document = {"error": error, "error_description": description}
        self.status = 401 if error == "invalid_client" else 400


class _OAuthEndpoint(APIView):
    """A view whose clients authenticate by HTTP Basic or by the form, never by other credentials."""

    tag = "access"
    access = {"post": CREDENTIAL_CALLS}
    authentication_classes = [NoCredential]
    parser_classes = [FormParser]

    def handle_exception(self, exc: Exception) -> Any:
        """Answer refusals in OAuth2's format."""
        if not isinstance(exc, OAuthRefusal):
            return super().handle_exception(exc)
        response = JsonResponse(exc.document, status=exc.status, headers=NOT_STORED)
        if exc.status == 401:
            response["WWW-Authenticate"] = f'Basic realm="{REALM}"'
        return response


class OAuthTokenView(_OAuthEndpoint):
    @extend_schema(
        auth=[],
        request={_FORM: OAuthTokenRequestSerializer},
        responses={200: OAuthTokenSerializer, **_ERRORS},
        examples=[_REQUEST, _TOKEN],
    )
    def post(self, request: Request) -> HttpResponse:
        """Get an access token for a program. OAuth2's client-credentials grant: a token that is valid for an hour.

        Errors have OAuth2's format; they are not problem documents.
        """
        form = _form(request)
        if _required(form, "grant_type") != "client_credentials":
            raise OAuthRefusal("unsupported_grant_type", "the only grant is client_credentials")
        holder = _client_key(request, form)
        scopes = _scopes(form, holder.caller)
        token, seconds = oauth2_session_begin(holder, scopes=scopes, now=timezone.now())
        document = {
            "access_token": token,
            "expires_in": seconds,
            "token_type": "Bearer",
            "scope": " ".join(sorted(scopes)),
        }
        return JsonResponse(document, headers=NOT_STORED)


class OAuthRevokeView(_OAuthEndpoint):
    @extend_schema(
        auth=[],
        request={_FORM: OAuthRevocationRequestSerializer},
        responses={
            200: OpenApiResponse(description="The token is not valid, or no longer valid."),
            **_ERRORS,
        },
        examples=[_REVOCATION],
    )
    def post(self, request: Request) -> HttpResponse:
        """Revoke an access token. Revoke one of the client's own tokens (RFC 7009), everywhere within a second."""
        form = _form(request)
        holder = _client_key(request, form)
        identity = oauth2_session_end(holder, token=_required(form, "token"), now=timezone.now())
        token_cache.forget(identity)
        return HttpResponse(headers=NOT_STORED, content_type="application/json")


def _form(request: Request) -> dict[str, str]:
    """Return the form in the body, without empty parameters (RFC 6749, 3.2). Raises OAuthRefusal."""
    django_request = request._request  # noqa: SLF001 DRF would answer another type with a problem document
    charset = (django_request.content_params or {}).get("charset", "utf-8").lower()
    if django_request.content_type != _FORM or charset not in ("utf-8", "utf8"):
        raise OAuthRefusal("invalid_request", f"the body must be {_FORM} in UTF-8")
    if django_request.META.get("QUERY_STRING"):
        raise OAuthRefusal("invalid_request", "send parameters in the body, not in the query")
    if any(len(values) > 1 for _name, values in django_request.POST.lists()):
        raise OAuthRefusal("invalid_request", "a parameter is given more than once")
    if any("\0" in value for value in django_request.POST.values()):
        raise OAuthRefusal("invalid_request", "a parameter contains a NUL")
    return {name: str(value) for name, value in django_request.POST.items() if value}


def _required(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise OAuthRefusal("invalid_request", f"{name} is missing")
    return form[name]


def _client_key(request: Request, form: dict[str, str]) -> Holder:
    """Return the client that the request authenticates. Its key is charged a token. Raises OAuthRefusal, LimitReached."""
    client_id, secret = _client(request.META.get("HTTP_AUTHORIZATION", ""), form)
    try:
        holder = secret_holder(
            client_id=client_id,
            secret=secret,
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
    except CredentialError:
        raise OAuthRefusal("invalid_client", "the client is unknown, or its secret is not valid") from None
    except NetworkNotAllowed as error:
        raise OAuthRefusal("invalid_client", str(error)) from None
    # The audit log names this caller.
    request.user = cast("Any", holder.caller)
    return holder


def _client(authorization: str, form: dict[str, str]) -> tuple[str, str]:
    """Return the client's id and secret, from HTTP Basic or the form (RFC 6749, 2.3). Raises OAuthRefusal."""
    if not authorization.isascii():
        raise OAuthRefusal("invalid_request", "Authorization must be ASCII")
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = b64decode(encoded).decode().partition(":")
    except ValueError:
        raise OAuthRefusal("invalid_client", "Authorization is malformed") from None
    # RFC 6749, 2.3.1: both are form-encoded first.
    client_id, secret = unquote_plus(client_id), unquote_plus(secret)
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise OAuthRefusal(
            "invalid_request", "authenticate the client in Authorization or in the form, not in both"
        )
    return client_id, secret


def _scopes(form: dict[str, str], caller: Caller) -> frozenset[str]:
    """Return the requested scopes; by default all of the client. Raises OAuthRefusal."""
    scopes = frozenset(form["scope"].split()) if "scope" in form else caller.scopes
    if not scopes or not scopes <= caller.scopes:
        raise OAuthRefusal("invalid_scope", "the client does not have all of these scopes")
    return scopes
