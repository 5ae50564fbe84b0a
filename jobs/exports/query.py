"""What an export holds: the body of the call, the query for the rows of each symbol, and the answers' documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import quote, urlencode

import msgspec
from drf_spectacular.drainage import set_override
from rest_framework import serializers

from jobs.documents import JOB_ID, JobDocument, JobState, ObjectOrNull
from jobs.serializers import SubmissionSerializer
from stats.market_data.answers.page import page_snapshot, queried_symbols, selected_columns
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import (
    MARKET_CLASSES,
    MarketDataQuery,
    MarketDataset,
    parse_query,
)
from stats.rendering.formats import FORMATS
from stats.universes import MEMBERS_LIMIT, known_members
from store.timestamps import format_timestamp
from trades.instruments.services import requested_symbol
from web.documents import AnswerDocument, Instant, about, like
from web.requests.exceptions import InvalidParameter
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Integer, JsonObject, Text, Word

PARQUET = "parquet"
EXPORT_FORMATS = (PARQUET, *(name for name, each in FORMATS.items() if each.stream is not None))
DEFAULT_CLASS = "equities"
_UNIVERSE_MARK = "@"
# Files have all rows, in the order of time, with times as their format writes them.
_NOT_OF_EXPORTS = {"sort", "time", "trailer"}
PARAMETER_NAMES = tuple(
    dict.fromkeys(
        name
        for dataset in MARKET_DATASETS.values()
        for name in dataset.parameters(streamed=True, several=False)
        if name not in _NOT_OF_EXPORTS
    )
)


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """An export's dataset, symbols and format, and the parameters of the query for each symbol's rows.

    parameters: those of the dataset's stream, as its query string has them.
    """

    dataset: MarketDataset
    market_class: str
    symbols: tuple[str, ...]
    format: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the query of a request's body, or of a job's parameters."""
        return cls(
            MARKET_DATASETS[document["dataset"]],
            document["class"],
            tuple(document["symbols"]),
            document["format"],
            tuple((name, _text(document[name])) for name in PARAMETER_NAMES if name in document),
        )

    @property
    def is_by_date(self) -> bool:
        """Whether a symbol has a file for each UTC date: of Parquet, if rows are closer together than a day."""
        resolution = self.of_symbol(self.symbols[0]).resolution
        is_short = not resolution.is_period and not self.dataset.of_instants
        return self.format == PARQUET and is_short

    def of_symbol(self, symbol: str) -> MarketDataQuery:
        """Return the query for the rows of one symbol. Raises `InvalidParameter` and `InvalidValue`."""
        query_string = urlencode(self.parameters)
        return parse_query(self.dataset, self.market_class, symbol, query_string, streamed=True)


def export_parameters(document: JsonObject, *, now_ns: int) -> JsonObject:
    """Return the parameters of the job that makes an export: all that a later attempt needs to make the same bytes.

    `as_of` becomes now, if it is not earlier. Symbols become canonical, a universe its members that are known, so that
    there is nothing left to look up by name. Raises what a page of the same rows raises.
    """
    query = ExportQuery.of(document)
    first = query.of_symbol("A")
    as_of_ns = now_ns if first.as_of_ns is None else min(first.as_of_ns, now_ns)
    symbols = _resolved(query.symbols, first, as_of_ns)
    made = {name: value for name, value in document.items() if name != "symbol_as_of"}
    made |= {"symbols": list(symbols), "as_of": format_timestamp(as_of_ns)}
    query = ExportQuery.of(made)
    for symbol in symbols:
        page = page_snapshot(query.of_symbol(symbol), now_ns=now_ns)
        selected_columns(page.source.columns, page.query.fields)
    return made


def _resolved(names: Sequence[str], query: MarketDataQuery, as_of_ns: int) -> tuple[str, ...]:
    """Return the canonical symbols of names, or the known members of a universe as of an instant."""
    universes = [name.removeprefix(_UNIVERSE_MARK) for name in names if name.startswith(_UNIVERSE_MARK)]
    if not universes:
        return queried_symbols(replace(query, symbols=tuple(map(requested_symbol, names))))
    if len(names) > 1:
        raise InvalidParameter("invalid_parameter", 'symbols: a universe stands alone, as in ["@SP500"]')
    universe = requested_symbol(universes[0])
    if not query.market_class.has_instruments:
        raise InvalidParameter(
            "invalid_parameter", f"symbols: {query.market_class.path} have no instruments, so no @{universe}"
        )
    return known_members(
        universe,
        start_ns=query.start_ns,
        end_ns=query.end_ns,
        as_of_ns=as_of_ns,
        symbol_as_of_ns=query.symbol_as_of_ns,
    )


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


_WEEK: JsonObject = {
    "dataset": "trades",
    "symbols": ["AAPL", "MSFT"],
    "start": "2025-01-02",
    "end": "2025-01-09",
    "format": PARQUET,
}
DATASET_ID = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"
FILE_PATH = "trades/symbol=AAPL/date=2025-01-02/part-0.parquet"
_PARAMETERS: JsonObject = {**_WEEK, "class": DEFAULT_CLASS, "as_of": "2025-01-09T08:00:00Z"}


def _parameter() -> serializers.CharField:
    """Return the field of a parameter as it stands in a query string: a text, or a number. The dataset's stream checks it."""
    field = serializers.CharField(
        required=False, allow_blank=True, help_text="As the parameter of the dataset's stream."
    )
    set_override(field, "field", {"type": ["string", "number"]})
    return field


class ExportRequestSerializer(SubmissionSerializer):
    """What to export: the rows of a dataset for symbols or for a universe's members, in a format."""

    examples: ClassVar = {"A week of trades": _WEEK}

    dataset = Word([*MARKET_DATASETS])
    symbols = serializers.ListField(
        child=Text(max_length=33),
        min_length=1,
        max_length=MEMBERS_LIMIT,
        help_text='Or `["@SP500"]`: the known members of a universe.',
    )
    format = Word(EXPORT_FORMATS, default=PARQUET)

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with those that cannot be attributes: the class, and the streams' parameters."""
        help_text = "As in the path of market data."
        market_class = Word([*MARKET_CLASSES], default=DEFAULT_CLASS, help_text=help_text)
        fields = {"class": market_class} | {name: _parameter() for name in PARAMETER_NAMES}
        names: Any = serializers.ListField(
            child=Text(max_length=64), required=False, min_length=1, max_length=64,
            help_text="Only these columns, in this order.",
        )  # fmt: skip
        return {**super().get_fields(), **fields, "fields": names}

    def validate(self, attrs: Any) -> Any:
        """Refuse a dataset that the class lacks, and parameters that the dataset lacks."""
        dataset = MARKET_DATASETS[attrs["dataset"]]
        if attrs["class"] not in dataset.classes:
            message = f"has no {dataset.name}; classes that have: {', '.join(dataset.classes)}"
            raise field_refusal("class", message, "invalid_choice")
        for name in {*PARAMETER_NAMES} & attrs.keys() - {*dataset.parameters(streamed=True, several=False)}:
            raise field_refusal(name, f"is no parameter of {dataset.name}", "unknown_field")
        return attrs


class ExportFileDocument(AnswerDocument):
    """A file of an export."""

    path: Annotated[str, like(FILE_PATH)]
    rows: Annotated[int, like(48_211)]
    bytes: Annotated[int, like(612_004)]
    sha256: Annotated[
        str, about("Of the file's bytes.", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    ]
    link: Annotated[str, like(f"/api/v1/exports/{JOB_ID}/files/{quote(FILE_PATH)}")]


class ExportDocument(JobDocument, kw_only=True):
    """An export's job, with its files."""

    kind: Annotated[str, like("export")]
    state: Annotated[JobState, like("succeeded")]
    parameters: Annotated[JsonObject, about("As they were submitted.", _PARAMETERS)]
    result: Annotated[
        ObjectOrNull, like({"dataset": DATASET_ID, "rows": 48_211, "bytes": 612_911, "files": 2})
    ]
    files: Annotated[
        list[ExportFileDocument],
        about("[] until the job has succeeded; the first thousand. `manifest.json` lists all."),
    ]


class DataSetDocument(AnswerDocument):
    """A data set: what an export held."""

    id: Annotated[str, like(DATASET_ID)]
    dataset: Annotated[str, like("trades")]
    market_class: Annotated[str, like(DEFAULT_CLASS)] = msgspec.field(name="class")
    format: Annotated[str, like(PARQUET)]
    query: Annotated[
        JsonObject,
        about("The parameters of the dataset's stream.", {"start": "2025-01-02", "end": "2025-01-09"}),
    ]
    commits: Annotated[
        JsonObject,
        about("Of each symbol's logs.", {"AAPL": "trades=17-9f3a2c", "MSFT": "trades=5-0b77e1"}),
    ]
    rows: Annotated[int, like(48_211)]
    files: Annotated[int, about("Without the manifest.", 2)]
    versions: Annotated[
        dict[str, str], like({"program": "1.0.0", "calendars": "5.5.0-4.13.2-1f0c9a3e", "pyarrow": "25.0.0"})
    ]
    again: Annotated[JsonObject, about("The body of `POST /exports` that makes the same files.", _PARAMETERS)]


class LinkRequestSerializer(KnownFieldsSerializer):
    """The file for which a link is made, and for how long."""

    examples: ClassVar = {"For a day": {"path": FILE_PATH, "expires_in": 86_400}}

    path = Text(max_length=500)
    expires_in = Integer(
        min_value=1, max_value=604_800, default=3_600, help_text="Seconds until it expires, at most a week."
    )


class LinkDocument(AnswerDocument):
    """A link to a file."""

    url: Annotated[str, like("http://127.0.0.1:8000/api/v1/downloads?token=WyI1ZjBjMWI1Mi0….kW9oT1x2")]
    expires_at: Annotated[Instant, like("2030-01-03T03:04:05Z")]
