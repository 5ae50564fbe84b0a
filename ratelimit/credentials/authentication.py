"""DRF's view of who calls: whatever credential a request presents, or a person's session."""

from datetime import UTC, datetime

from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from ratelimit.callers import Caller
from ratelimit.credentials.identify import caller_of, check_network
from ratelimit.credentials.people.grants import caller_of_person
from ratelimit.credentials.presented import presented_in
from ratelimit.exceptions import CredentialError, NetworkNotAllowed

REALM = "marketdata"
CHALLENGE = ", ".join(f'{scheme} realm="{REALM}"' for scheme in ("Api-Key", "Bearer", "Signature"))


class CredentialAuthentication(authentication.BaseAuthentication):
    """Keys, bearer tokens, signatures and certificates; `request.user` becomes a `Caller`."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        django_request = request._request  # noqa: SLF001 DRF's own way to the body as it was sent
        presented = presented_in(django_request.META, body=lambda: django_request.body)
        try:
            caller = caller_of(presented, now=datetime.now(UTC))
        except CredentialError as error:
            raise AuthenticationFailed(str(error), code=error.code) from None
        except NetworkNotAllowed as error:
            raise PermissionDenied(str(error), code=error.code) from None
        return None if caller is None else (caller, None)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(authentication.SessionAuthentication):
    """A person's session, CSRF enforced: the browsable API for whoever is logged in."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        user = getattr(request._request, "user", None)  # noqa: SLF001 DRF's own way to the session's user
        caller = None if user is None else caller_of_person(user, credential="session", now=datetime.now(UTC))
        if caller is None:
            return None
        self.enforce_csrf(request)
        try:
            check_network(caller, request.META.get("REMOTE_ADDR", ""))
        except NetworkNotAllowed as error:
            raise PermissionDenied(str(error), code=error.code) from None
        return caller, None
