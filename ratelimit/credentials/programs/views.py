"""OAuth2's token and revocation endpoints, with the bodies and errors of RFC 6749 and RFC 7009."""

from base64 import b64decode
from contextlib import suppress
from typing import Any, cast
from urllib.parse import unquote_plus

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from oauth2_provider.views.mixins import OAuthLibMixin
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.views import APIView

from ratelimit.credentials.authentication import REALM
from ratelimit.credentials.bearer import caller_of_program_token
from ratelimit.credentials.people.sessions import CREDENTIALS
from ratelimit.credentials.views import NOT_STORED, NoCredential
from ratelimit.exceptions import InvalidToken

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
    401: OpenApiResponse(OAuthErrorSerializer, description="The client is unknown, or its secret is wrong."),
}
_REQUEST = OpenApiExample(
    "All scopes of the client",
    value={"grant_type": "client_credentials"},
    request_only=True,
    media_type=_FORM,
)
_TOKEN = OpenApiExample(
    "A token",
    value={"access_token": "9f…", "expires_in": 3600, "token_type": "Bearer", "scope": "market:read"},
    response_only=True,
    status_codes=["200"],
)
_REVOCATION = OpenApiExample("The token", value={"token": "9f…"}, request_only=True, media_type=_FORM)


class _Endpoint(OAuthLibMixin, APIView):  # type: ignore[misc]  # without types
    """A view whose clients authenticate by HTTP Basic or by the form, never by other credentials."""

    access = {"post": CREDENTIALS}
    authentication_classes = [NoCredential]
    parser_classes = [FormParser]

    def _respond(self, request: Request, create_response: Any) -> HttpResponse:
        """Return the library's response; 400 for an error that the library does not check for (`_request_error`)."""
        django_request = request._request  # noqa: SLF001 what the library reads
        error = _request_error(django_request)
        if error is not None:
            return JsonResponse(
                {"error": "invalid_request", "error_description": error}, status=400, headers=NOT_STORED
            )
        _url, headers, body, status = create_response(django_request)
        response = HttpResponse(body, status=status, headers={**headers, **NOT_STORED})
        response["Content-Type"] = "application/json"
        if status == 401:
            response["WWW-Authenticate"] = f'Basic realm="{REALM}"'
        return response


class OAuthTokenView(_Endpoint):
    @extend_schema(
        operation_id="oauth_token",
        summary="Get an access token for a program",
        auth=[],
        request={_FORM: OAuthTokenRequestSerializer},
        responses={200: OAuthTokenSerializer, **_ERRORS},
        examples=[_REQUEST, _TOKEN],
    )
    def post(self, request: Request) -> HttpResponse:
        """OAuth2's client-credentials grant: a token that is valid for an hour.

        Errors have OAuth2's format; they are not problem documents.
        """
        response = self._respond(request, self.create_token_response)
        if response.status_code == 200:
            token = msgspec.json.decode(response.content)["access_token"]
            # The audit log names this caller.
            with suppress(InvalidToken):
                request.user = cast("Any", caller_of_program_token(token, now=timezone.now())[0])
        return response


class OAuthRevokeView(_Endpoint):
    @extend_schema(
        operation_id="oauth_revoke",
        summary="Revoke an access token",
        auth=[],
        request={_FORM: OAuthRevocationRequestSerializer},
        responses={
            200: OpenApiResponse(description="The token is not valid, or no longer valid."),
            **_ERRORS,
        },
        examples=[_REVOCATION],
    )
    def post(self, request: Request) -> HttpResponse:
        """Revoke one of the client's own tokens (RFC 7009), everywhere within a second."""
        return self._respond(request, self.create_revocation_response)


def _request_error(request: HttpRequest) -> str | None:
    """Return a message about an error that the library misses or crashes on, else None."""
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if request.content_type != _FORM or charset not in ("utf-8", "utf8"):
        return f"the body must be {_FORM} in UTF-8"
    if request.META.get("QUERY_STRING"):
        return "send parameters in the body, not in the query"
    if any(len(values) > 1 for _name, values in request.POST.lists()):
        return "a parameter is given more than once"
    return _client_error(request)


def _client_error(request: HttpRequest) -> str | None:
    """Return a message about an error in the client's authentication, or about a NUL, which databases refuse."""
    if not request.META.get("HTTP_AUTHORIZATION", "").isascii():
        return "Authorization must be ASCII"
    if _names_two_clients(request):
        return "authenticate the client in Authorization or in the form, not in both"
    if any("\0" in value for value in request.POST.values()):
        return "a parameter contains a NUL"
    return None


def _names_two_clients(request: HttpRequest) -> bool:
    """Return whether a request with HTTP Basic has a secret or another client in its form, too.

    RFC 6749, 2.3, allows one way of authentication per request.
    """
    scheme, _, encoded = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return False
    if "client_secret" in request.POST:
        return True
    try:
        client_id = unquote_plus(b64decode(encoded).decode().partition(":")[0])
    except ValueError:
        # The library refuses the malformed header.
        return False
    return request.POST.get("client_id", client_id) != client_id
