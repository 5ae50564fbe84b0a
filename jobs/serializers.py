"""The answer documents of jobs, with an example for the schema, and the bases of the bodies that submit jobs."""

from typing import Any, ClassVar

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.models import STATES
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from trades.exceptions import InvalidValue
from trades.instruments.services import requested_symbol, symbol_canonical
from web.documents import AnswerDocument
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Instant, Text
from webhooks.serializers import TargetUrl

JOB: dict[str, Any] = {
    "id": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "kind": "backfill",
    "state": "running",
    "progress": {"done": 3, "total": 8, "unit": "gaps"},
    "parameters": {"symbols": ["AAPL"]},
    "result": None,
    "error": None,
    "preview": None,
    "confirm_before": None,
    "created_by": "key:12",
    "created_at": "2030-01-02T03:04:05Z",
    "started_at": "2030-01-02T03:04:05.250000Z",
    "finished_at": None,
    "attempts": 1,
    "cancel_requested": False,
    "links": {
        "self": "/api/v1/jobs/5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
        "cancel": "/api/v1/jobs/5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11/cancel",
    },
}


@extend_schema_field({"type": ["object", "null"]})
class _ObjectOrNull(serializers.JSONField):
    """A JSON object or null."""


class ResultField(_ObjectOrNull):
    """The result of a job of one kind: a document, or null until the job has succeeded."""

    def __init__(self, document: type[AnswerDocument]) -> None:
        super().__init__(allow_null=True, help_text="null until the job has succeeded.")
        set_override(self, "field", document)


class ProgressSerializer(serializers.Serializer[Any]):
    """How much of a job is done."""

    done = serializers.IntegerField(help_text="In `unit`.")
    total = serializers.IntegerField(allow_null=True, help_text="null while it is unknown.")
    unit = serializers.CharField()


class JobSerializer(serializers.Serializer[Any]):
    """A job."""

    examples: ClassVar = {"A job": JOB}

    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.ChoiceField(list(STATES))
    progress = ProgressSerializer()
    parameters = serializers.DictField(help_text="As they were submitted.")
    result = _ObjectOrNull(
        help_text="null until the job has succeeded. Lists have null for kinds with large results."
    )
    error = _ObjectOrNull(help_text="The problem with which the job failed, else null.")
    preview = _ObjectOrNull(help_text="What the job asks to confirm, or asked; by kind. Lists have null.")
    confirm_before = serializers.DateTimeField(
        allow_null=True, help_text="When a job that needs confirmation fails without it."
    )
    created_by = serializers.CharField(help_text="Who submitted it.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField(help_text="How often it was started.")
    cancel_requested = serializers.BooleanField(help_text="Whether it ends as soon as it can.")
    links = serializers.DictField(
        child=serializers.CharField(),
        help_text="`self`; `cancel` until it has ended; `confirm` while it needs confirmation.",
    )
    callback_secret = serializers.CharField(
        required=False,
        help_text="Only in the answer to a call with `callback_url`: the key of the signature.",
    )


class SubmissionSerializer(KnownFieldsSerializer):
    """The base of the bodies of calls that submit a job."""

    callback_url = TargetUrl(
        required=False,
        help_text="Where the job's end and question are POSTed, signed with the answer's `callback_secret`.",
    )


class RequestSymbol(Text):
    """A symbol, normalized; of an alias, the symbol that it stands for now."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return symbol_canonical(requested_symbol(super().to_internal_value(data)))
        except InvalidValue as error:
            raise serializers.ValidationError(str(error), code=error.code) from error


def request_time(**options: Any) -> Instant:
    """Return the field of an instant or a date; normalized to RFC 3339."""
    schema = {"type": "string", "examples": ["2025-01-02T14:30:00Z", "2025-01-02"]}
    return Instant(convert=lambda text: format_timestamp(parse_timestamp(text)), schema=schema, **options)


class RequestRangeSerializer(KnownFieldsSerializer):
    """A range `[start, end)`. longest_ns: how long it may be; None for any length."""

    start = request_time()
    end = request_time()

    longest_ns: ClassVar[int | None] = 3_660 * DAY_NS

    def validate(self, attrs: Any) -> Any:
        """Refuse a range without an instant, and one that is too long."""
        if "end" not in attrs:
            return attrs
        length_ns = parse_timestamp(attrs["end"]) - parse_timestamp(attrs["start"])
        if length_ns <= 0:
            raise serializers.ValidationError({"end": ["must be later than start"]}, code="invalid_range")
        if self.longest_ns is not None and length_ns > self.longest_ns:
            message = f"must be at most {self.longest_ns // DAY_NS:,} days after start; submit several"
            raise serializers.ValidationError({"end": [message]}, code="invalid_range")
        return attrs
