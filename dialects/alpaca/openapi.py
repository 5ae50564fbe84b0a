"""The OpenAPI schema of Alpaca's market data, made from the declarations that answers are made from."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

from dialects.alpaca.market_rows import AlpacaRows
from stats.rendering.row_schema import example_row, row_schema
from web.documents import Schema

_SYMBOL_IN_PATH = OpenApiParameter("symbol", str, OpenApiParameter.PATH)
_TIME = {"t": {"type": "string", "format": "date-time"}}
GREEKS = ("delta", "gamma", "rho", "theta", "vega")
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}

Described = tuple[Schema, Any]
"""A schema, and an example that fits it."""


def described_call(
    summary: str, serializer: serializers.Serializer[Any], answer: Described, *, is_single: bool
) -> dict[str, Any]:
    """Return the arguments of `extend_schema` for a call. is_single: whether the path has a symbol."""
    schema, example = answer
    media_type = "application/json"
    return {
        "summary": f"{summary} of {'a symbol' if is_single else 'several symbols'}",
        "parameters": [serializer, *([_SYMBOL_IN_PATH] if is_single else [])],
        "responses": {(200, media_type): schema},
        "examples": [OpenApiExample("An answer", example, media_type=media_type, response_only=True)],
    }


def row(kind: AlpacaRows) -> Described:
    """Return a row of a kind."""
    schema = row_schema(kind.columns)
    example = example_row(kind.columns) | {"t": "2025-01-02T14:30:00Z"}
    return schema | {"properties": schema["properties"] | _TIME}, example


def page(kind: AlpacaRows, symbol: str, *, is_single: bool) -> Described:
    """Return a page of rows."""
    schema, example = row(kind)
    rows: Described = {"type": "array", "items": schema}, [example]
    return paged(
        {kind.name: rows, "symbol": (_TEXT, symbol)} if is_single else {kind.name: by_symbol(symbol, rows)}
    )


def newest_rows(members: Mapping[str, AlpacaRows], symbol: str | None = None, **more: Described) -> Described:
    """Return an object with the symbol, with rows, each of which may be null, and with more members."""
    rows = {name: row(kind) for name, kind in members.items()}
    nullable = {name: (schema | {"type": ["object", "null"]}, each) for name, (schema, each) in rows.items()}
    return _object(({} if symbol is None else {"symbol": (_TEXT, symbol)}) | nullable | more)


def option_snapshot(members: Mapping[str, AlpacaRows]) -> Described:
    """Return an option's rows, each of which may be null, with its volatility and its greeks."""
    greeks, values = _object({name: ({"type": "number"}, 0.25) for name in GREEKS})
    volatility: Described = {"type": ["number", "null"]}, 0.25
    nullable = greeks | {"type": ["object", "null"]}
    return newest_rows(members, impliedVolatility=volatility, greeks=(nullable, values))


def by_symbol(symbol: str, each: Described, *, name: str = "") -> Described:
    """Return an object with a member for each symbol; name: of the member that has the object."""
    schema: Schema = {"type": "object", "additionalProperties": each[0]}
    found = schema, {symbol: each[1]}
    return _object({name: found}) if name else found


def paged(members: Mapping[str, Described]) -> Described:
    """Return an object with the token of the next page."""
    return _object({**members, "next_page_token": (_TEXT_OR_NULL, None)})


def _object(members: Mapping[str, Described]) -> Described:
    schemas = {name: schema for name, (schema, _) in members.items()}
    examples = {name: example for name, (_, example) in members.items()}
    return {"type": "object", "required": list(members), "properties": schemas}, examples
