"""The admin's pages for access profiles."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from ratelimit.access.scopes import SCOPES, SENSITIVITIES
from ratelimit.credentials.bearer import token_cache
from ratelimit.credentials.people import profile_document
from ratelimit.entitlements import GRANTS, TIERS
from ratelimit.events import key_event
from ratelimit.exceptions import KeyAdministrationError
from ratelimit.keys.terms import columns_of
from ratelimit.models import AccessProfile


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

    def columns(self, terms: Any) -> dict[str, Any]:
        """Return the columns for these KeyTerms. Their validation errors become the form's errors."""
        try:
            return columns_of(terms, now=timezone.now())
        except KeyAdministrationError as error:
            raise forms.ValidationError(str(error)) from error


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
        columns = self.columns({"name": str(cleaned["user"]), **terms})
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


def actor_of(request: HttpRequest) -> dict[str, Any]:
    """Return the arguments that name the actor and the request in the audit log."""
    return {
        "actor": f"user:{request.user.pk}",
        "correlation_id": getattr(request, "correlation_id", ""),
    }
