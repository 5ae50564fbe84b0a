"""Who changes what people and programs may: superusers.

They may do everything, so that nobody gives or takes beyond their own.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class ChangedBySuperusers(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Pages that others at most look at, whatever Django's permissions say.

    Whoever could change a person could make themselves a superuser, or set a superuser's password and log in
    as them.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
