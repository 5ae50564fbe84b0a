"""The bases of the bodies that submit jobs."""

from typing import Any, ClassVar

from rest_framework import serializers

from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from trades.exceptions import InvalidValue
from trades.instruments.services import requested_symbol, symbol_canonical
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Instant, Text
from webhooks.serializers import TargetUrl


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
