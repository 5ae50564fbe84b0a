"""DRF's authentication classes: one for credentials in headers, one for a browser's session."""

from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from rest_framework import authentication
from rest_framework.request import Request

from ratelimit.access.denials import denial_of
from ratelimit.authorize import access_of_request, check_access
from ratelimit.callers import Caller
from ratelimit.credentials.browser_login import caller_of_browser, caller_of_cookies
from ratelimit.credentials.identify import (
    caller_now,
    check_network,
    complete_identity,
    identify,
    use_nonce,
)
from ratelimit.exceptions import CredentialError, NetworkNotAllowed
from ratelimit.limits.services import ChargedCall
from web.requests.received import call_in
from web.requests.wsgi_variables import BODY_UNREAD, CHARGED_CALL, VERIFIED_SIGNATURE

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView

REALM = "marketdata"
CHALLENGE = ", ".join(f'{scheme} realm="{REALM}"' for scheme in ("Api-Key", "Bearer", "Signature"))


class CredentialAuthentication(authentication.BaseAuthentication):
    """Authentication by key, bearer token, signature or certificate. `request.user` becomes a Caller."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        django_request = request._request  # noqa: SLF001 DRF's own way to the body as it was sent
        meta, now = django_request.META, datetime.now(UTC)
        call = call_in(meta)
        identity = identify(call, now=now, signature=meta.get(VERIFIED_SIGNATURE))
        if identity is None:
            return None
        # The body was not read, because the request will be refused. So the body's digest cannot be checked.
        if BODY_UNREAD in meta:
            return use_nonce(identity).caller, None
        return complete_identity(identity, call, body=lambda: django_request.body, now=now), None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(authentication.SessionAuthentication):
    """Authentication by a browser's session, of a person or a key, with CSRF checks, for the browsable API."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        caller = caller_of_browser(request._request, now=datetime.now(UTC))  # noqa: SLF001 DRF's own way to the session
        if caller is None:
            return None
        self.enforce_csrf(request)
        check_network(caller, request.META.get("REMOTE_ADDR", ""))
        return caller, None


def caller_again(view: "APIView") -> Caller:
    """Return the request's caller with its grants as they are stored now, past the caches.

    For calls that a key may not make even within the second until its revocation is known everywhere. Raises
    CredentialError, PermissionDenied.
    """
    request = view.request
    caller = request.user
    assert isinstance(caller, Caller)  # noqa: S101 its view's `access` admits nobody else
    stored = caller_now(caller, call_in(request._request.META), now=datetime.now(UTC))  # noqa: SLF001 DRF's own way
    check_access(stored, access_of_request(request))
    return stored


def may_still_call(environ: MutableMapping[str, Any]) -> bool:
    """Return whether a call may go on, for answers that wait, and streams: always if no caller was charged.

    It reads the database. As long as that cannot be asked, the last answer counts.
    """
    charged: ChargedCall | None = environ.get(CHARGED_CALL)
    if charged is None or charged.caller is None:
        return True
    call, now = call_in(environ), datetime.now(UTC)
    try:
        if charged.caller.credential == "session":
            caller = caller_of_cookies(call.headers.get("cookie", ""), now=now)
        else:
            caller = caller_now(charged.caller, call, now=now)
    except (CredentialError, NetworkNotAllowed):
        return False
    except DatabaseError:
        return True
    return (
        caller is not None
        and caller.may_call_from(call.address)
        and denial_of(caller, charged.access) is None
    )
