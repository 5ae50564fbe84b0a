"""How the OpenAPI document describes the ingest of a dataset, made from its declaration."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter

from store.declarations import Dataset
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.batches.serializers import IngestAnswerSerializer, batch_serializer
from trades.formats.registry import JSON, READERS
from trades.ingest.query import DEDUPE_CHOICES, UNKNOWN_CHOICES

_PARAMETERS = [
    OpenApiParameter(
        "dedupe",
        enum=DEDUPE_CHOICES,
        default="rows",
        description="How rows that are stored already are recognised: row by row, only as whole batches, or never.",
    ),
    OpenApiParameter(
        "unknown",
        enum=UNKNOWN_CHOICES,
        default="refuse",
        description="`ignore` passes over fields that are not known, so that a vendor's new field does not stop a feed.",
    ),
    OpenApiParameter(
        "symbol",
        description="The rows' symbol, where they need not name it; not with `application/json`.",
    ),
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        location=OpenApiParameter.HEADER,
        description="1-255 visible ASCII characters. The same key and batch give the first answer again.",
    ),
]
_COUNTS = ("no", "One", "Two", "Three")


def ingest_schema(dataset: Dataset) -> dict[str, Any]:
    """The arguments of `extend_schema`."""
    what = dataset.name.replace("_", " ")
    return {
        "operation_id": f"{dataset.name}_ingest",
        "summary": f"Store a batch of {what}",
        "description": _description(dataset, what),
        "parameters": [*_PARAMETERS, *_query_column(dataset)],
        "request": {media_type: _body(dataset, media_type) for media_type in READERS},
        "responses": {200: IngestAnswerSerializer},
        "examples": _examples(dataset, what),
    }


def _description(dataset: Dataset, what: str) -> str:
    text = f"Store a batch of {what} of one symbol, durably and all of it, or nothing.\n\n"
    if not dataset.id_columns:
        known_by = "by all their columns"
    elif dataset.column(dataset.id_columns[-1]).required:
        names = ", ".join(f"`{name}`" for name in dataset.id_columns)
        return f"{text}Rows that are stored already are recognised by {names}; other values of them are a conflict."
    else:
        names = ", ".join(
            f"`{name}`" if name == dataset.id_columns[-1] else name for name in dataset.id_columns
        )
        known_by = f"by (event date, {names}), or without an id by all their columns"
    return (
        f"{text}Rows that are stored already are recognised: {known_by}, counted as a multiset. **A feed without ids"
        " must not split equal rows over requests**, or says `dedupe=batch` or `dedupe=none`: real prints do repeat."
    )


def _query_column(dataset: Dataset) -> list[OpenApiParameter]:
    if dataset.query_column is None:
        return []
    column = dataset.column(dataset.query_column)
    words = [*column.choices, *(alias for alias, _ in column.aliases)]
    text = f"The rows' {column.name}, where they need not name it."
    return [OpenApiParameter(column.name, enum=words, description=text)]


def _body(dataset: Dataset, media_type: str) -> Any:
    """A serializer for JSON; the other formats have the same fields and no schema language of their own."""
    if media_type == JSON:
        return batch_serializer(dataset)
    if media_type == "text/csv":
        first, *others = dataset.schema.names
        return {"type": "string", "description": "Header line of " + ", ".join([first, "symbol", *others])}
    return {"type": "string", "format": "binary"}


def _examples(dataset: Dataset, what: str) -> list[OpenApiExample]:
    """A view's examples take the place of its serializer's."""
    rows = SAMPLE_ROWS[dataset.name]
    count, symbol = len(rows), rows[0]["symbol"]
    answer = {
        "symbol": symbol,
        "received": count,
        "stored": count,
        "duplicates": 0,
        "duplicate_rows": [],
        "commit": 1,
    }
    return [
        OpenApiExample(
            f"{what.capitalize()} of {symbol}", value={dataset.name: rows}, request_only=True, media_type=JSON
        ),
        OpenApiExample(
            f"{_COUNTS[count]} stored",
            value=answer,
            response_only=True,
            status_codes=["200"],
            media_type=JSON,
        ),
    ]
