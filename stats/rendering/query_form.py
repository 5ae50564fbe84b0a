"""The form and the links of pages of the browsable API. The form has an input per query parameter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from drf_spectacular.drainage import get_override
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request

# The parameters that most queries use, in this order; a form shows the others behind "more".
_USED = (
    "symbol", "symbols", "search", "exchange", "resolution", "interval", "start", "end", "last", "hours", "at", "date", "account",
    "state", "since", "until", "class", "kind", "outcome", "actor",
)  # fmt: skip
# A form of at most so many parameters has no "more".
_FEW = 5
_PAGES = (("prev_cursor", "prev", "Previous page"), ("next_cursor", "next", "Next page"))


@dataclass(frozen=True, slots=True)
class HelpPart:
    """A part of a help text. is_code: whether it was between backticks."""

    text: str
    is_code: bool


@dataclass(frozen=True, slots=True)
class FormInput:
    """An input of the form.

    value: from the query, or "". choices: if there are any, the input is a drop-down list. attributes: further
    attributes of the HTML element.
    """

    name: str
    label: str
    help: str
    value: str
    default: str
    choices: tuple[str, ...]
    attributes: Mapping[str, str]

    @property
    def help_parts(self) -> list[HelpPart]:
        """Return the help text, split at backticks."""
        return [HelpPart(text, index % 2 == 1) for index, text in enumerate(self.help.split("`"))]


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link. rel: the target's relation to this page (`next`, `prev`), or ""."""

    url: str
    label: str
    rel: str = ""


def form_inputs(serializer: serializers.Serializer[Any], query: QueryDict) -> list[FormInput]:
    """Return one input per field of the serializer, in order, with the query's values."""
    return [_input(name, field, query) for name, field in serializer.fields.items()]


@dataclass(frozen=True, slots=True)
class InputGroups:
    """The inputs that a form shows at once, and those behind "more". is_open: whether one of these has a value."""

    main: list[FormInput]
    more: list[FormInput]

    @property
    def is_open(self) -> bool:
        """Return whether the query has a parameter that is behind "more"."""
        return any(each.value for each in self.more)


def input_groups(inputs: list[FormInput]) -> InputGroups:
    """Return the inputs in two groups. Required parameters are in the first."""
    if len(inputs) <= _FEW:
        return InputGroups(inputs, [])
    main = [each for each in inputs if each.name in _USED or "required" in each.attributes]
    main = main or inputs[:_FEW]
    main.sort(key=lambda each: _USED.index(each.name) if each.name in _USED else -1)
    return InputGroups(main, [each for each in inputs if each not in main])


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


def _input(name: str, field: serializers.Field[Any, Any, Any, Any], query: QueryDict) -> FormInput:
    schema = get_override(field, "field", {})
    schema = schema if isinstance(schema, dict) else {}
    return FormInput(
        name=name,
        label=str(field.label or name),
        help=str(field.help_text or ""),
        value="" if name == "cursor" else query.get(name, ""),  # an old cursor does not fit a changed query
        default=_default(field, schema),
        choices=_choices(field, schema),
        attributes=_attributes(field, schema),
    )


def _default(field: serializers.Field[Any, Any, Any, Any], schema: dict[str, Any]) -> str:
    if field.default is empty or field.default is None or callable(field.default):
        return str(schema.get("default", ""))
    default = getattr(field.default, "value", field.default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def _choices(field: serializers.Field[Any, Any, Any, Any], schema: dict[str, Any]) -> tuple[str, ...]:
    if isinstance(field, serializers.BooleanField):
        return ("true", "false")
    choices: Any = schema.get("enum") or getattr(field, "choices", ())
    return tuple(str(choice) for choice in choices)


def _attributes(field: serializers.Field[Any, Any, Any, Any], schema: dict[str, Any]) -> dict[str, str]:
    attributes = {"required": "required"} if field.required else {}
    if schema.get("type") == "integer" or isinstance(field, serializers.IntegerField):
        attributes["type"] = "number"
        bounds = {
            "min": schema.get("minimum", getattr(field, "min_value", None)),
            "max": schema.get("maximum", getattr(field, "max_value", None)),
        }
        return attributes | {name: str(bound) for name, bound in bounds.items() if bound is not None}
    examples = schema.get("examples") or [""]
    return attributes | ({"placeholder": str(examples[0])} if examples[0] else {})
