"""The grants of a logged-in person."""

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.utils import timezone

from ratelimit.access.denials import denial_of
from ratelimit.access.scopes import SCOPES, SENSITIVITIES
from ratelimit.callers import ALL_ACCOUNTS, Caller
from ratelimit.entitlements import GRANTS, caller_from
from ratelimit.models import AccessProfile
from store.instant_text import format_instant
from web.endpoints import Access

DEFAULT_PERSON_TIER = "internal"
# The scopes of staff without an access profile.
STAFF_SCOPES = frozenset({"market:read"})


def caller_of_person(
    user: AbstractBaseUser | AnonymousUser, *, credential: str, now: datetime
) -> Caller | None:
    """Return a person as a caller; None if the person is inactive or has no valid grants.

    A superuser may do everything. Others have the grants of their access profile until it expires or is revoked.
    Staff without a profile may read public market data.
    """
    grants = _grants_of(user)
    if grants is None or grants.state_at(now) != "active":
        return None
    return caller_from(grants, identity=f"user:{user.pk}", name=user.get_username(), credential=credential)


def _grants_of(user: AbstractBaseUser | AnonymousUser) -> AccessProfile | None:
    if not user.is_active or user.pk is None:
        return None
    if getattr(user, "is_superuser", False):
        return AccessProfile(
            tier=DEFAULT_PERSON_TIER, scopes=SCOPES, accounts=[ALL_ACCOUNTS], sensitivity=SENSITIVITIES[-1]
        )
    stored = AccessProfile.objects.filter(user_id=user.pk).first()
    if stored is None and getattr(user, "is_staff", False):
        return AccessProfile(
            tier=DEFAULT_PERSON_TIER, scopes=sorted(STAFF_SCOPES), sensitivity=SENSITIVITIES[0]
        )
    return stored


def profile_document(profile: AccessProfile) -> dict[str, Any]:
    """Return a profile's grants as a document for the audit log."""
    return {
        **{name: getattr(profile, name) for name in GRANTS},
        "expires_at": format_instant(profile.expires_at),
        "revoked_at": format_instant(profile.revoked_at),
    }


def person_of(user_id: str) -> User | None:
    """Return the person with that id (at most 18 digits), or None."""
    user = get_user_model().objects.filter(pk=int(user_id)).first()
    return user if isinstance(user, User) else None


def person_may(request: HttpRequest, access: Access) -> bool:
    """Return whether the person of a browser session may make such calls from the request's address.

    Admin pages check this in addition to Django's permissions, which do not cover scopes, sensitivity, expiry and
    networks.
    """
    caller = caller_of_person(request.user, credential="session", now=timezone.now())
    if caller is None or not caller.may_call_from(request.META.get("REMOTE_ADDR", "")):
        return False
    return denial_of(caller, access) is None
