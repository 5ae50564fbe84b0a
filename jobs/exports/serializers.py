"""The body of the endpoint that submits exports, and its answers' documents."""

from typing import Any, ClassVar

from drf_spectacular.drainage import set_override
from rest_framework import serializers

from jobs.exports.query import DEFAULT_CLASS, EXPORT_FORMATS, EXPORTED, PARAMETER_NAMES, PARQUET
from jobs.serializers import JOB, JobSerializer, SubmissionSerializer
from stats.market_data.query import MARKET_CLASSES
from stats.parameters import MEMBERS_LIMIT
from web.requests.json_fields import JsonObject, Text, Word

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


class ParameterField(serializers.Field[Any, Any, Any, Any]):
    """A parameter as it stands in a query string: a text, or a number. The dataset's stream checks it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, help_text="As the parameter of the dataset's stream.", **options)
        set_override(self, "field", {"type": ["string", "number"]})

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            raise serializers.ValidationError("must be a text or a number", code="invalid_type")
        return data


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
        fields = {"class": market_class} | {name: ParameterField() for name in PARAMETER_NAMES}
        names: Any = serializers.ListField(
            child=Text(max_length=64), required=False, min_length=1, max_length=64,
            help_text="Only these columns, in this order.",
        )  # fmt: skip
        return {**super().get_fields(), **fields, "fields": names}

    def validate(self, attrs: Any) -> Any:
        """Refuse a dataset that the class lacks."""
        classes = EXPORTED[attrs["dataset"]].classes
        if attrs["class"] not in classes:
            message = f"has no {attrs['dataset']}; classes that have: {', '.join(classes)}"
            raise serializers.ValidationError({"class": [message]}, code="invalid_choice")
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
            "result": {"dataset": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c", "rows": 48_211, "bytes": 612_911, "files": 2},
            "files": [FILE],
        }
    }  # fmt: skip

    files = ExportFileSerializer(
        many=True, help_text="[] until the job has succeeded; the first thousand. `manifest.json` lists all."
    )
