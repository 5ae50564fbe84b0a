"""The security schemes of the OpenAPI document, one for each kind of credential."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from ratelimit.access.scopes import SCOPES

if TYPE_CHECKING:  # the generator loads all of DRF, which the start does not need
    from drf_spectacular.openapi import AutoSchema

TOKEN_URL = "/api/v1/oauth/token"  # noqa: S105 a path


def _header(name: str, description: str) -> dict[str, Any]:
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


_SCHEMES: dict[str, dict[str, Any]] = {
    "ApiKey": _header("Authorization", "`Authorization: Api-Key <key>`"),
    "XApiKey": _header("X-API-Key", "`X-API-Key: <key>`, or `APCA-API-KEY-ID: <key>`"),
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token of a person, from `POST /api/v1/auth/token`.",
    },
    "OAuth2": {
        "type": "oauth2",
        "description": "An access token of a program.",
        "flows": {
            "clientCredentials": {
                "tokenUrl": TOKEN_URL,
                "scopes": {scope: f"Calls that need {scope}." for scope in SCOPES},
            }
        },
    },
    "Signature": _header(
        "Signature-Input", "An HTTP Message Signature (RFC 9421) in `Signature-Input` and `Signature`."
    ),
    "Certificate": {
        "type": "mutualTLS",
        "description": "A client certificate that is registered with a key, verified by the proxy.",
    },
}


class CredentialSchemes(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The schemes of CredentialAuthentication. A request needs one of them."""

    target_class = "ratelimit.credentials.authentication.CredentialAuthentication"
    name = list(_SCHEMES)

    def get_security_requirement(self, auto_schema: "AutoSchema") -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: "AutoSchema") -> list[dict[str, Any]]:
        return list(_SCHEMES.values())


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "ratelimit.credentials.authentication.SessionAuthentication"
    name = "Session"

    def get_security_definition(self, auto_schema: "AutoSchema") -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
