"""DRF's view of who calls: a key in a header, or a person logged in to the admin."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from ratelimit.api_keys import SCHEME, Caller
from ratelimit.exceptions import CredentialError
from ratelimit.selectors import caller_presented
from ratelimit.tiers import SCOPES, tier_named

STAFF_TIER = "internal"


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Api-Key <key>` or `X-API-Key: <key>`; `request.user` becomes a `Caller`."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        meta = request.META
        try:
            caller = caller_presented(
                authorization=meta.get("HTTP_AUTHORIZATION"),
                x_api_key=meta.get("HTTP_X_API_KEY"),
                now=timezone.now(),
            )
        except CredentialError as error:
            raise AuthenticationFailed(str(error), code=error.code) from None
        return None if caller is None else (caller, None)

    def authenticate_header(self, request: Request) -> str:
        return SCHEME


class StaffSessionAuthentication(SessionAuthentication):
    """A staff member's session, CSRF enforced: the browsable API for whoever is logged in to the admin."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        user = getattr(request._request, "user", None)  # noqa: SLF001 DRF's own way to the session's user
        if user is None or not (user.is_active and getattr(user, "is_staff", False)):
            return None
        self.enforce_csrf(request)
        return staff_caller(user), None


def staff_caller(user: AbstractBaseUser) -> Caller:
    """The caller that a staff member is: with every scope, limited as the tier `internal`."""
    identity = f"staff:{user.pk}"
    return Caller(
        key_id=identity,
        name=user.get_username(),
        prefix="",
        tier=STAFF_TIER,
        rate=tier_named(STAFF_TIER).rate,
        scopes=frozenset(SCOPES),
    )
