"""What a page of the browsable API shows of a view: the inputs of its query, its rows, and the forms that send a body."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from django.http import QueryDict
from drf_spectacular.drainage import get_override
from rest_framework import serializers
from rest_framework.request import override_method

# Labels of calls without a documented summary.
METHODS = {"POST": "Send", "PUT": "Replace", "PATCH": "Change", "DELETE": "Delete"}
_JSON = "application/json"


class QueryInput(NamedTuple):
    """An input of the query. words: if there are any, the input is a drop-down list. hint: its default, or an example."""

    name: str
    help: str
    value: str
    words: tuple[str, ...]
    hint: str
    is_required: bool


def query_inputs(serializer: serializers.Serializer[Any], query: QueryDict) -> list[QueryInput]:
    """Return an input for each field of the serializer, with the query's values; without a cursor, which is of one query."""
    return [_input(name, field, query) for name, field in serializer.fields.items()]


def _input(name: str, field: serializers.Field[Any, Any, Any, Any], query: QueryDict) -> QueryInput:
    schema = get_override(field, "field", {})
    schema = schema if isinstance(schema, dict) else {}
    value = "" if name == "cursor" else query.get(name, "")
    words: Any = schema.get("enum") or getattr(field, "choices", ())
    hint = (
        f"default: {schema['default']}" if "default" in schema else next(iter(schema.get("examples", [""])))
    )
    return QueryInput(
        name, str(field.help_text or ""), value, tuple(map(str, words)), str(hint), field.required
    )


class RowsTable(NamedTuple):
    """The rows of a page, as a table. name: the field that has them. Cells are texts."""

    name: str
    columns: list[str]
    cells: list[list[str]]


def rows_table(document: Any) -> RowsTable | None:
    """Return a document's only list of objects as a table; None if it has no such list, or another one beside it."""
    found = [(name, each) for name, each in _lists(document) if each]
    if len(found) != 1 or not all(isinstance(row, Mapping) for row in found[0][1]):
        return None
    name, rows = found[0]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return RowsTable(name, columns, [[_cell(row.get(column)) for column in columns] for row in rows])


def _lists(document: Any) -> list[tuple[str, Any]]:
    """Return the lists of a document, which may be one itself. A list of texts, such as `symbols`, is none of rows."""
    fields = document.items() if isinstance(document, Mapping) else [("rows", document)]
    return [
        (name, each)
        for name, each in fields
        if isinstance(each, list) and not all(isinstance(inner, str) for inner in each)
    ]


def _cell(value: Any) -> str:
    """Return the text of a value: of a text itself, of null nothing, of others their JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


class SendForm(NamedTuple):
    """A form that sends a body. body: DRF's form of a media type and a text; None if the call has no body.

    question: what is asked before a call that takes something away, of methods DELETE and the actions in the view's
    `asks_first`; "" for others.
    """

    method: str
    label: str
    body: Any
    question: str


def send_form(view: Any, method: str, body: Any, answer: Any) -> SendForm:
    """Return the form of a method that the caller may use. body: DRF's form for it. answer: the page's document."""
    with override_method(view, view.request, method):
        call = view.schema.of(view)
        label = call.get_summary() or METHODS[method]
        asks = method == "DELETE" or view.action in getattr(view, "asks_first", ())
        question = (call.get_description().partition("\n\n")[0] or f"{label}?") if asks else ""
        if method == "DELETE" or call.get_request_serializer() is None:
            return SendForm(method, label, None, question)
        example = _with_values(_example(call), answer if method == "PUT" else None)
    body.initial["_content"] = (
        "" if example is None else msgspec.json.format(msgspec.json.encode(example)).decode()
    )
    body.auto_id = f"send-{method}-%s"
    return SendForm(method, label, body, question)


def _example(call: Any) -> Any:
    """Return the documentation's first example of a body; None without one."""
    for example in call.get_examples():
        if example.request_only and example.media_type in (None, _JSON):
            return example.value
    return next(iter(call.examples_of(call.get_request_serializer()).values()), None)


def _with_values(example: Any, present: Any) -> Any:
    """Return the example's fields with their present values, if there are values for all."""
    is_object = isinstance(example, Mapping) and isinstance(present, Mapping)
    return (
        {name: present[name] for name in example}
        if is_object and example.keys() <= present.keys()
        else example
    )
