"""The links of pages of the browsable API: to the neighbouring pages and to the other formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from rest_framework.request import Request

_PAGES = (("prev_cursor", "prev", "Previous page"), ("next_cursor", "next", "Next page"))


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link. rel: the target's relation to this page (`next`, `prev`), or ""."""

    url: str
    label: str
    rel: str = ""


def without_empty(query_string: str) -> str:
    """Return the query string without empty parameters, which HTML forms send for empty inputs."""
    return "&".join(part for part in query_string.split("&") if part.partition("=")[2])


def base_path(request: Request) -> str:
    """Return the request's path without its format suffix."""
    suffix = format_suffix(request)
    return request.path.removesuffix(f".{suffix}") if suffix else request.path


def format_suffix(request: Request) -> str | None:
    """Return the format in the path's suffix; None without a suffix."""
    kwargs: dict[str, Any] = request.parser_context.get("kwargs", {})
    return kwargs.get("format")


def page_links(request: Request, data: Any) -> list[PageLink]:
    """Return links to the previous and next page of an answer with cursors."""
    if not isinstance(data, Mapping):
        return []
    return [
        PageLink(_url(request, cursor=data[name]), label, rel)
        for name, rel, label in _PAGES
        if data.get(name)
    ]


def format_links(request: Request, formats: list[str]) -> list[PageLink]:
    """Return links to the same answer in other formats."""
    return [PageLink(_url(request, format=name), name) for name in formats if name != "api"]


def _url(request: Request, **changes: str) -> str:
    """Return the request's URL with changed parameters. It stays a browsable page unless `format` is changed."""
    parameters = {name: value for name, value in request.query_params.items() if value}
    if format_suffix(request):
        parameters.setdefault("format", "api")
    return f"{base_path(request)}?{urlencode({**parameters, **changes})}"
