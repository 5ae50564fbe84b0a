"""The admin's pages for access profiles and OAuth2 clients. The library's own pages for tokens are removed."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, IDToken, RefreshToken

from ratelimit.access.scopes import SCOPES, SENSITIVITIES
from ratelimit.credentials.bearer import token_cache
from ratelimit.credentials.people.grants import profile_document
from ratelimit.credentials.programs.clients import client_revoke, client_rotate
from ratelimit.entitlements import GRANTS, TIERS
from ratelimit.events import key_event
from ratelimit.exceptions import KeyAdministrationError
from ratelimit.keys.services import DEFAULT_OVERLAP
from ratelimit.keys.terms import columns_of
from ratelimit.models import AccessProfile, OAuthClient


class ChangedBySuperusers(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Pages on which only superusers may change anything, whatever Django's permissions allow.

    Anybody else who could change people could make themselves a superuser. Superusers have every grant, so they
    cannot grant more than they have.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


class WordListField(forms.CharField):
    """A list of words, separated by line breaks, spaces or commas."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """Return the words, one per line."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return super().clean(value).replace(",", " ").split()


# The library's pages allow deletion.
for of_library in (
    AccessToken,
    Grant,
    IDToken,
    RefreshToken,
    OAuthClient,
):
    admin.site.unregister(of_library)

_GRANTED = (*GRANTS, "expires_at", "revoked_at")


class GrantsForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Form fields for those grants that are a choice or a list of words."""

    tier = forms.ChoiceField(choices=[(tier, tier) for tier in TIERS])
    scopes = forms.MultipleChoiceField(choices=[(scope, scope) for scope in SCOPES])
    accounts = WordListField(required=False, help_text="Account ids, one per line; * is every account.")
    sensitivity = forms.ChoiceField(choices=[(word, word) for word in SENSITIVITIES])
    networks = WordListField(
        required=False, help_text="Such as 10.1.0.0/16, one per line; empty allows every address."
    )


class AccessProfileForm(GrantsForm):
    """A person's grants, validated like a key's."""

    class Meta:
        model = AccessProfile
        fields = ("user", *_GRANTED)

    def clean(self) -> dict[str, Any]:
        """Return the values in the form in which they are stored."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        # The expiry is not validated: a key's must be in the future, but an expired profile may be saved.
        terms = {name: cleaned[name] for name in _GRANTED if name not in ("expires_at", "revoked_at")}
        try:
            columns = columns_of({"name": str(cleaned["user"]), **terms}, now=timezone.now())  # type: ignore[typeddict-item]
        except KeyAdministrationError as error:
            raise forms.ValidationError(str(error)) from error
        return {**cleaned, **{name: columns[name] for name in terms}}


@admin.register(AccessProfile)
class AccessProfileAdmin(ChangedBySuperusers):
    """The grants of people."""

    form = AccessProfileForm
    list_display = ("user", "tier", "scopes", "sensitivity", "expires_at", "revoked_at")
    list_filter = ("tier", "sensitivity")
    search_fields = ("user__username",)

    def has_delete_permission(self, request: HttpRequest, obj: AccessProfile | None = None) -> bool:
        """Return False. Profiles are revoked instead, so that the time of revocation is kept."""
        return False

    def save_model(self, request: HttpRequest, obj: AccessProfile, form: Any, change: bool) -> None:
        """Store the profile and its audit record, or neither."""
        before = profile_document(AccessProfile.objects.get(pk=obj.pk)) if change else {}
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            key_event(
                at=timezone.now(),
                event="person.changed" if change else "person.granted",
                subject=f"user:{obj.user_id}",
                detail={"change": (before, profile_document(obj))},
                **actor_of(request),
            )
        token_cache.forget(f"user:{obj.user_id}")


@admin.register(OAuthClient)
class OAuthClientAdmin(ChangedBySuperusers):
    """OAuth2 clients: shown, rotated and revoked here, created by `manage.py oauthclient create`."""

    list_display = ("id", "name", "client_id", "tier", "created", "expires_at", "revoked_at")
    list_filter = ("tier", "sensitivity")
    search_fields = ("name", "client_id")
    date_hierarchy = "created"
    fields = ("name", "client_id", *_GRANTED, "created", "old_secret_expires_at")
    readonly_fields = fields
    actions = ("rotate", "revoke")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: OAuthClient | None = None) -> bool:
        return False

    @admin.action(
        description="Rotate the secrets of the selected clients, with a day's overlap", permissions=["change"]
    )
    def rotate(self, request: HttpRequest, queryset: QuerySet[OAuthClient]) -> None:
        for client in queryset:
            try:
                created = client_rotate(
                    client=client, overlap=DEFAULT_OVERLAP, now=timezone.now(), **actor_of(request)
                )
            except KeyAdministrationError as error:
                self.message_user(request, f"Client {client}: {error}", messages.ERROR)
            else:
                shown = f"{client.client_id}, secret {created.secret}. It is shown only now."
                self.message_user(request, f"Client {client}: {shown}", messages.WARNING)

    @admin.action(description="Revoke the selected clients", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[OAuthClient]) -> None:
        for client in queryset:
            client_revoke(client=client, now=timezone.now(), **actor_of(request))
        self.message_user(request, f"Revoked: {len(queryset)}. This is effective everywhere within a second.")


def actor_of(request: HttpRequest) -> dict[str, Any]:
    """Return the arguments that name the actor and the request in the audit log."""
    return {
        "actor": f"user:{request.user.pk}",
        "correlation_id": getattr(request, "correlation_id", ""),
    }
