"""The admin's pages for people and groups. Each change is audited; passwords are not recorded."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from ratelimit.admin.access import ChangedBySuperusers, actor_of
from ratelimit.events import key_event

admin.site.unregister(User)
admin.site.unregister(Group)


class _AuditedAdmin(ChangedBySuperusers):
    """Pages that write an audit record for each change, in the same transaction."""

    subject_type: str

    def document(self, obj: Any) -> dict[str, Any]:
        """Return the stored object as a document for the audit log."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Store the object, and remember its old document for `save_related`."""
        stored = self.get_queryset(request).get(pk=obj.pk) if change else None
        vars(request)["document_before"] = {} if stored is None else self.document(stored)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Store related objects, and record the change. Django's view has already opened a transaction."""
        super().save_related(request, form, formsets, change)
        before, after = vars(request)["document_before"], self.document(form.instance)
        self.record(request, form.instance, "changed" if change else "added", before, after)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete the object and write the audit record, or neither."""
        with transaction.atomic():
            self.record(request, obj, "removed", self.document(obj), {})
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete all objects and write their audit records, or do nothing."""
        with transaction.atomic():
            for obj in queryset:
                self.record(request, obj, "removed", self.document(obj), {})
            super().delete_queryset(request, queryset)

    def record(
        self, request: HttpRequest, obj: Model, action: str, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        """Write the audit record in the current transaction."""
        key_event(
            at=timezone.now(),
            event=f"{self.subject_type}.{action}",
            subject=f"{self.subject_type}:{obj.pk}",
            detail={"name": str(obj), "change": (before, after)},
            **actor_of(request),
        )


@admin.register(User)
class AuditedUserAdmin(_AuditedAdmin, UserAdmin):  # type: ignore[type-arg]  # not generic at run time
    """People: whether they may log in, and their permissions in the admin."""

    subject_type = "user"

    def document(self, obj: User) -> dict[str, Any]:
        """Return the person's permissions."""
        return {
            "name": obj.username,
            "is_active": obj.is_active,
            "is_staff": obj.is_staff,
            "is_superuser": obj.is_superuser,
            "groups": sorted(obj.groups.values_list("name", flat=True)),
            "permissions": _permission_names(obj.user_permissions.all()),
        }

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 Django's
        """Show Django's page, and record a changed password."""
        page = super().user_change_password
        return password_recorded(request, id, lambda: page(request, id, form_url))


def password_recorded(request: HttpRequest, user_id: str, page: Callable[[], HttpResponse]) -> HttpResponse:
    """Return the answer of a page. If it changed the user's password, write an audit record in its transaction."""
    with transaction.atomic():
        before = _password(user_id)
        response = page()
        if _password(user_id) != before:
            key_event(
                at=timezone.now(),
                event="user.password_changed",
                subject=f"user:{user_id}",
                detail={"name": str(User.objects.get(pk=user_id))},
                **actor_of(request),
            )
    return response


def _password(user_id: str) -> str | None:
    if not user_id.isdecimal():
        return None
    return User.objects.filter(pk=int(user_id)).values_list("password", flat=True).first()


@admin.register(Group)
class AuditedGroupAdmin(_AuditedAdmin, GroupAdmin):
    """Groups: the permissions of their members in the admin."""

    subject_type = "group"

    def document(self, obj: Group) -> dict[str, Any]:
        """Return the group's permissions."""
        return {"name": obj.name, "permissions": _permission_names(obj.permissions.all())}


def _permission_names(permissions: QuerySet[Permission]) -> list[str]:
    return sorted(
        f"{app}.{name}" for app, name in permissions.values_list("content_type__app_label", "codename")
    )
