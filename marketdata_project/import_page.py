"""The page `/import`: shows what a file of prices would become, and imports it, as `manage.py import` does.

The file is the body, the command's options are the query. The page's script sends both, so a preview keeps nothing here.
"""

import time
from argparse import Action
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from pathlib import Path, PurePath
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management import CommandError, CommandParser
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.rendering.renderers import QueryFormRenderer, problem_of_page
from trades.exceptions import ImportsError, without_path
from web.endpoints import WRITE, Access
from web.idempotency.answers import key_scope
from web.requests.parsers import BytesParser, take_body

# Options of the command that the page has no input for, because it has its own way, or no need of them.
_NOT_HERE = {"preview", "restart"}
# Inputs that most files may need; the others are below "More options".
_FIRST = ("format", "dataset", "symbol", "resolution", "columns", "timezone", "time_format", "decimal")
_NAME_BYTES = 200
_FOLDER, _LEFT_SECONDS = "import-", 86_400


class ImportInput(NamedTuple):
    """An input of the page: an option of the command. choices: empty for a text."""

    name: str
    option: str
    help: str
    choices: tuple[str, ...]
    is_flag: bool

    @property
    def parameter(self) -> str:
        """The name in the query, where `format` would be that of the answer."""
        return f"option_{self.name}"

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()


class FileParser(BytesParser):
    """A file as bytes."""

    media_type = "application/octet-stream"


class ImportPageRenderer(QueryFormRenderer):
    """The page: the inputs, and what was found in the file, or came of its import."""

    template = "import.html"

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        request, response = renderer_context["request"], renderer_context["response"]
        return {
            "request": request,
            "user": request.user,
            "problem": problem_of_page(data, response),
            "result": data,
            "inputs": import_inputs(),
            "first": _FIRST,
            "limit": settings.MAX_IMPORT_BYTES,
        }


class ImportPageViewSet(ViewSet):
    """Import a file. A page, and so no part of the OpenAPI document."""

    access = {
        "show": Access("market:write"),
        "send": Access("market:write", kind=WRITE, cost="batch", body_bytes=settings.MAX_IMPORT_BYTES),
    }
    parser_classes = [FileParser]
    renderer_classes = [JSONRenderer, ImportPageRenderer]

    @extend_schema(exclude=True)
    def show(self, _: Request) -> Response:
        """Show the form."""
        return Response({})

    @extend_schema(exclude=True)
    def send(self, request: Request) -> Response:
        """Show the first rows of the file in the body, or with `action=import` store its rows."""
        from marketdata_project.import_file import preview_or_import  # noqa: PLC0415 (imports pyarrow)

        _remove_leftovers(settings.DATA_DIR)
        with TemporaryDirectory(prefix=_FOLDER, dir=settings.DATA_DIR) as folder:
            path = Path(folder) / _file_name(request.GET.get("name", ""))
            path.write_bytes(take_body(request))
            try:
                document = preview_or_import(
                    path,
                    _options(path, request),
                    is_import=request.GET.get("action") == "import",
                    caller=key_scope(request),
                )
                return Response(document)
            except (ImportsError, CommandError, OSError) as error:
                refusal = without_path(str(error), path)
                return Response({"refusal": refusal}, status=HTTPStatus.UNPROCESSABLE_ENTITY)


def _remove_leftovers(root: Path) -> None:
    """Remove the files of earlier imports whose processes were killed: those that are a day old."""
    for folder in root.glob(f"{_FOLDER}*/"):
        with suppress(FileNotFoundError):  # another process removes them, too
            if folder.stat().st_mtime < time.time() - _LEFT_SECONDS:
                rmtree(folder, ignore_errors=True)


def _file_name(text: str) -> str:
    """Return the end of a file's name without folders and control characters; "file" if nothing is left."""
    name = (
        "".join(filter(str.isprintable, PurePath(text).name)).encode()[-_NAME_BYTES:].decode(errors="ignore")
    )
    return name if name.strip(".") else "file"


def _options(path: Path, request: Request) -> dict[str, Any]:
    """Return the command's options that the query names. Raises CommandError."""
    given = [
        each.option if each.is_flag else f"{each.option}={request.GET[each.parameter]}"
        for each in import_inputs()
        if request.GET.get(each.parameter)
    ]
    return vars(_parser().parse_args([*given, "--", str(path)]))


def _parser() -> CommandParser:
    from trades.management.import_command import import_parser  # noqa: PLC0415 (imports pyarrow)

    return import_parser()


@cache
def import_inputs() -> tuple[ImportInput, ...]:
    """Return the options of the command that the page takes, the usual ones first."""
    own = _parser()._actions  # noqa: SLF001 argparse has no other list of its options
    inputs = [_input(action) for action in own if action.option_strings and action.dest not in _NOT_HERE]
    return tuple(
        sorted(inputs, key=lambda each: _FIRST.index(each.name) if each.name in _FIRST else len(_FIRST))
    )


def _input(action: Action) -> ImportInput:
    choices = tuple(map(str, action.choices or ()))
    text = (action.help or "").replace("%%", "%")
    return ImportInput(action.dest, action.option_strings[0], text, choices, action.nargs == 0)
