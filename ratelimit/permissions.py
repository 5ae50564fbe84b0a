"""Scopes: what a view asks for and whether the caller has it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ratelimit.api_keys import Caller

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """Admits a caller that has the scope which the view declares for the method.

    `required_scopes` is one scope for all methods, or a mapping of method to scope (HEAD follows GET). OPTIONS
    needs a caller only. A view, or a method that it implements, without a declared scope is denied.
    """

    message = "this is not allowed"
    code = "forbidden"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller = request.user
        if not isinstance(caller, Caller):
            return False
        method = request.method or ""
        if method == "OPTIONS" or not _implements(view, method):
            return True
        scope = _declared_scope(view, method)
        if scope is None:
            self.message = f"no scope is declared for {method} here"
            return False
        if scope not in caller.scopes:
            self.message, self.code = f"the API key lacks the scope {scope}", "missing_scope"
            return False
        return True


def _implements(view: "APIView", method: str) -> bool:
    """Whether there is something to protect; what is not implemented is left to be a 405."""
    name = method.lower()
    return name in view.http_method_names and hasattr(view, name)


def _declared_scope(view: "APIView", method: str) -> str | None:
    declared = getattr(view, "required_scopes", None)
    if isinstance(declared, str):
        return declared
    if not isinstance(declared, Mapping):
        return None
    scope = declared.get(method)
    return declared.get("GET") if scope is None and method == "HEAD" else scope
