"""The admin's pages of people's access and of OAuth2 clients.

The libraries' own pages of tokens are taken away.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, IDToken, RefreshToken
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from ratelimit.access.scopes import SCOPES, SENSITIVITIES
from ratelimit.credentials.bearer import known_tokens
from ratelimit.credentials.people.grants import profile_document
from ratelimit.credentials.people.superusers import ChangedBySuperusers
from ratelimit.credentials.programs.clients import client_revoke
from ratelimit.entitlements import GRANTS
from ratelimit.events import key_event
from ratelimit.exceptions import KeyAdministrationError
from ratelimit.keys.terms import columns_of
from ratelimit.limits.tiers import TIERS
from ratelimit.models import AccessProfile, OAuthClient
from ratelimit.word_fields import WordsField

# A token is nothing to look at, and to delete what says that one was used would make it good again.
for of_library in (
    AccessToken,
    Grant,
    IDToken,
    RefreshToken,
    OutstandingToken,
    BlacklistedToken,
    OAuthClient,
):
    admin.site.unregister(of_library)

_GRANTED = (*GRANTS, "expires_at", "revoked_at")


class AccessProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """What a person may, checked as what a key may."""

    tier = forms.ChoiceField(choices=[(tier, tier) for tier in TIERS])
    scopes = forms.MultipleChoiceField(choices=[(scope, scope) for scope in SCOPES])
    accounts = WordsField(required=False, help_text="By id, one a line; * is every account.")
    sensitivity = forms.ChoiceField(choices=[(word, word) for word in SENSITIVITIES])
    networks = WordsField(required=False, help_text="Such as 10.1.0.0/16, one a line; none is from anywhere.")

    class Meta:
        model = AccessProfile
        fields = ("user", *_GRANTED)

    def clean(self) -> dict[str, Any]:
        """The columns, in the form in which they are stored."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        # A profile may be kept that has expired; the expiry of a key may not lie in the past.
        terms = {name: cleaned[name] for name in _GRANTED if name not in ("expires_at", "revoked_at")}
        try:
            columns = columns_of({"name": str(cleaned["user"]), **terms}, now=timezone.now())  # type: ignore[typeddict-item]
        except KeyAdministrationError as error:
            raise forms.ValidationError(str(error)) from error
        return {**cleaned, **{name: columns[name] for name in terms}}


@admin.register(AccessProfile)
class AccessProfileAdmin(ChangedBySuperusers):
    """What people may."""

    form = AccessProfileForm
    list_display = ("user", "tier", "scopes", "sensitivity", "expires_at", "revoked_at")
    list_filter = ("tier", "sensitivity")
    search_fields = ("user__username",)

    def has_delete_permission(self, request: HttpRequest, obj: AccessProfile | None = None) -> bool:
        """Nobody: a profile that is revoked says so, and when."""
        return False

    def save_model(self, request: HttpRequest, obj: AccessProfile, form: Any, change: bool) -> None:
        """Store the profile with its record, or neither."""
        before = profile_document(AccessProfile.objects.get(pk=obj.pk)) if change else {}
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            key_event(
                at=timezone.now(),
                event="person.changed" if change else "person.granted",
                subject=f"user:{obj.user_id}",
                detail={"change": (before, profile_document(obj))},
                **_by(request),
            )
        known_tokens.forget(f"user:{obj.user_id}")


@admin.register(OAuthClient)
class OAuthClientAdmin(ChangedBySuperusers):
    """Clients to look at and to revoke.

    `manage.py oauthclient create` makes them, because a secret is shown once.
    """

    list_display = ("id", "name", "client_id", "tier", "created", "expires_at", "revoked_at")
    list_filter = ("tier", "sensitivity")
    search_fields = ("name", "client_id")
    date_hierarchy = "created"
    fields = ("name", "client_id", *_GRANTED, "created")
    readonly_fields = fields
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: OAuthClient | None = None) -> bool:
        return False

    @admin.action(description="Revoke the selected clients", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[OAuthClient]) -> None:
        for client in queryset:
            client_revoke(client=client, now=timezone.now(), **_by(request))
        self.message_user(request, f"Revoked: {len(queryset)}. This is effective everywhere within a second.")


def _by(request: HttpRequest) -> dict[str, Any]:
    """Who does what is done, and in which request."""
    return {
        "actor": f"user:{request.user.pk}",
        "correlation_id": getattr(request, "correlation_id", ""),
    }
