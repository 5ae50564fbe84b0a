"""The page `/import`. Its script sends a file as an upload, shows its preview, and confirms its job (docs/uploads.md)."""

from argparse import Action
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.rendering.renderers import QueryFormRenderer, problem_of_page
from web.endpoints import Access

# Options of the command that the page has no input for: it always shows a preview first, and uploads take no others.
_NOT_HERE = {"preview", "yes", "restart", "skip_bad"}
# Inputs that most files may need; the others are below "More options".
_FIRST = ("format", "dataset", "symbol", "resolution", "columns", "timezone", "time_format", "decimal")


class ImportInput(NamedTuple):
    """An input of the page: an option of the command. choices: empty for a text."""

    name: str
    option: str
    help: str
    choices: tuple[str, ...]
    is_flag: bool

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()


class ImportPageRenderer(QueryFormRenderer):
    """The page with the inputs."""

    template = "import.html"

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        request, response = renderer_context["request"], renderer_context["response"]
        return {
            "request": request,
            "user": request.user,
            "problem": problem_of_page(data, response),
            "inputs": import_inputs(),
            "first": _FIRST,
            "limit": settings.MAX_UPLOAD_BYTES,
        }


class ImportPageViewSet(ViewSet):
    """Import a file. A page, and so no part of the OpenAPI document."""

    access = {"show": Access("market:write")}
    renderer_classes = [JSONRenderer, ImportPageRenderer]

    @extend_schema(exclude=True)
    def show(self, _: Request) -> Response:
        """Show the form."""
        return Response({})


@cache
def import_inputs() -> tuple[ImportInput, ...]:
    """Return the options of the command that the page takes, the usual ones first."""
    from trades.management.import_command import import_parser  # noqa: PLC0415 (imports pyarrow)

    own = import_parser()._actions  # noqa: SLF001 argparse has no other list of its options
    inputs = [_input(action) for action in own if action.option_strings and action.dest not in _NOT_HERE]
    return tuple(
        sorted(inputs, key=lambda each: _FIRST.index(each.name) if each.name in _FIRST else len(_FIRST))
    )


def _input(action: Action) -> ImportInput:
    choices = tuple(map(str, action.choices or ()))
    text = (action.help or "").replace("%%", "%")
    return ImportInput(action.dest, action.option_strings[0], text, choices, action.nargs == 0)
