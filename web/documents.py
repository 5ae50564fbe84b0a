"""Documents of answers, each described once, by a `msgspec.Struct`.

Its docstring and its fields give the OpenAPI schema (`web.schema`), the example, the JSON, and a table's columns. A field is annotated
with a description and an example: `quantity: Annotated[float, about("In units.", 100.0)]`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from store import lazy_pyarrow as pa
from store.instant_text import format_instant
from store.timestamps import format_timestamp

Schema = dict[str, Any]

# Texts with a format: RFC 3339 in UTC, a date, a UUID.
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Date = Annotated[str, Meta(extra_json_schema={"format": "date"})]
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
_TYPES: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number", "format": "double"},
    Any: {},
    # An object that is written already.
    msgspec.Raw: {"type": "object"},
}


def about(description: str, *examples: Any) -> Meta:
    """Return a field's description and example. Without one the example is the type's: null, [], the first word."""
    return Meta(description=description, examples=list(examples) or None)


def like(example: Any) -> Meta:
    """Return the example of a field that needs no description."""
    return Meta(examples=[example])


class AnswerDocument(msgspec.Struct, gc=False):
    """The base of documents. A field whose default is UNSET may be left out."""

    def as_json(self) -> dict[str, Any]:
        """Return the document as JSON's types."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def of_attributes(cls, source: object, **given: Any) -> Self:
        """Return a document with the source's attributes, but for those that are given.

        Decimals become doubles, and a field `…_at` is the attribute `…_ns` as a text.
        """
        for name, in_ns in _sources(cls):
            if name in given:
                continue
            value = getattr(source, in_ns or name)
            if value.__class__ is Decimal:
                value = float(value) + 0.0
            elif in_ns and value is not None:
                value = format_timestamp(value)
            given[name] = value
        return cls(**given)

    @classmethod
    def of_row(cls, row: object, **given: Any) -> Self:
        """Return a document with the columns of a row of the database, but for those that are given.

        An instant is a text, and an empty text is null.
        """
        for name in cls.__struct_fields__:
            if name not in given:
                value = getattr(row, name)
                given[name] = (
                    format_instant(value) if isinstance(value, datetime) else None if value == "" else value
                )
        return cls(**given)


@cache
def _sources(document: type[AnswerDocument]) -> list[tuple[str, str]]:
    """Return the fields, with the names of the attributes of those that are instants; "" for others."""
    return [
        (name, f"{name.removesuffix('_at')}_ns" if name.endswith("_at") else "")
        for name in document.__struct_fields__
    ]


def number(value: Decimal) -> float:
    """Return an amount as the nearest double. Zero has no sign."""
    return float(value) + 0.0


def number_or_null(value: Decimal | None) -> float | None:
    return None if value is None else number(value)


def instant_or_null(at_ns: int | None) -> str | None:
    return None if at_ns is None else format_timestamp(at_ns)


def document_schema(document: type[AnswerDocument], reference: Callable[[Any], Schema]) -> Schema:
    """Return a document's JSON schema. reference: returns the schema of a document within it."""
    hints = _hints(document)
    properties = {name: _schema(hint, reference) for name, hint in hints.items()}
    required = sorted(name for name, hint in hints.items() if UnsetType not in _members(hint))
    return {
        "type": "object",
        "description": str(document.__doc__),
        "properties": properties,
        "required": required,
    }


def example_of(document: type[AnswerDocument]) -> dict[str, Any]:
    """Return a document of its fields' examples. Raises TypeError for a field that needs one and has none."""
    examples = {
        name: _example(hint, f"{document.__name__}.{name}") for name, hint in _hints(document).items()
    }
    return {name: each for name, each in examples.items() if each is not UNSET}


def arrow_schema(document: type[AnswerDocument]) -> pa.Schema:
    """Return the columns of a table of documents, in the order of their fields.

    A document within it is columns with dotted names, such as `print.price`. A list, and an object whose members have
    no fixed names, is a text: its JSON. Instants are nanoseconds UTC. A column is nullable if a row may lack its value. Its
    metadata have its description.
    """
    return pa.schema([*_columns(document, "", is_nullable=False)])


def _columns(document: type[AnswerDocument], prefix: str, *, is_nullable: bool) -> Iterator[pa.Field]:
    for name, hint in _hints(document).items():
        schema = _schema(hint, lambda inner: {"type": "object", "document": inner})
        may_be_null = is_nullable or not {types.NoneType, UnsetType}.isdisjoint(_members(hint))
        if "document" in schema:
            yield from _columns(schema["document"], f"{prefix}{name}.", is_nullable=may_be_null)
        else:
            texts = {"description": schema.get("description", "")}
            yield pa.field(prefix + name, _arrow_type(schema), may_be_null, texts)


def _arrow_type(schema: Schema) -> pa.DataType:
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    kinds = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    formats = {"date-time": pa.timestamp("ns", "UTC"), "date": pa.date32()}
    return formats.get(schema.get("format", ""), kinds.get(kind, pa.string()))


def _hints(document: type[AnswerDocument]) -> dict[str, Any]:
    found = typing.get_type_hints(document, include_extras=True)
    return {
        shown: found[name]
        for shown, name in zip(document.__struct_encode_fields__, document.__struct_fields__, strict=True)
    }


def _schema(hint: Any, reference: Callable[[Any], Schema]) -> Schema:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _with_texts(_schema(arguments[0], reference), arguments[1:])
    if origin in {typing.Union, types.UnionType}:
        (kind,) = (each for each in arguments if each not in {types.NoneType, UnsetType})
        schema = _schema(kind, reference)
        return _nullable(schema) if types.NoneType in arguments else schema
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], reference)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], reference)}
    words = _words(hint)
    if words:
        return {"type": "string", "enum": words}
    return dict(_TYPES[hint]) if hint in _TYPES else reference(hint)


def _with_texts(schema: Schema, metas: tuple[Meta, ...]) -> Schema:
    for meta in metas:
        schema |= meta.extra_json_schema or {}
        if meta.description:
            schema["description"] = meta.description
    return schema


def _nullable(schema: Schema) -> Schema:
    if "$ref" in schema:
        return {"oneOf": [schema, {"type": "null"}]}
    # drf-spectacular makes a component of the words, and adds null to it.
    words = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **words}


def _words(hint: Any) -> list[str]:
    """Return the values of an enumeration or a Literal; [] for other types."""
    if typing.get_origin(hint) is Literal:
        return list(typing.get_args(hint))
    is_enum = isinstance(hint, type) and issubclass(hint, Enum)
    return [each.value for each in hint] if is_enum else []


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    return typing.get_args(kind)


def _example(hint: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        given = [meta.examples[0] for meta in arguments[1:] if meta.examples]
        return msgspec.to_builtins(given[0]) if given else _example(arguments[0], name)
    if origin in {typing.Union, types.UnionType}:
        return UNSET if UnsetType in arguments else None
    if origin is list:
        return [_example(arguments[0], name)]
    if isinstance(hint, type) and issubclass(hint, AnswerDocument):
        return example_of(hint)
    if hint is bool:
        return False
    words = _words(hint)
    if not words:
        raise TypeError(f"{name} needs an example")
    return words[0]
