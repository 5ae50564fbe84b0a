"""The OpenAPI schema of the market-data API, made from the declarations that answers are made from."""

from typing import Any

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter

from stats.market_data.answers.report import MarketReport
from stats.market_data.documents import PageTail
from stats.market_data.query import ANY_CLASS, MarketClass, MarketDataset
from stats.market_data.query_parameters import PARAMETERS
from stats.rendering.formats import FORMATS
from stats.rendering.row_schema import example_row, row_schema
from stats.rendering.table import ColumnRole, OutColumn
from trades.batches.text_rules import resolution_schema
from web.documents import AnswerDocument, Schema, document_schema, example_of

_BINARY = OpenApiTypes.BINARY
_OTHER_FORMATS = {"columnar": OpenApiTypes.OBJECT, "csv": OpenApiTypes.STR, "ndjson": OpenApiTypes.STR}
# A symbol may have one slash.
_SYMBOL_PATTERN = "^[^/]+(?:/[^/]+)?$"
# The members of a page that only some datasets have, with the parameter that they have then.
_MEMBERS = {
    "absences": "coverage",
    "knowledge": "knowledge",
    "not_applied": "adjustment",
    "unadjusted": "adjustment",
}


def _inline(document: type[AnswerDocument]) -> Schema:
    """Return the schema of a document with those within it."""
    return document_schema(document, _inline)


def page_schema(market_class: MarketClass, dataset: MarketDataset, *, several: bool) -> dict[str, Any]:
    """Return the schema of a dataset's pages."""
    other_formats = {
        (200, each.media_type): _OTHER_FORMATS.get(each.format, _BINARY)
        for each in FORMATS.values()
        if each.format != "json"
    }
    return {
        "operation_id": _operation_id(market_class, dataset, "_of_symbols" if several else ""),
        "summary": f"{_words(dataset).capitalize()} of {'several symbols' if several else 'a symbol'}",
        "parameters": _parameters(market_class, dataset, streamed=False, several=several),
        "responses": {(200, "application/json"): _page(dataset, several=several), **other_formats},
        "examples": [_example(_example_page(market_class, dataset, several=several))],
    }


def _words(dataset: MarketDataset) -> str:
    return "bars" if dataset.name == "ohlcv" else dataset.name.replace("-", " ")


def stream_schema(market_class: MarketClass, dataset: MarketDataset) -> dict[str, Any]:
    """Return the schema of a dataset's stream."""
    formats = [each for each in FORMATS.values() if each.stream]
    line = OpenApiExample(
        "A line", value=example_row(dataset.columns), media_type="application/x-ndjson", response_only=True
    )
    return {
        "operation_id": _operation_id(market_class, dataset, "_stream"),
        "summary": f"All {_words(dataset)} of a symbol",
        "parameters": _parameters(market_class, dataset, streamed=True, several=False),
        "responses": {
            (200, each.media_type): row_schema(dataset.columns) if each.format == "ndjson" else _BINARY
            for each in formats
        },
        "examples": [line],
    }


def report_schema(market_class: MarketClass, report: MarketReport, *, several: bool) -> dict[str, Any]:
    """Return the schema of a report."""
    document = report.of_symbols if several and report.of_symbols else report.document
    symbol = (
        symbols_in_query(market_class) if several else symbol_in_path(market_class, pattern=_SYMBOL_PATTERN)
    )
    name, suffix = f"{market_class.path}_{report.name}", "_of_symbols" if several else ""
    return {
        "operation_id": report.name if market_class is ANY_CLASS else name + suffix,
        "summary": str(document.__doc__).removesuffix("."),
        "parameters": [report.serializer(several), *([] if market_class is ANY_CLASS else [symbol])],
        "responses": {(200, "application/json"): _inline(document)},
        "examples": [_example(_about_symbol(example_of(document), market_class.example))],
    }


def _about_symbol(example: Any, symbol: str) -> Any:
    """Return an example of AAPL with another symbol."""
    return msgspec.json.decode(msgspec.json.encode(example).replace(b'"AAPL"', msgspec.json.encode(symbol)))


def _operation_id(market_class: MarketClass, dataset: MarketDataset, suffix: str) -> str:
    return f"{market_class.path}_{dataset.name.replace('-', '_')}{suffix}"


def symbols_in_query(market_class: MarketClass) -> OpenApiParameter:
    """Return the parameter `symbols`, with an example of the class."""
    schema = {"type": "string", "minLength": 1, "examples": [market_class.example]}
    description = PARAMETERS["symbols"].options["help_text"]
    return OpenApiParameter("symbols", schema, required=True, description=description)


def symbol_in_path(market_class: MarketClass, **more: str) -> OpenApiParameter:
    """Return the path's parameter `symbol`, with an example of the class. more: of its schema."""
    schema = {"type": "string", **more, "examples": [market_class.example]}
    return OpenApiParameter("symbol", schema, OpenApiParameter.PATH)


def _parameters(
    market_class: MarketClass, dataset: MarketDataset, *, streamed: bool, several: bool
) -> list[Any]:
    serializer = dataset.serializer(streamed=streamed, several=several)
    return [serializer, (symbols_in_query if several else symbol_in_path)(market_class)]


def _page(dataset: MarketDataset, *, several: bool) -> Schema:
    symbol: Schema = {"symbol": {"type": "string"}}
    if several:
        symbol = {"symbols": {"type": "array", "items": {"type": "string"}}}
    columns = (OutColumn("symbol", ColumnRole.TEXT), *dataset.columns) if several else dataset.columns
    parameters = dataset.parameters(streamed=False, several=several)
    tail = _inline(PageTail)
    for member, parameter in _MEMBERS.items():
        if parameter not in parameters:
            del tail["properties"][member]
    resolution = {"resolution": resolution_schema()}
    return {
        "type": "object",
        "required": [*symbol, dataset.rows_name, *tail["required"]],
        "properties": {
            **symbol,
            **(resolution if _has_resolution(dataset) else {}),
            dataset.rows_name: {"type": "array", "items": row_schema(columns)},
            **tail["properties"],
        },
    }


def _has_resolution(dataset: MarketDataset) -> bool:
    """Return whether pages say their resolution, as those of intervals and samples do."""
    return "resolution" in dataset.own and not dataset.of_instants


def _example_page(market_class: MarketClass, dataset: MarketDataset, *, several: bool) -> dict[str, Any]:
    symbol = market_class.example
    has_resolution = _has_resolution(dataset) and not dataset.resolution.is_tick
    row = {**example_row(dataset.columns), **dataset.example}
    return {
        **({"symbols": [symbol]} if several else {"symbol": symbol}),
        **({"resolution": dataset.resolution.value} if has_resolution else {}),
        dataset.rows_name: [{"symbol": symbol, **row} if several else row],
        "next_cursor": None,
        "prev_cursor": None,
        "total_estimate": 1,
    }


def _example(value: Any) -> OpenApiExample:
    return OpenApiExample("An answer", value=value, media_type="application/json", response_only=True)
