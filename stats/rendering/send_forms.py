"""The forms of pages that send a body: one per method that the caller may use, with a valid example."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from rest_framework.exceptions import APIException
from rest_framework.request import Request, override_method

# Labels of calls without a documented summary.
_METHODS = {"POST": "Send", "PUT": "Replace", "PATCH": "Change", "DELETE": "Delete"}
_JSON, _LINES, _CSV = "application/json", "application/x-ndjson", "text/csv"
_TEXT_TYPES = (_JSON, _LINES, _CSV)


@dataclass(frozen=True, slots=True)
class SendForm:
    """A form. content: its body at first, of the first of `bodies`; None if the call has no body.

    bodies: a valid body for each media type of text; those of the form's choices. programs: the other media types.
    question: what is asked before a call that takes something away, of methods DELETE and the actions in the view's
    `asks_first`; "" for others. The view's `form_subject` says of what it is taken away.
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
    for method in _METHODS:
        if method not in view.allowed_methods:
            continue
        with override_method(view, request, method):
            if _is_allowed(view):
                yield _form(view, method, answer if method == "PUT" else None)


def _is_allowed(view: Any) -> bool:
    try:
        view.check_permissions(view.request)
    except APIException:
        return False
    return True


def _form(view: Any, method: str, present: Any) -> SendForm:
    call = view.schema.of(view)
    label = call.get_summary() or _METHODS[method]
    question = ""
    if method == "DELETE" or view.action in getattr(view, "asks_first", ()):
        subject = view.form_subject() if hasattr(view, "form_subject") else ""
        label = f"{label} of {subject}" if subject else label
        question = call.get_description().partition("\n\n")[0] or f"{label}?"
    if method == "DELETE" or call.get_request_serializer() is None:
        return SendForm(method, label, None, {}, question=question)
    example = _with_values(_example(view, call), present)
    content = "" if example is None else msgspec.json.format(msgspec.json.encode(example)).decode()
    media_types = [parser.media_type for parser in view.parser_classes]
    bodies = {_JSON: content}
    rows = _rows(example)
    if rows:
        bodies |= {_LINES: _lines(rows), _CSV: _csv(rows)}
    bodies = {name: bodies.get(name, "") for name in media_types if name in _TEXT_TYPES}
    programs = tuple(name for name in media_types if name not in bodies)
    return SendForm(method, label, content, bodies, programs, question)


def _example(view: Any, call: Any) -> Any:
    """Return a valid body: the documentation's first example, else the initial values of the view's serializer."""
    for example in call.get_examples():
        if example.request_only and example.media_type in (None, _JSON):
            return example.value
    serializer = view.get_serializer() if hasattr(view, "get_serializer") else None
    declared = [*call.examples_of(serializer).values()]
    return declared[0] if declared else None if serializer is None else dict(serializer.data)


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
    """Return the rows of a batch; [] if the example is no batch, such as a list of ids."""
    values = list(example.values()) if isinstance(example, Mapping) else []
    is_batch = len(values) == 1 and isinstance(values[0], list)
    return values[0] if is_batch and all(isinstance(row, Mapping) for row in values[0]) else []


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
