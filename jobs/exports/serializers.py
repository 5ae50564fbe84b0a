"""The body of the endpoint that submits exports, and its answers' documents."""

from typing import Annotated, Any, ClassVar

from drf_spectacular.drainage import set_override
from rest_framework import serializers

from jobs.exports.query import DEFAULT_CLASS, EXPORT_FORMATS, EXPORTED, PARAMETER_NAMES, PARQUET
from jobs.serializers import JOB, JobSerializer, SubmissionSerializer
from stats.market_data.query import MARKET_CLASSES
from stats.parameters import MEMBERS_LIMIT
from web.documents import AnswerDocument, Instant, like
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Integer, JsonObject, Text, Word

_WEEK: JsonObject = {
    "dataset": "trades",
    "symbols": ["AAPL", "MSFT"],
    "start": "2025-01-02",
    "end": "2025-01-09",
    "format": PARQUET,
}
FILE: JsonObject = {
    "path": "trades/symbol=AAPL/date=2025-01-02/part-0.parquet",
    "rows": 48_211,
    "bytes": 612_004,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "link": f"/api/v1/exports/{JOB['id']}/files/trades/symbol%3DAAPL/date%3D2025-01-02/part-0.parquet",
}


DATASET: JsonObject = {
    "id": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
    "dataset": "trades",
    "class": DEFAULT_CLASS,
    "format": PARQUET,
    "query": {"start": "2025-01-02", "end": "2025-01-09"},
    "commits": {"AAPL": "trades=17-9f3a2c", "MSFT": "trades=5-0b77e1"},
    "rows": 48_211,
    "files": 2,
    "versions": {
        "program": "1.0.0",
        "calendars": "5.5.0-4.13.2-1f0c9a3e",
        "pyarrow": "25.0.0",
        "numpy": "2.4.1",
    },
    "again": {**_WEEK, "class": DEFAULT_CLASS, "as_of": "2025-01-09T08:00:00Z"},
}


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

    dataset = Word([*EXPORTED])
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
        dataset = EXPORTED[attrs["dataset"]]
        if attrs["class"] not in dataset.classes:
            message = f"has no {dataset.name}; classes that have: {', '.join(dataset.classes)}"
            raise field_refusal("class", message, "invalid_choice")
        for name in {*PARAMETER_NAMES} & attrs.keys() - {*dataset.parameters(streamed=True, several=False)}:
            raise field_refusal(name, f"is no parameter of {dataset.name}", "unknown_field")
        return attrs


class ExportFileSerializer(serializers.Serializer[Any]):
    """A file of an export."""

    path = serializers.CharField()
    rows = serializers.IntegerField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Of the file's bytes.")
    link = serializers.CharField()


class ExportSerializer(JobSerializer):
    """An export's job, with its files."""

    examples: ClassVar = {
        "An export": {
            **JOB,
            "kind": "export",
            "state": "succeeded",
            "parameters": {**_WEEK, "class": DEFAULT_CLASS, "as_of": "2025-01-09T08:00:00Z"},
            "result": {"dataset": DATASET["id"], "rows": 48_211, "bytes": 612_911, "files": 2},
            "files": [FILE],
        }
    }  # fmt: skip

    files = ExportFileSerializer(
        many=True, help_text="[] until the job has succeeded; the first thousand. `manifest.json` lists all."
    )


class DataSetSerializer(serializers.Serializer[Any]):
    """A data set: what an export held."""

    examples: ClassVar = {"Trades": DATASET}

    id = serializers.CharField()
    dataset = serializers.CharField()
    format = serializers.CharField()
    query = serializers.DictField(help_text="The parameters of the dataset's stream.")
    commits = serializers.DictField(help_text="Of each symbol's logs.")
    rows = serializers.IntegerField()
    files = serializers.IntegerField(help_text="Without the manifest.")
    versions = serializers.DictField(child=serializers.CharField())
    again = serializers.DictField(help_text="The body of `POST /exports` that makes the same files.")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with one that cannot be an attribute."""
        return {**super().get_fields(), "class": serializers.CharField()}


class LinkRequestSerializer(KnownFieldsSerializer):
    """The file for which a link is made, and for how long."""

    examples: ClassVar = {"For a day": {"path": FILE["path"], "expires_in": 86_400}}

    path = Text(max_length=500)
    expires_in = Integer(
        min_value=1, max_value=604_800, default=3_600, help_text="Seconds until it expires, at most a week."
    )


class LinkDocument(AnswerDocument):
    """A link to a file."""

    url: Annotated[str, like("http://127.0.0.1:8000/api/v1/downloads?token=WyI1ZjBjMWI1Mi0….kW9oT1x2")]
    expires_at: Annotated[Instant, like("2030-01-03T03:04:05Z")]
