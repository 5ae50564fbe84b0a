"""The body of the endpoint that begins uploads, and the documents of its answers."""

from pathlib import PurePath
from typing import Annotated, Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.claims import PATH
from jobs.documents import JOB_ID
from jobs.serializers import SubmissionSerializer
from store.datasets import DATASETS
from trades.exceptions import ImportRefused
from web.documents import AnswerDocument, Uuid, about, like
from web.requests.json_fields import Integer, JsonObject, Object, Pattern, Text, Word

# Formats of files, by the ends of their names.
FILE_FORMATS = ("csv", "ndjson", "arrow", "parquet")
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_LARGEST = 2**50
_NAME_BYTES = 200
_BEGIN: JsonObject = {"format": "csv", "size": 734_003_200, "sha256": _SHA256, "dataset": "trades"}


@extend_schema_field({"type": "object", "additionalProperties": {"type": ["string", "boolean"]}})
class ImportOptionsField(Object):
    """Texts by name, or true."""


class UploadRequestSerializer(SubmissionSerializer):
    """A file that will be sent: its format and size, and how it is read."""

    examples: ClassVar = {"A file of trades": _BEGIN}

    format = Word(FILE_FORMATS, required=False)
    name = Text(
        max_length=_NAME_BYTES,
        required=False,
        help_text="The file's name, instead of `format`. Its end tells the format; without a column of symbols the rest is the symbol.",
    )
    size = Integer(
        min_value=1, max_value=_LARGEST, help_text="Bytes of the whole file; at most `MAX_UPLOAD_BYTES`."
    )
    sha256 = Pattern("[0-9a-f]{64}", "64 hexadecimal digits", max_length=64, required=False)
    dataset = Word([*DATASETS], required=False, help_text="Default: the one that the columns tell.")
    symbol = Text(max_length=33, required=False, help_text="Of all rows. Default: the file's column.")
    options = ImportOptionsField(default=dict, help_text="Options of `manage.py import`, such as `timezone`.")

    def validate_size(self, size: int) -> int:
        if size > settings.MAX_UPLOAD_BYTES:
            message = f"must be at most {settings.MAX_UPLOAD_BYTES:,}; send several files"
            raise serializers.ValidationError(message, code="max_value")
        return size

    def validate_name(self, name: str) -> str:
        is_name = PurePath(name).name == name and name.isprintable() and len(name.encode()) <= _NAME_BYTES
        if not is_name:
            message = f"must be a name without folders, of at most {_NAME_BYTES} bytes in UTF-8"
            raise serializers.ValidationError(message, code="invalid")
        return name

    def validate(self, attrs: Any) -> Any:
        """Refuse names and options that the command refuses, and two ways to tell the dataset or the format."""
        if ("format" in attrs) == ("name" in attrs):
            message = "is told by the file's name or without it: give one of format and name"
            raise serializers.ValidationError({"format": [message]}, code="invalid")
        from jobs.uploads.importing import check_name, command_options  # noqa: PLC0415 (imports pyarrow)

        try:
            check_name(attrs.get("name", "(upload).csv"))
        except ImportRefused as error:
            raise serializers.ValidationError({"name": [str(error)]}, code="invalid") from error
        try:
            command_options(attrs)
        except ImportRefused as error:
            raise serializers.ValidationError({"options": [str(error)]}, code="invalid") from error
        return attrs


class UploadDocument(AnswerDocument):
    """An upload: how much of its file has arrived."""

    id: Annotated[Uuid, about("Its job has the same id.", JOB_ID)]
    offset: Annotated[int, about("The bytes that have arrived.", 33_554_432)]
    size: Annotated[int, like(734_003_200)]
    complete: Annotated[bool, about("Whether nothing is left to send; its job tells the rest.")]
    job: Annotated[str, about("The path of its job.", f"{PATH}/{JOB_ID}")]
