"""All endpoints of the API."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from rest_framework.schemas.generators import EndpointEnumerator

from web.endpoints import Access, access_of


class Endpoint(NamedTuple):
    """A path with its parameters in braces, a method, and the view of a URL pattern. access: None if undeclared."""

    path: str
    method: str
    view: Callable[..., Any]
    access: Access | None


def endpoint_list() -> tuple[Endpoint, ...]:
    """Return DRF's views by path and method; without those that are open to all, as the documentation."""
    return _endpoints_of(settings.ROOT_URLCONF)


@lru_cache(maxsize=2)
def _endpoints_of(urlconf: str) -> tuple[Endpoint, ...]:
    found = EndpointEnumerator(urlconf=urlconf).get_api_endpoints()
    return tuple(
        sorted(
            (
                Endpoint(path.removesuffix("/"), method, view, access_of(view, method))
                for path, method, view in found
                if view.initkwargs.get("permission_classes", view.cls.permission_classes)
            ),
            key=lambda each: each[:2],
        )
    )
