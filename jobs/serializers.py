"""The answer documents of jobs, with an example for the schema."""

from typing import Any, ClassVar

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.models import STATES
from web.documents import AnswerDocument
from web.requests.field_errors import KnownFieldsSerializer
from webhooks.serializers import TargetUrl

JOB: dict[str, Any] = {
    "id": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "kind": "backfill",
    "state": "running",
    "progress": {"done": 3, "total": 8, "unit": "gaps", "estimated_end": "2030-01-02T03:05:09Z"},
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
    estimated_end = serializers.DateTimeField(
        allow_null=True, help_text="When the job ends if it goes on at its average speed so far."
    )


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
