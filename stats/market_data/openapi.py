"""The OpenAPI schema of the market-data API, made from the declarations that answers are made from."""

from typing import Any

import orjson
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter

from stats.market_data.documents import PageTail
from stats.market_data.explanation import BarExplanationDocument, explain_serializer
from stats.market_data.gaps import GapsDocument, GapsOfSymbolsDocument, gaps_serializer
from stats.market_data.query import MarketClass, MarketDataset
from stats.market_data.reports import DOCUMENTS, CoverageDocument, report_serializer
from stats.market_data.universes import UniversesDocument, universes_serializer
from stats.rendering.formats import FORMATS
from stats.rendering.row_schema import example_row, row_schema
from stats.rendering.table import ColumnRole, OutColumn
from store.resolutions import Resolution
from web.documents import AnswerDocument, Schema, document_schema, example_of

_EXAMPLE_SYMBOLS = {
    "equities": "AAPL",
    "futures": "ESZ5",
    "options": "AAPL250117C00150000",
    "crypto": "BTC-USD",
    "fx": "EUR-USD",
    "rates": "USD",
    "universes": "SP500",
}
_EXAMPLES_OF_DATASET: dict[str, dict[str, Any]] = {
    "trading-status": {"status": "halted", "reason": "LUDP"},
    "corporate-actions": {"kind": "dividend", "ratio": None, "amount": 0.25, "currency": "USD"},
    "stored-bars": {"resolution": "1d"},
}
_BINARY = OpenApiTypes.BINARY
_OTHER_FORMATS = {"columnar": OpenApiTypes.OBJECT, "csv": OpenApiTypes.STR, "ndjson": OpenApiTypes.STR}
_SYMBOL_IN_PATH = OpenApiParameter("symbol", OpenApiTypes.STR, OpenApiParameter.PATH)
# The members of a page that only some datasets have, with the parameter that they have then.
_MEMBERS = {"absences": "coverage", "knowledge": "knowledge", "not_applied": "adjustment"}


def _inline(document: type[AnswerDocument]) -> Schema:
    """Return the schema of a document with those within it."""
    return document_schema(document, _inline)


def page_schema(market_class: MarketClass, dataset: MarketDataset, *, several: bool) -> dict[str, Any]:
    """Return the schema of a dataset's pages."""
    other_formats = {
        (200, each.media_type): _OTHER_FORMATS.get(each.name, _BINARY)
        for each in FORMATS.values()
        if each.name != "json"
    }
    return {
        **_operation_names(market_class, dataset, "_of_symbols" if several else ""),
        "summary": f"{dataset.name.capitalize()} of {'several symbols' if several else 'a symbol'}",
        "parameters": _parameters(dataset, streamed=False, several=several),
        "responses": {(200, "application/json"): _page(dataset, several=several), **other_formats},
        "examples": [_example(_example_page(market_class, dataset, several=several))],
    }


def stream_schema(market_class: MarketClass, dataset: MarketDataset) -> dict[str, Any]:
    """Return the schema of a dataset's stream."""
    formats = [each for each in FORMATS.values() if each.stream]
    line = OpenApiExample(
        "A line", value=example_row(dataset.columns), media_type="application/x-ndjson", response_only=True
    )
    return {
        **_operation_names(market_class, dataset, "_stream"),
        "summary": f"All {dataset.name} of a symbol",
        "parameters": _parameters(dataset, streamed=True, several=False),
        "responses": {
            (200, each.media_type): row_schema(dataset.columns) if each.name == "ndjson" else _BINARY
            for each in formats
        },
        "examples": [line],
    }


def report_schema(market_class: MarketClass, report: str, *, several: bool) -> dict[str, Any]:
    """Return the schema of `/latest` or `/snapshot`."""
    described = _described(DOCUMENTS[report][several], _EXAMPLE_SYMBOLS[market_class.path])
    return {
        "operation_id": f"{market_class.path}_{report}" + ("_of_symbols" if several else ""),
        "summary": f"The {report} of {'several symbols' if several else 'a symbol'}",
        "parameters": [report_serializer(report, several=several)],
        **described,
    }


def explain_schema(market_class: MarketClass) -> dict[str, Any]:
    """Return the schema of explanations of bars."""
    return {
        "operation_id": f"{market_class.path}_explain",
        "summary": "The prints of one bar, and what each set",
        "parameters": [explain_serializer(), _SYMBOL_IN_PATH],
        **_described(BarExplanationDocument, _EXAMPLE_SYMBOLS[market_class.path]),
    }


def universes_schema() -> dict[str, Any]:
    """Return the schema of the list of universes."""
    return {
        "operation_id": "universes",
        "summary": "All universes",
        "parameters": [universes_serializer()],
        **_described(UniversesDocument),
    }


def gaps_schema(market_class: MarketClass | None) -> dict[str, Any]:
    """Return the schema of gaps. market_class: None for several symbols of any class."""
    if market_class is None:
        return {
            "operation_id": "gaps",
            "summary": "The gaps of several symbols",
            "parameters": [gaps_serializer(several=True)],
            **_described(GapsOfSymbolsDocument),
        }
    return {
        "operation_id": f"{market_class.path}_gaps",
        "summary": "The gaps of a symbol",
        "parameters": [gaps_serializer(several=False), _SYMBOL_IN_PATH],
        **_described(GapsDocument, _EXAMPLE_SYMBOLS[market_class.path]),
    }


def coverage_schema(market_class: MarketClass) -> dict[str, Any]:
    """Return the schema of the coverage report."""
    return {
        "operation_id": f"{market_class.path}_coverage",
        "summary": "The stored data of a symbol",
        "parameters": [report_serializer("coverage", several=False)],
        **_described(CoverageDocument, _EXAMPLE_SYMBOLS[market_class.path]),
    }


def _described(document: type[AnswerDocument], symbol: str = "AAPL") -> dict[str, Any]:
    """Return the schema and the example of answers. symbol: the example's."""
    return {
        "responses": {(200, "application/json"): _inline(document)},
        "examples": [_example(_about_symbol(example_of(document), symbol))],
    }


def _about_symbol(example: Any, symbol: str) -> Any:
    """Return an example of AAPL with another symbol."""
    return orjson.loads(orjson.dumps(example).replace(b'"AAPL"', orjson.dumps(symbol)))


def _operation_names(market_class: MarketClass, dataset: MarketDataset, suffix: str) -> dict[str, Any]:
    operation_id = f"{market_class.path}_{dataset.name.replace('-', '_')}{suffix}"
    return {"operation_id": operation_id}


def _parameters(dataset: MarketDataset, *, streamed: bool, several: bool) -> list[Any]:
    serializer = dataset.serializer(streamed=streamed, several=several)
    return [serializer] if several else [serializer, _SYMBOL_IN_PATH]


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
    resolution = {"resolution": {"type": "string", "enum": Resolution.names()}}
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
    symbol = _EXAMPLE_SYMBOLS[market_class.path]
    has_resolution = _has_resolution(dataset) and not dataset.resolution.is_tick
    row = example_row(dataset.columns) | _EXAMPLES_OF_DATASET.get(dataset.name, {})
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
