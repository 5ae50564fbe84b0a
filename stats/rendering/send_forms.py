"""The forms of pages that send a body: one per method that the caller may use, with a valid example."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from rest_framework.exceptions import APIException
from rest_framework.request import Request, override_method

_METHODS = {"POST": "Send", "PUT": "Replace", "PATCH": "Change", "DELETE": "Delete"}
_JSON, _LINES, _CSV = "application/json", "application/x-ndjson", "text/csv"
_TEXT_TYPES = (_JSON, _LINES, _CSV)


@dataclass(frozen=True, slots=True)
class SendForm:
    """A form. content: its body at first, of the first of `bodies`; None if the call has no body.

    bodies: a valid body for each media type of text; those of the form's choices. programs: the other media types.
    question: what is asked before a call that takes something away; "" for others.
    """

    method: str
    label: str
    content: str | None
    bodies: Mapping[str, str]
    programs: tuple[str, ...] = ()
    question: str = ""


def send_forms(view: Any, request: Request, answer: Any = None) -> list[SendForm]:
    """Return the forms of a view, none for methods that the view lacks or that the caller may not use.

    answer: the page's document. A form that replaces it begins with its values.
    """
    return list(_forms(view, request, answer))


def _forms(view: Any, request: Request, answer: Any) -> Iterator[SendForm]:
    for method, label in _METHODS.items():
        if method not in view.allowed_methods:
            continue
        with override_method(view, request, method):
            if _is_allowed(view):
                yield _form(view, method, label, answer if method == "PUT" else None)


def _is_allowed(view: Any) -> bool:
    try:
        view.check_permissions(view.request)
    except APIException:
        return False
    return True


def _form(view: Any, method: str, label: str, present: Any) -> SendForm:
    if method == "DELETE":
        return _question(view, label)
    if not _takes_body(view):
        return SendForm(method, label, None, {})
    example = _with_values(_example(view), present)
    content = "" if example is None else orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
    media_types = [parser.media_type for parser in view.parser_classes]
    bodies = {_JSON: content}
    rows = _rows(example)
    if rows:
        bodies |= {_LINES: _lines(rows), _CSV: _csv(rows)}
    bodies = {name: bodies.get(name, "") for name in media_types if name in _TEXT_TYPES}
    programs = tuple(name for name in media_types if name not in bodies)
    return SendForm(method, label, content, bodies, programs)


def _question(view: Any, label: str) -> SendForm:
    """Return a form that asks before it sends, in the words of the call's documentation."""
    schema = _schema(view)
    if schema is None:
        return SendForm("DELETE", label, None, {}, question=f"{label}?")
    text = schema.get_description().partition("\n\n")[0]
    return SendForm("DELETE", schema.get_summary(), None, {}, question=text)


def _schema(view: Any) -> Any:
    """Return the schema with which the view's method was described; None if it has none."""
    method = getattr(view, getattr(view, "action", None) or str(view.request.method).lower(), None)
    described = getattr(view, "route_schema", None) or getattr(method, "kwargs", {}).get("schema")
    if described is None:
        return None
    schema = described()
    schema.view, schema.method, schema.path = view, view.request.method, view.request.path
    return schema


def _takes_body(view: Any) -> bool:
    schema = _schema(view)
    return schema is None or schema.get_request_serializer() is not None


def _example(view: Any) -> Any:
    """Return a valid body: the documentation's first example, else the initial values of the view's serializer."""
    schema = _schema(view)
    for example in [] if schema is None else schema.get_examples():
        if example.request_only and example.media_type in (None, _JSON):
            return example.value
    serializer = view.get_serializer() if hasattr(view, "get_serializer") else None
    return None if serializer is None else dict(serializer.data)


def _with_values(example: Any, present: Any) -> Any:
    """Return the example's fields with their present values, if there are values for all."""
    if (
        not isinstance(example, Mapping)
        or not isinstance(present, Mapping)
        or not example.keys() <= present.keys()
    ):
        return example
    return {name: present[name] for name in example}


def _rows(example: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch; [] if the example is no batch."""
    values = list(example.values()) if isinstance(example, Mapping) else []
    is_batch = len(values) == 1 and isinstance(values[0], list)
    return values[0] if is_batch else []


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(orjson.dumps(row).decode() + "\n" for row in rows)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
