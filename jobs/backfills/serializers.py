"""The bodies of the endpoints of backfills, with examples for the schema."""

from typing import Any, ClassVar

from rest_framework import serializers

from calendars.schedule import Hours
from jobs.backfills.models import STATES
from jobs.serializers import RequestRangeSerializer, RequestSymbol, SubmissionSerializer
from store.instruments import GAP_RULES

_WEEK = {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-09"}
_BACKFILL: dict[str, Any] = {
    "dataset": "trades", "symbol": "AAPL", "start": "2025-01-02T14:31:00Z", "end": "2025-01-02T14:40:00Z",
    "state": "filled", "source": "desk", "rows": 271,
    "told": [{"source": "archive", "said": "has no rows here, and does not know that there are none"}],
    "message": "", "job": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11", "attempts": 0, "retry_at": None,
    "asked_at": "2025-01-03T08:00:00Z",
}  # fmt: skip


class BackfillRequestSerializer(SubmissionSerializer, RequestRangeSerializer):
    """What to fill: the gaps of a symbol in `[start, end)`, at most ten years."""

    examples: ClassVar = {"A week": _WEEK}

    symbol = RequestSymbol(max_length=32)
    hours = serializers.ChoiceField(
        [hours.value for hours in Hours],
        required=False,
        help_text="The hours in which bars are expected. Default: regular if the instrument has an exchange, else all.",
    )
    rule = serializers.ChoiceField(
        list(GAP_RULES),
        required=False,
        help_text="Which missing bars are gaps. Default: the instrument's rule.",
    )


class StatementSerializer(serializers.Serializer[Any]):
    """What a source said that gave nothing."""

    source = serializers.CharField()  # type: ignore[assignment]  # an attribute of DRF's fields has this name
    said = serializers.CharField()


class BackfillSerializer(serializers.Serializer[Any]):
    """A gap for which sources were asked."""

    examples: ClassVar = {"A gap that was filled": _BACKFILL}

    dataset = serializers.CharField()
    symbol = serializers.CharField()
    start = serializers.CharField()
    end = serializers.CharField()
    state = serializers.ChoiceField(list(STATES))
    source = serializers.CharField(help_text="The source of the rows.")  # type: ignore[assignment]  # as above
    rows = serializers.IntegerField()
    told = StatementSerializer(many=True, help_text="What the sources before said.")
    message = serializers.CharField(help_text="A warning: the first row that is doubtful, or was left out.")
    job = serializers.UUIDField(help_text="The job that asked.")
    attempts = serializers.IntegerField(help_text="How often sources were asked in vain.")
    retry_at = serializers.DateTimeField(allow_null=True, help_text="When exhausted sources are asked again.")
    asked_at = serializers.DateTimeField()
