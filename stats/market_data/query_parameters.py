"""The tree's query parameters, declared once: their fields, and which dataset takes which."""

from functools import cache
from typing import Any

from rest_framework import serializers

from stats.parameters import (
    BoundField,
    CursorField,
    FieldNamesField,
    PageLimitField,
    QueryNumberField,
    QueryTimeField,
    ResolutionField,
    SwitchField,
    SymbolsField,
    WordField,
)
from stats.sessions.spans import Hours, SessionMode

_ISO_OR_EPOCH = "ISO 8601 / RFC 3339, a date alone, or an epoch integer in s, ms, µs or ns."

# A parameter's field and its options, by the parameter's name.
_FIELDS: dict[str, tuple[type[serializers.Field[Any, Any, Any, Any]], dict[str, Any]]] = {
    "symbols": (SymbolsField, {"required": True, "help_text": "Up to 50 symbols, separated by commas."}),
    "start": (
        BoundField,
        {"help_text": f"First instant; of a page this or `last` is required. {_ISO_OR_EPOCH}"},
    ),
    "end": (BoundField, {"help_text": f"Instant behind the last one; now without it. {_ISO_OR_EPOCH}"}),
    "last": (
        PageLimitField,
        {"help_text": "The newest so many rows before `end`, of each symbol, instead of `start`."},
    ),
    "resolution": (ResolutionField, {"help_text": "The length of bars."}),
    "limit": (PageLimitField, {"help_text": "Rows in a page, 1,000 without it."}),
    "cursor": (CursorField, {"help_text": "From `next_cursor` or `prev_cursor` of a page."}),
    "sort": (WordField, {"words": ("asc", "desc"), "usual": "asc", "help_text": "Order of time."}),
    "fields": (FieldNamesField, {"help_text": "Only these columns, in this order, separated by commas."}),
    "as_of": (QueryTimeField, {"help_text": f"Answer with what was stored by then. {_ISO_OR_EPOCH}"}),
    "session": (
        WordField,
        {
            "words": tuple(SessionMode),
            "help_text": "Cut days by UTC or by the exchange's trading dates; `exchange` where one is named.",
        },
    ),
    "hours": (
        WordField,
        {"words": tuple(Hours), "usual": Hours.ALL, "help_text": "Which hours of the exchange count."},
    ),
    "adjustment": (
        WordField,
        {
            "words": ("raw", "split", "all"),
            "usual": "raw",
            "help_text": "Prices as printed, or adjusted by splits, or by dividends too.",
        },
    ),
    "partial": (
        WordField,
        {
            "words": ("include", "exclude"),
            "usual": "include",
            "help_text": "Whether bars come whose interval is still open.",
        },
    ),
    "coverage": (SwitchField, {"help_text": "`1`: say of each interval without a bar why it has none."}),
    "time": (
        WordField,
        {"words": ("rfc3339", "ms", "ns"), "help_text": "How instants are written."},
    ),
    "rate": (
        QueryNumberField,
        {"bound": 1.0, "help_text": "Continuously compounded interest rate, as 0.05."},
    ),
    "dividend_yield": (
        QueryNumberField,
        {"bound": 1.0, "help_text": "Continuous dividend yield of the underlying, as 0.02."},
    ),
    "expiry": (QueryTimeField, {"help_text": "Only the options that expire on this date."}),
    "after": (QueryTimeField, {"help_text": "Only what commits after this instant changed."}),
    "trailer": (
        SwitchField,
        {"help_text": "`1`: a last line says how many rows came, and their SHA-256."},
    ),
}

READ = ("as_of",)
RANGE = ("start", "end", *READ)
PAGE = (*RANGE, "last", "limit", "cursor", "sort", "fields", "time")
STREAM = (*RANGE, "fields", "time", "sort", "trailer")


@cache
def query_serializer(
    title: str, names: tuple[str, ...], resolution: str | None = None
) -> type[serializers.Serializer[Any]]:
    """The serializer of a query with these parameters; `title` names it in the schema.

    resolution: the one without `resolution`.
    """
    fields = {name: _field(name, resolution) for name in names}
    doc = {"__doc__": "The query parameters.", "__module__": __name__}
    return type(f"{title}QuerySerializer", (_RangeSerializer,), {**doc, **fields})


def _field(name: str, resolution: str | None) -> serializers.Field[Any, Any, Any, Any]:
    kind, options = _FIELDS[name]
    usual = {"usual": resolution} if kind is ResolutionField else {}
    return kind(**{"required": False, **options, **usual})


class _RangeSerializer(serializers.Serializer[Any]):
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "start" in attrs and "end" in attrs and attrs["start"].instant_ns >= attrs["end"].instant_ns:
            raise serializers.ValidationError("start must be before end", code="invalid_range")
        if "last" in attrs and "start" in attrs:
            raise serializers.ValidationError(
                "last says how many rows before end: start does not go with it", code="conflicting_parameters"
            )
        if "last" in attrs and "limit" in attrs and "symbols" not in self.fields:
            raise serializers.ValidationError(
                "last says how many rows there are in the page: limit goes with it only where symbols does",
                code="conflicting_parameters",
            )
        # What takes an expiry may be asked for at one instant, which has no range.
        needs_range = {"start", "last"} <= set(self.fields) and "expiry" not in self.fields
        if needs_range and not {"start", "last"} & set(attrs):
            raise serializers.ValidationError("start or last is required", code="missing_parameter")
        return attrs
