"""The OpenAPI schema of the market-data API, made from the declarations that answers are made from."""

from collections.abc import Iterable, Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter

from stats.market_data.explanation import explain_serializer
from stats.market_data.gaps import GapsDocument, gaps_serializer
from stats.market_data.ohlcv.absence_reasons import REASONS
from stats.market_data.query import MarketClass, MarketDataset
from stats.market_data.reports import CoverageDocument, report_serializer
from stats.market_data.universes import UniversesDocument, universes_serializer
from stats.rendering.formats import FORMATS
from stats.rendering.table import ColumnRole, OutColumn
from store.bars.adjustment import WhyNotApplied
from store.datasets import DATASETS
from store.resolutions import Resolution
from store.rows.knowledge import KnownBy
from web.documents import AnswerDocument, document_schema, example_of

_EXAMPLE_SYMBOLS = {
    "equities": "AAPL",
    "futures": "ESZ5",
    "options": "AAPL250117C00150000",
    "crypto": "BTC-USD",
    "fx": "EUR-USD",
    "rates": "USD",
    "universes": "SP500",
}
_EXAMPLES_BY_ROLE: dict[ColumnRole, Any] = {
    ColumnRole.TIME: "2025-01-02T14:30:00Z",
    ColumnRole.DATE: "2025-01-02",
    ColumnRole.NUMBER: 190.02,
    ColumnRole.VOLUME: 350,
    ColumnRole.INTEGER: 12,
    ColumnRole.TEXT: None,
    ColumnRole.WORDS: ["regular"],
    ColumnRole.FLAG: True,
}
_EXAMPLES_BY_NAME: dict[str, Any] = {
    "exchange": "XNAS",
    "bid_exchange": "XNAS",
    "contract": "ESZ5",
    "roll_date": "2025-09-12",
    "adjustment": 0.0,
    "ask_exchange": "ARCX",
    "status": "final",
    "state": "normal",
    "trade_id": "812",
    "strike": 190.0,
    "right": "call",
    "bid": 5.1,
    "ask": 5.2,
    "price": 5.15,
    "delta": 0.53,
    "gamma": 0.021,
    "theta": -0.061,
    "vega": 0.31,
    "rho": 0.09,
    "iv": 0.243,
    "forward": 190.61,
    "forward_source": "parity",
    "rate": 0.04,
    "rate_source": "curve",
    "rate_timestamp": "2025-01-02T13:00:00Z",
    "tenor": "1Y",
    "member": "AAPL",
    "action": "add",
    "since": "1982-11-30T00:00:00Z",
    "dividend_yield": 0.0051,
    "dividends": 0.25,
    "t": 0.0411,
}
_EXAMPLES_OF_DATASET: dict[str, dict[str, Any]] = {
    "trading-status": {"status": "halted", "reason": "LUDP"},
    "corporate-actions": {"kind": "dividend", "ratio": None, "amount": 0.25, "currency": "USD"},
    "stored-bars": {"resolution": "1d"},
}


def _example_row(columns: Iterable[OutColumn]) -> dict[str, Any]:
    return {
        column.name: _EXAMPLES_BY_NAME.get(column.name, _EXAMPLES_BY_ROLE[column.role]) for column in columns
    }


Schema = dict[str, Any]

_TYPES: dict[ColumnRole, Schema] = {
    ColumnRole.TIME: {"type": ["string", "integer", "null"]},
    ColumnRole.DATE: {"type": ["string", "null"], "format": "date"},
    ColumnRole.NUMBER: {"type": ["number", "null"]},
    ColumnRole.VOLUME: {"type": ["number", "null"]},
    ColumnRole.INTEGER: {"type": ["integer", "null"]},
    ColumnRole.TEXT: {"type": ["string", "null"]},
    ColumnRole.WORDS: {"type": ["array", "null"], "items": {"type": "string"}},
    ColumnRole.FLAG: {"type": ["boolean", "null"]},
}
_BINARY = OpenApiTypes.BINARY
_OTHER_FORMATS = {"columnar": OpenApiTypes.OBJECT, "csv": OpenApiTypes.STR, "ndjson": OpenApiTypes.STR}
_CURSOR: Schema = {"type": ["string", "null"]}
_SYMBOL: Schema = {"type": "string"}
_SYMBOLS: Schema = {"type": "array", "items": _SYMBOL}


def _object(properties: Schema, required: Iterable[str] | None = None) -> Schema:
    """Return the schema of an object. required: None for all properties."""
    return {
        "type": "object",
        "required": list(properties if required is None else required),
        "properties": properties,
    }


_ABSENCE = _object(
    {
        "start": {"type": "string", "format": "date-time"},
        "end": {"type": "string", "format": "date-time"},
        "reason": {"type": "string", "enum": list(REASONS)},
    }
)
_KNOWLEDGE = {
    **_object({name.value: {"type": "integer"} for name in KnownBy}),
    "description": "With `knowledge=then`: the number of rows by the time that told when they were known.",
}
_ACTION = DATASETS["corporate_actions"].column("kind").choices
_NOT_APPLIED = {
    "type": "array",
    "items": _object(
        {
            "symbol": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "kind": {"type": "string", "enum": list(_ACTION)},
            "reason": {"type": "string", "enum": [reason.value for reason in WhyNotApplied]},
        },
        required=("timestamp", "kind", "reason"),
    ),
    "description": "With `adjustment`: the stored corporate actions that were not applied; `symbol` with `symbols=`.",
}


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
        "A line", value=_example_row(dataset.columns), media_type="application/x-ndjson", response_only=True
    )
    return {
        **_operation_names(market_class, dataset, "_stream"),
        "summary": f"All {dataset.name} of a symbol",
        "parameters": _parameters(dataset, streamed=True, several=False),
        "responses": {
            (200, each.media_type): _row(dataset.columns) if each.name == "ndjson" else _BINARY
            for each in formats
        },
        "examples": [line],
    }


def report_schema(
    market_class: MarketClass,
    report: str,
    members: Sequence[tuple[str, Iterable[OutColumn]]],
    *,
    several: bool,
) -> dict[str, Any]:
    """Return the schema of a report. members: the name of each member, and the columns that its row may have."""
    rows = {name: {**_row(columns), "type": ["object", "null"]} for name, columns in members}
    schema = _object({"symbol": _SYMBOL, **rows})
    symbol = _EXAMPLE_SYMBOLS[market_class.path]
    example: dict[str, Any] = {
        "symbol": symbol,
        **{name: _example_row(columns) for name, columns in members},
    }
    if several:
        schema = _object({"symbols": _SYMBOLS, report: {"type": "array", "items": schema}})
        example = {"symbols": [symbol], report: [example]}
    return {
        "operation_id": f"{market_class.path}_{report}" + ("_of_symbols" if several else ""),
        "summary": f"The {report} of {'several symbols' if several else 'a symbol'}",
        "parameters": [report_serializer(report, several=several)],
        "responses": {(200, "application/json"): schema},
        "examples": [_example(example)],
    }


_SETS = ("open", "high", "low", "close")
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_PRINT = _object(
    {
        "timestamp": {"type": "string", "format": "date-time"},
        "price": {"type": "number"},
        "volume": {"type": "number"},
        "trade_id": {"type": ["string", "null"]},
        "exchange": {"type": ["string", "null"]},
        "conditions": _TEXTS,
        "part": {"type": "string", "enum": ["own", "credited", "left_out"]},
        "sets": {"type": "array", "items": {"type": "string", "enum": list(_SETS)}},
        "counts": {"type": "object"},
        "because": {"type": "object", "description": "The condition word that decides each count."},
    }
)
_EXPLAINED = {
    "policy": {"type": "string"},
    "bar": {"type": ["object", "null"]},
    "sets": _object(dict.fromkeys(_SETS, _PRINT), required=()),
    "volume": _object({name: {"type": "number"} for name in ("own", "credited", "left_out", "stored")}),
    "conditions": _OBJECTS,
    "stored": {
        **_object(
            {"bars": _OBJECTS, "bars_total": {"type": "integer"}},
        ),
        "type": ["object", "null"],
        "description": "The stored bars in the bar; null if there is none.",
    },
}
_PRINTS = {"prints": {"type": "array", "items": _PRINT}, "prints_total": {"type": "integer"}}
_EXPLANATION = _object(
    {
        "symbol": _SYMBOL,
        "resolution": {"type": "string", "enum": Resolution.names()},
        **_EXPLAINED,
        **_PRINTS,
        "revisions": {**_OBJECTS, "type": ["array", "null"]},
        "compared": {"type": "object", "properties": {**_EXPLAINED, **_PRINTS}},
    },
    required=("symbol", "resolution", *_EXPLAINED, *_PRINTS, "revisions"),
)
_EXAMPLE_PRINT: dict[str, Any] = {
    "timestamp": "2025-01-02T14:30:00.125Z",
    "price": 189.98,
    "volume": 100,
    "trade_id": "1",
    "exchange": None,
    "conditions": [],
    "part": "own",
    "sets": list(_SETS),
    "counts": {"open_close": True, "high_low": True, "volume": True},
    "because": {"open_close": None, "high_low": None, "volume": None},
}
_EXAMPLE_EXPLANATION = {
    "resolution": "1m",
    "policy": "all",
    "bar": None,
    "sets": dict.fromkeys(_SETS, _EXAMPLE_PRINT),
    "volume": {"own": 100.0, "credited": 0.0, "left_out": 0.0, "stored": 0.0},
    "conditions": [
        {
            "prints": 1,
            **{name: _EXAMPLE_PRINT[name] for name in ("conditions", "volume", "counts", "because")},
        }
    ],
    "stored": None,
    "prints": [_EXAMPLE_PRINT],
    "prints_total": 1,
    "revisions": [],
}


def explain_schema(market_class: MarketClass) -> dict[str, Any]:
    """Return the schema of explanations of bars."""
    return {
        "operation_id": f"{market_class.path}_explain",
        "summary": "The prints of one bar, and what each set",
        "parameters": [
            explain_serializer(),
            OpenApiParameter("symbol", OpenApiTypes.STR, OpenApiParameter.PATH),
        ],
        "responses": {(200, "application/json"): _EXPLANATION},
        "examples": [_example({"symbol": _EXAMPLE_SYMBOLS[market_class.path], **_EXAMPLE_EXPLANATION})],
    }


def universes_schema() -> dict[str, Any]:
    """Return the schema of the list of universes."""
    return {
        "operation_id": "universes",
        "summary": "All universes",
        "parameters": [universes_serializer()],
        "responses": {(200, "application/json"): _inline(UniversesDocument)},
        "examples": [_example(example_of(UniversesDocument))],
    }


def gaps_schema(market_class: MarketClass | None) -> dict[str, Any]:
    """Return the schema of gaps. market_class: None for several symbols of any class."""
    schema, example = _inline(GapsDocument), example_of(GapsDocument)
    symbol = example["symbol"] = _EXAMPLE_SYMBOLS["equities" if market_class is None else market_class.path]
    parameters: list[Any] = [gaps_serializer(several=market_class is None)]
    if market_class is None:
        schema = _object({"symbols": _SYMBOLS, "gaps": {"type": "array", "items": schema}})
        example = {"symbols": [symbol], "gaps": [example]}
    else:
        parameters.append(OpenApiParameter("symbol", OpenApiTypes.STR, OpenApiParameter.PATH))
    return {
        "operation_id": "gaps" if market_class is None else f"{market_class.path}_gaps",
        "summary": f"The gaps of {'several symbols' if market_class is None else 'a symbol'}",
        "parameters": parameters,
        "responses": {(200, "application/json"): schema},
        "examples": [_example(example)],
    }


def coverage_schema(market_class: MarketClass) -> dict[str, Any]:
    """Return the schema of the coverage report."""
    example = {**example_of(CoverageDocument), "symbol": _EXAMPLE_SYMBOLS[market_class.path]}
    return {
        "operation_id": f"{market_class.path}_coverage",
        "summary": "The stored data of a symbol",
        "parameters": [report_serializer("coverage", several=False)],
        "responses": {(200, "application/json"): _inline(CoverageDocument)},
        "examples": [_example(example)],
    }


def _operation_names(market_class: MarketClass, dataset: MarketDataset, suffix: str) -> dict[str, Any]:
    operation_id = f"{market_class.path}_{dataset.name.replace('-', '_')}{suffix}"
    return {"operation_id": operation_id}


def _parameters(dataset: MarketDataset, *, streamed: bool, several: bool) -> list[Any]:
    serializer = dataset.serializer(streamed=streamed, several=several)
    path = OpenApiParameter("symbol", OpenApiTypes.STR, OpenApiParameter.PATH)
    return [serializer] if several else [serializer, path]


def _page(dataset: MarketDataset, *, several: bool) -> Schema:
    symbol = {"symbols": _SYMBOLS} if several else {"symbol": _SYMBOL}
    columns = (OutColumn("symbol", ColumnRole.TEXT), *dataset.columns) if several else dataset.columns
    parameters = dataset.serializer(streamed=False, several=several).fields
    return _object(
        {
            **symbol,
            **(
                {"resolution": {"type": "string", "enum": Resolution.names()}}
                if _has_resolution(dataset)
                else {}
            ),
            dataset.rows_name: {"type": "array", "items": _row(columns)},
            **({"absences": {"type": "array", "items": _ABSENCE}} if "coverage" in parameters else {}),
            **({"knowledge": _KNOWLEDGE} if "knowledge" in parameters else {}),
            **({"not_applied": _NOT_APPLIED} if "adjustment" in dataset.own else {}),
            "next_cursor": _CURSOR,
            "prev_cursor": _CURSOR,
            "total_estimate": {"type": "integer", "description": "An upper bound of the number of rows."},
            "reason": {"type": "string", "description": "Why there are no rows."},
        },
        required=(*symbol, dataset.rows_name, "next_cursor", "prev_cursor", "total_estimate"),
    )


def _has_resolution(dataset: MarketDataset) -> bool:
    """Return whether pages say their resolution, as those of intervals and samples do."""
    return "resolution" in dataset.own and not dataset.of_instants


def _row(columns: Iterable[OutColumn]) -> Schema:
    properties = {column.name: _TYPES[column.role] for column in columns}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _example_page(market_class: MarketClass, dataset: MarketDataset, *, several: bool) -> dict[str, Any]:
    symbol = _EXAMPLE_SYMBOLS[market_class.path]
    has_resolution = _has_resolution(dataset) and not dataset.resolution.is_tick
    row = _example_row(dataset.columns) | _EXAMPLES_OF_DATASET.get(dataset.name, {})
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
