"""The admin's page for API keys."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from ratelimit.access.scopes import SENSITIVITIES
from ratelimit.admin.access import GrantsForm, actor_of
from ratelimit.callers import Caller
from ratelimit.credentials.people import caller_of_person, person_may
from ratelimit.entitlements import GRANTS
from ratelimit.exceptions import KeyAdministrationError
from ratelimit.keys.selectors import in_state, keys_visible
from ratelimit.keys.services import (
    DEFAULT_OVERLAP,
    CreatedKey,
    key_create,
    key_revoke,
    key_rotate,
)
from ratelimit.keys.views import KeysViewSet
from ratelimit.models import STATES, ApiKey

_GRANTED = (*GRANTS, "expires_at", "signed_only", "certificate", "before_expiry")


class NewKeyForm(GrantsForm):
    """A new key's attributes, validated by the same function as in the API and the command."""

    sensitivity = forms.ChoiceField(
        choices=[("", "the lowest that the scopes need"), *((word, word) for word in SENSITIVITIES)],
        required=False,
    )

    class Meta:
        model = ApiKey
        fields = ("name", *_GRANTED)

    def clean(self) -> Any:
        """Return the attributes as they were typed: `key_create` normalizes them."""
        terms = {**self.cleaned_data, "certificate": self.cleaned_data.get("certificate") or None}
        if not self.errors:
            self.columns(terms)
        return terms

    def _post_clean(self) -> None:
        """Skip the model's own validation, because it requires columns that are filled later."""


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        state = self.value()
        return in_state(queryset, state) if state in STATES else queryset


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """API keys: created, shown, rotated and revoked, but never edited or deleted."""

    # As many columns as fit beside the filters in 1,200 px. A key's own page has the rest.
    list_display = ("prefix", "name", "state", "tier", "expires_at", "last_used_at")
    list_filter = (StateFilter, "tier", "sensitivity", "before_expiry", "signed_only")
    search_fields = ("name", "prefix", "owner")
    date_hierarchy = "created_at"
    readonly_fields = (
        "name",
        "prefix",
        "owner",
        *_GRANTED,
        "created_at",
        "revoked_at",
        "last_used_at",
        "overlap_until",
    )
    actions = ("rotate", "revoke", "end_overlap")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        caller = _caller_limit(request)
        return super().get_queryset(request) if caller is None else keys_visible(caller)

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        return key.state_at(timezone.now())

    def has_view_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_view_permission(request, obj) and person_may(request, KeysViewSet.access["list"])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and person_may(request, KeysViewSet.access["create"])

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return super().has_change_permission(request, obj) and person_may(
            request, KeysViewSet.access["destroy"]
        )

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return ("name", *_GRANTED) if obj is None else self.readonly_fields

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return () if obj is None else self.readonly_fields

    def get_form(
        self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **options: Any
    ) -> Any:
        return NewKeyForm if obj is None else super().get_form(request, obj, change, **options)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show or process the form. An error found only when the key is created is shown above an empty form."""
        try:
            return super().add_view(request, form_url, extra_context)
        except KeyAdministrationError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Create a key. Existing keys are never changed here."""
        if not change:
            by = _services_arguments(request)
            created = key_create(**form.cleaned_data, owner=by["actor"], now=timezone.now(), **by)
            obj.pk, obj.name, obj.prefix = created.id, created.stored.name, created.prefix
            self._show(request, created)

    @admin.action(description="Rotate the selected keys, with a day's overlap", permissions=["add"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in self._selected(request, queryset):
            try:
                created = key_rotate(
                    key=key, overlap=DEFAULT_OVERLAP, now=timezone.now(), **_services_arguments(request)
                )
            except KeyAdministrationError as error:
                self.message_user(request, f"Key {key}: {error}", messages.ERROR)
            else:
                self._show(request, created)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        self._revoke(request, queryset)

    @admin.action(description="End the old secrets of the selected keys", permissions=["change"])
    def end_overlap(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        self._revoke(request, queryset, only_old=True)

    def _revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey], *, only_old: bool = False) -> None:
        options = {"now": timezone.now(), "only_old": only_old, **_services_arguments(request)}
        count = 0
        for key in self._selected(request, queryset):
            try:
                if key_revoke(key=key, **options):
                    count += 1
                else:
                    what = "has no old secret" if only_old else "was revoked before"
                    self.message_user(request, f"Key {key} {what}.", messages.WARNING)
            except KeyAdministrationError as error:
                self.message_user(request, f"Key {key}: {error}", messages.ERROR)
        if count:
            self.message_user(request, f"Revoked: {count}. This is effective everywhere within a second.")

    def _selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> list[ApiKey]:
        """Return the selected keys that the person may see. Shows a message if there are none."""
        keys = list(queryset)
        if not keys:
            message = "Nothing was done: you may not see any of the selected keys."
            self.message_user(request, message, messages.ERROR)
        return keys

    def _show(self, request: HttpRequest, created: CreatedKey) -> None:
        """Show the secrets once, in a message to this browser."""
        secrets = f"{created.key}, signing secret {created.signing_secret}"
        self.message_user(
            request, f"Key {created.stored}: {secrets}. They are shown only now.", messages.WARNING
        )


def _caller_limit(request: HttpRequest) -> Caller | None:
    """Return the person as a caller, whose grants new keys may not exceed; None (no limit) for a superuser.

    Raises PermissionDenied for a person without grants.
    """
    if getattr(request.user, "is_superuser", False):
        return None
    caller = caller_of_person(request.user, credential="session", now=timezone.now())
    if caller is None:
        raise PermissionDenied
    return caller


def _services_arguments(request: HttpRequest) -> dict[str, Any]:
    """Return the arguments for `ratelimit.keys.services` that name the person and the request."""
    return {**actor_of(request), "within": _caller_limit(request)}
