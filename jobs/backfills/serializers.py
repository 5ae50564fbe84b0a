"""The bodies of the endpoints of backfills, with examples for the schema."""

from typing import Any, ClassVar

from rest_framework import serializers

from calendars.schedule import Hours
from jobs.backfills.models import STATES
from jobs.serializers import SubmissionSerializer
from store.instruments import GAP_RULES
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from trades.exceptions import InvalidValue
from trades.instruments.services import requested_symbol, symbol_canonical
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Instant, Text

_WEEK = {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-09"}
_BACKFILL: dict[str, Any] = {
    "dataset": "trades",
    "symbol": "AAPL",
    "start": "2025-01-02T14:31:00Z",
    "end": "2025-01-02T14:40:00Z",
    "state": "filled",
    "source": "desk",
    "source_commit": "trades=17-9f3a2c",
    "commit": "42-0b77e1",
    "rows": 271,
    "told": [{"source": "archive", "said": "there is no file of 2025-01-02"}],
    "message": "",
    "job": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "attempts": 0,
    "retry_at": None,
    "asked_at": "2025-01-03T08:00:00Z",
}


class RequestSymbol(Text):
    """A symbol, normalized; of an alias, the symbol that it stands for now."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return symbol_canonical(requested_symbol(super().to_internal_value(data)))
        except InvalidValue as error:
            raise serializers.ValidationError(str(error), code=error.code) from error


def _request_time() -> Instant:
    """Return the field of an instant or a date; normalized to RFC 3339."""
    schema = {"type": "string", "examples": ["2025-01-02T14:30:00Z", "2025-01-02"]}
    return Instant(convert=lambda text: format_timestamp(parse_timestamp(text)), schema=schema)


class RequestRangeSerializer(KnownFieldsSerializer):
    """A range `[start, end)`."""

    start = _request_time()
    end = _request_time()

    longest_ns = 3_660 * DAY_NS

    def validate(self, attrs: Any) -> Any:
        """Refuse a range without an instant, and one that is too long."""
        if parse_timestamp(attrs["start"]) >= parse_timestamp(attrs["end"]):
            raise serializers.ValidationError({"end": ["must be later than start"]}, code="invalid_range")
        if parse_timestamp(attrs["end"]) - parse_timestamp(attrs["start"]) > self.longest_ns:
            message = f"must be at most {self.longest_ns // DAY_NS:,} days after start; submit several"
            raise serializers.ValidationError({"end": [message]}, code="invalid_range")
        return attrs


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
    source_commit = serializers.CharField(help_text="The source's commits that the rows are of.")
    commit = serializers.CharField(help_text="Our commit with the rows.")
    rows = serializers.IntegerField()
    told = StatementSerializer(many=True, help_text="What the other sources said.")
    message = serializers.CharField(
        help_text="A warning: the first row with a price far from those beside the gap."
    )
    job = serializers.UUIDField(allow_null=True, help_text="The last job that asked.")
    attempts = serializers.IntegerField(help_text="How often sources were asked in vain.")
    retry_at = serializers.DateTimeField(allow_null=True, help_text="When exhausted sources are asked again.")
    asked_at = serializers.DateTimeField()
