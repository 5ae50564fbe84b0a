"""The ingest endpoints: one route per dataset."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import pyarrow as pa
from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from store.datasets import TRADES
from store.declarations import Dataset
from store.protocol import CLOCKS_APART_NS, Dedupe
from store.timestamps import InvalidTimestamp, parse_timestamp_or_epoch
from trades.batches.row_batch import BatchOptions, RowBatch
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.batches.serializers import BatchSerializer, IngestAnswerSerializer
from trades.batches.validation import column_rule
from trades.batches.value_rules import Fault
from trades.conditions import CONDITION_MAPS
from trades.conditions.condition_map import ConditionMap
from trades.decoder import decoded
from trades.exceptions import BatchRefused
from trades.formats import CSV, JSON, READERS, WITHOUT_SYMBOLS
from trades.formats.csv_body import lines_named
from trades.instruments.services import allows_nonpositive_price, log_name, requested_symbol
from trades.services import rows_ingest
from web.endpoints import WRITE, Access
from web.idempotency.answers import REPLAYED, idempotency_key, key_scope
from web.requests.exceptions import InvalidParameter
from web.requests.nearest_name import LONGEST_SHOWN
from web.requests.parameters import choice, single_parameters
from web.requests.parsers import (
    ArrowBytesParser,
    CSVBytesParser,
    JSONBytesParser,
    LinesBytesParser,
    MessagePackBytesParser,
    media_type_of,
    take_body,
)
from web.requests.work import WorkKind, count_work
from web.requests.wsgi_variables import BODY_DECODED
from web.routed_views import RoutedViewSet

DEDUPE_CHOICES = [dedupe.value for dedupe in Dedupe]
UNKNOWN_CHOICES = ["refuse", "ignore"]
CONFLICT_CHOICES = ["refuse", "replace"]


@dataclass(frozen=True, slots=True)
class IngestQuery:
    """The query parameters of an ingest request.

    given: by column, the value of rows without one. conditions: the map of the rows' condition codes, or None.
    complete_until_ns: nanoseconds UTC, or None. replaces: see `Append`.
    """

    dedupe: Dedupe
    ignore_unknown: bool
    given: Mapping[str, str]
    conditions: ConditionMap | None
    complete_until_ns: int | None
    replaces: bool

    @classmethod
    def parse(cls, query: QueryDict, dataset: Dataset, *, takes_symbol: bool) -> Self:
        """Parse the query. Raises `InvalidParameter`, and `InvalidValue` for an invalid symbol."""
        if "symbol" in query and not takes_symbol:
            raise InvalidParameter(
                "unknown_parameter",
                "the parameter symbol is for the other formats: in JSON every row names its symbol",
            )
        of_rows = [name for name in ("symbol" if takes_symbol else None, dataset.query_column) if name]
        maps = condition_maps(dataset)
        taken: tuple[str, ...] = ("conditions",) if maps else ()
        taken += ("on_conflict",) if dataset.takes_replacements else ()
        values = single_parameters(query, ("dedupe", "unknown", "format", "complete_until", *taken, *of_rows))
        replaces = choice(values, "on_conflict", CONFLICT_CHOICES, "refuse") == "replace"
        if replaces and values.get("dedupe", Dedupe.ROWS) != Dedupe.ROWS:
            raise InvalidParameter(
                "conflicting_parameters", "on_conflict=replace recognises rows: leave out dedupe"
            )
        return cls(
            dedupe=Dedupe(choice(values, "dedupe", DEDUPE_CHOICES, Dedupe.ROWS)),
            ignore_unknown=choice(values, "unknown", UNKNOWN_CHOICES, "refuse") == "ignore",
            given={name: _given(values, dataset, name) for name in of_rows if name in values},
            conditions=maps[choice(values, "conditions", [*maps], "")] if "conditions" in values else None,
            complete_until_ns=_complete_until(values),
            replaces=replaces,
        )


def condition_maps(dataset: Dataset) -> dict[str, ConditionMap]:
    """Return the maps that have codes of a dataset's rows, by name."""
    return {name: each for name, each in CONDITION_MAPS.items() if dataset.name in each.codes}


def _given(values: dict[str, str], dataset: Dataset, name: str) -> str:
    """Return the query's value for the rows, normalized."""
    if name == "symbol":
        return requested_symbol(values[name])
    found = column_rule(dataset.column(name)).convert_and_check(values[name])
    if isinstance(found, Fault):
        raise InvalidParameter(
            "invalid_parameter", f"{name} {found.message}, not {values[name][:LONGEST_SHOWN]!r}"
        )
    return str(found)


def _complete_until(values: Mapping[str, str]) -> int | None:
    """Return the parameter's instant, nanoseconds UTC; None if it is absent. Raises `BatchRefused` for the future."""
    text = values.get("complete_until")
    if text is None:
        return None
    try:
        instant_ns = parse_timestamp_or_epoch(text)
    except InvalidTimestamp as error:
        raise InvalidParameter(error.code, f"complete_until: {text[:64]!r}: {error}") from error
    if instant_ns > time.time_ns() + CLOCKS_APART_NS:
        raise BatchRefused(
            "complete_until_ahead",
            f"complete_until={text} is in the future: send it once everything before it was sent",
        )
    return instant_ns


def _without_rows(query: IngestQuery, dataset: Dataset) -> RowBatch:
    """Return the batch of an empty body with `complete_until`. Raises `InvalidParameter` without a symbol."""
    if "symbol" not in query.given:
        raise InvalidParameter(
            "missing_parameter", "symbol is required if complete_until is sent without a body"
        )
    no_rows = pa.RecordBatch.from_pylist([], schema=dataset.schema)
    return RowBatch(log_name(dataset, query.given["symbol"]), no_rows)


_PARAMETERS = [
    OpenApiParameter(
        "dedupe",
        enum=DEDUPE_CHOICES,
        default="rows",
        description="Whether stored rows are recognised.",
    ),
    OpenApiParameter(
        "unknown",
        enum=UNKNOWN_CHOICES,
        default="refuse",
        description="`ignore` skips unknown fields, so that a vendor's new field does not stop a feed.",
    ),
    OpenApiParameter(
        "symbol",
        description="The symbol of rows that do not name it; not with a body of `application/json`.",
    ),
    OpenApiParameter(
        "complete_until",
        description="The feed has sent all rows before this instant. Bars that end by then become final. With an"
        " empty body (and `symbol`) only this is stored.",
    ),
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        location=OpenApiParameter.HEADER,
        description="1-255 visible ASCII characters. The same key and batch give the first answer again.",
    ),
]
_ON_CONFLICT = OpenApiParameter(
    "on_conflict",
    enum=CONFLICT_CHOICES,
    default="refuse",
    description="`replace` corrects a stored row with the same identity and other values, as a feed needs that sends"
    " the open candle again. The answer counts `replaced`; `as_of` shows the earlier values. At most 10,000 rows.",
)
_COUNTS = ("no", "One", "Two", "Three")


def ingest_schema(dataset: Dataset) -> dict[str, Any]:
    """Return the arguments of `extend_schema` for a dataset's endpoint."""
    what = dataset.name.replace("_", " ")
    return {
        "operation_id": f"{dataset.name}_ingest",
        "summary": f"Store a batch of {what}",
        "description": _description(dataset, what),
        "parameters": [
            *_PARAMETERS,
            *_conditions(dataset),
            *_query_column(dataset),
            *([_ON_CONFLICT] if dataset.takes_replacements else []),
        ],
        "request": {media_type: _body(dataset, media_type) for media_type in READERS},
        "responses": {200: IngestAnswerSerializer},
        "examples": _examples(dataset, what),
    }


def _description(dataset: Dataset, what: str) -> str:
    text = f"Store a batch of {what} of one symbol durably, all of it or nothing.\n\n"
    if not dataset.id_columns:
        known_by = "by all their columns"
    elif dataset.column(dataset.id_columns[-1]).required:
        names = ", ".join(f"`{name}`" for name in dataset.id_columns)
        return f"{text}Stored rows are recognised by {names}; sending other values for them is a conflict."
    else:
        names = ", ".join(
            f"`{name}`" if name == dataset.id_columns[-1] else name for name in dataset.id_columns
        )
        known_by = f"by (event date, {names}), or without an id by all their columns"
    return (
        f"{text}Stored rows are recognised {known_by}, counted as a multiset. **A feed without ids must keep"
        " equal rows in one request**, or send `dedupe=none`: real prints do repeat."
    )


def _conditions(dataset: Dataset) -> list[OpenApiParameter]:
    maps = condition_maps(dataset)
    text = "The vendor whose condition codes the rows have; they are stored as words of the bar policies."
    return [OpenApiParameter("conditions", enum=[*maps], description=text)] if maps else []


def _query_column(dataset: Dataset) -> list[OpenApiParameter]:
    if dataset.query_column is None:
        return []
    column = dataset.column(dataset.query_column)
    text = f"The {column.name} of rows that do not name it."
    return [OpenApiParameter(column.name, column_rule(column).schema, description=text)]


def _body(dataset: Dataset, media_type: str) -> Any:
    """Return the body's schema: a serializer for JSON; OpenAPI cannot describe the other formats' fields."""
    if media_type == JSON:
        return BatchSerializer(dataset=dataset)
    if media_type == CSV:
        first, *others = dataset.schema.names
        return {"type": "string", "description": "Header line of " + ", ".join([first, "symbol", *others])}
    return {"type": "string", "format": "binary"}


def _examples(dataset: Dataset, what: str) -> list[OpenApiExample]:
    """Return the examples of a request and its answer; they replace the serializer's."""
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


# Shared by all requests: making a serializer takes six times as long as using it.
_ANSWERS = IngestAnswerSerializer()


class IngestViewSet(RoutedViewSet):
    """Takes batches of a dataset's rows. dataset: the route's."""

    tag = "ingest"
    access = {"ingest": Access("market:write", kind=WRITE, cost="batch", body_bytes=settings.MAX_BODY_BYTES)}
    dataset: Dataset = TRADES
    # One for each of READERS
    parser_classes = [
        JSONBytesParser,
        LinesBytesParser,
        CSVBytesParser,
        MessagePackBytesParser,
        ArrowBytesParser,
    ]

    def described(self) -> dict[str, Any]:
        """See `RoutedViewSet`."""
        return ingest_schema(self.dataset)

    def get_serializer(self, *args: Any, **options: Any) -> BatchSerializer:
        """Return the serializer of a batch of the dataset's rows."""
        return BatchSerializer(*args, dataset=self.dataset, **options)

    def ingest(self, request: Request) -> Response:
        """Read the body in its format, store its rows, answer with the result."""
        media_type, body = media_type_of(request.content_type), take_body(request)
        is_declaration = not body and "complete_until" in request.GET
        if body and media_type not in READERS:  # `text/*` has a parser, but no reader
            raise UnsupportedMediaType(media_type)
        takes_symbol = is_declaration or media_type in WITHOUT_SYMBOLS
        query = IngestQuery.parse(request.GET, self.dataset, takes_symbol=takes_symbol)
        request_key = idempotency_key(request)
        canonical = partial(log_name, self.dataset)
        options = BatchOptions(
            self.dataset, query.ignore_unknown, query.given, canonical, allows_nonpositive_price
        )
        count_work(WorkKind.BYTES, len(body))
        with lines_named(body) if media_type == CSV else nullcontext():
            if is_declaration:
                batch = _without_rows(query, self.dataset)
            else:
                batch = decoded(
                    READERS.get(media_type, READERS[JSON]),
                    body,
                    options,
                    request.META.get(BODY_DECODED),
                )
            ingested = rows_ingest(
                dataset=self.dataset,
                batch=batch,
                caller=key_scope(request),
                dedupe=query.dedupe,
                request_key=request_key,
                conditions=query.conditions,
                complete_until_ns=query.complete_until_ns,
                replaces=query.replaces,
            )
        headers = {"X-Commit": f"{self.dataset.name}={ingested.receipt.commit.token}"}
        if ingested.receipt.replayed:
            headers.update(REPLAYED)
        return Response(_ANSWERS.to_representation(ingested), headers=headers)
