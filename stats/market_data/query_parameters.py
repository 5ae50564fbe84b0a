"""The query parameters that several datasets of the market-data API have, and the serializer of queries."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from rest_framework import serializers

from calendars.schedule import Anchor, Hours, SessionMode
from stats.parameters import (
    BoundField,
    CursorField,
    FieldNamesField,
    PageLimitField,
    QueryTimeField,
    ResolutionField,
    SwitchField,
    SymbolsField,
    WordField,
)
from store.resolutions import Resolution
from store.rows.knowledge import Knowledge

# An hour in both forms: every resolution can be read of it.
START_EXAMPLES = ("2025-01-02T14:30:00Z", "1735828200000")
END_EXAMPLES = ("2025-01-02T15:30:00Z", "1735831800000")
ISO_OR_EPOCH = "ISO 8601 / RFC 3339, a date alone, or an epoch integer in s, ms, µs or ns."


@dataclass(frozen=True, slots=True, eq=False)
class QueryParameter:
    """A query parameter: its field's class and options. A dataset declares those that it alone has."""

    name: str
    field_class: type[serializers.Field[Any, Any, Any, Any]]
    options: dict[str, Any]

    def field(
        self, schema_default: str | None = None, *, required: bool = False
    ) -> serializers.Field[Any, Any, Any, Any]:
        """Return the field. schema_default: a default that is shown in the schema, but not applied."""
        default = {} if schema_default is None else {"schema_default": schema_default}
        return self.field_class(**{"required": required, **self.options, **default})


_COMMON: dict[str, tuple[type[serializers.Field[Any, Any, Any, Any]], dict[str, Any]]] = {
    "symbols": (
        SymbolsField,
        {
            "required": True,
            "help_text": "Up to 50 symbols, separated by commas.",
        },
    ),
    "start": (
        BoundField,
        {
            "examples": START_EXAMPLES,
            "help_text": f"First instant of the range. Pages require `start` or `last`. {ISO_OR_EPOCH}",
        },
    ),
    "end": (
        BoundField,
        {
            "examples": END_EXAMPLES,
            "help_text": f"Exclusive end of the range. Default: now. {ISO_OR_EPOCH}",
        },
    ),
    "last": (
        PageLimitField,
        {"help_text": "Number of newest rows before `end`, for each symbol. Replaces `start`."},
    ),
    "resolution": (
        ResolutionField,
        {"help_text": "The length of bars: `tick`, or a number and s, m, h, d, w or M, such as `7m`."},
    ),
    "limit": (PageLimitField, {"help_text": "Maximum number of rows in a page. Default: 1,000."}),
    "cursor": (CursorField, {"help_text": "`next_cursor` or `prev_cursor` of a page."}),
    "sort": (
        WordField,
        {"words": ("asc", "desc"), "schema_default": "asc", "help_text": "Order of the rows by time."},
    ),
    "fields": (FieldNamesField, {"help_text": "Only these columns, in this order, separated by commas."}),
    "as_of": (QueryTimeField, {"help_text": f"Ignore commits stored after this instant. {ISO_OR_EPOCH}"}),
    "symbol_as_of": (
        QueryTimeField,
        {"help_text": "The date on which the symbol had the meaning that is asked for. Default: now."},
    ),
    "session": (
        WordField,
        {
            "words": tuple(SessionMode),
            "help_text": "Days are UTC dates or the exchange's trading dates. Default: `exchange` if the"
            " instrument has one.",
        },
    ),
    "hours": (
        WordField,
        {
            "words": tuple(Hours),
            "help_text": "The exchange's hours whose rows count. Default: `all`; for `1d`, `1w` and `1M` of trading"
            " dates of equities and options `regular`, with the auctions.",
        },
    ),
    "anchor": (
        WordField,
        {
            "words": tuple(Anchor),
            "schema_default": Anchor.CLOCK,
            "help_text": "Where bars shorter than a day begin: at whole hours UTC, or at the session's open.",
        },
    ),
    "adjustment": (
        WordField,
        {
            "words": ("raw", "split", "all"),
            "schema_default": "raw",
            "help_text": "`raw`: prices as traded; `split`: adjusted for splits; `all`: for dividends, too.",
        },
    ),
    "partial": (
        WordField,
        {
            "words": ("include", "exclude"),
            "schema_default": "include",
            "help_text": "Whether to return bars whose interval has not ended.",
        },
    ),
    "knowledge": (
        WordField,
        {
            "words": tuple(Knowledge),
            "schema_default": "now",
            "help_text": "`then`: each bar as it was known at its end plus the instrument's `settle`.",
        },
    ),
    "coverage": (SwitchField, {"help_text": "`1`: list the intervals without a bar, each with its reason."}),
    "time": (
        WordField,
        {"words": ("rfc3339", "ms", "ns"), "help_text": "Format of times."},
    ),
    "at": (
        BoundField,
        {"examples": START_EXAMPLES, "help_text": f"An instant in the bar. {ISO_OR_EPOCH}"},
    ),
    "trailer": (
        SwitchField,
        {"help_text": "`1`: append a last line with the number of rows and their SHA-256."},
    ),
}
PARAMETERS = {name: QueryParameter(name, *each) for name, each in _COMMON.items()}

_RANGE = ("start", "end", "as_of", "symbol_as_of")
PAGE_PARAMETERS = (*_RANGE, "last", "limit", "cursor", "sort", "fields", "time")
STREAM_PARAMETERS = (*_RANGE, "fields", "time", "sort", "trailer")


# The parameters of a serializer: names of `PARAMETERS`, and a dataset's own.
Parameters = tuple[str | QueryParameter, ...]


class RowQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of market data.

    resolution: the default of the parameter `resolution`. needed: a parameter that must be given. check: raises
    `ValidationError` for values that conflict. needs_range: whether a query for pages has `start` or `last`.
    """

    def __init__(
        self,
        parameters: Parameters,
        resolution: str | None = None,
        *,
        needed: str | None = None,
        check: Callable[[dict[str, Any]], None] | None = None,
        needs_range: bool = True,
    ) -> None:
        super().__init__()
        self.parameters = tuple(PARAMETERS[each] if isinstance(each, str) else each for each in parameters)
        self.names, self.needed, self.check = parameter_names(parameters), needed, check
        # Only bars have other hours by default; a read without `resolution` is of ticks.
        self.defaults = {
            "resolution": resolution,
            "hours": None if "resolution" in self.names else Hours.ALL.value,
        }
        self.needs_range = needs_range and {"start", "last"} <= set(self.names)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields of the parameters."""
        return {
            each.name: each.field(self.defaults.get(each.name), required=each.name == self.needed)
            for each in self.parameters
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "start" in attrs and "end" in attrs and attrs["start"].instant_ns >= attrs["end"].instant_ns:
            raise serializers.ValidationError("start must be before end", code="invalid_range")
        if "last" in attrs and "start" in attrs:
            raise conflict("last is the number of rows before end: do not send start with it")
        if "last" in attrs and "limit" in attrs and "symbols" not in self.fields:
            raise conflict(
                "last is the number of rows in the page: send limit with it only for several symbols"
            )
        _check_knowledge(attrs)
        if self.check is not None:
            self.check(attrs)
        if self.needs_range and not {"start", "last"} & set(attrs):
            raise serializers.ValidationError("start or last is required", code="missing_parameter")
        return attrs


query_serializer = cache(RowQuerySerializer)


def parameter_names(parameters: Parameters) -> tuple[str, ...]:
    """Return the parameters' names."""
    return tuple(each if isinstance(each, str) else each.name for each in parameters)


def conflict(message: str) -> serializers.ValidationError:
    """Return the error of parameters that must not be sent together."""
    return serializers.ValidationError(message, code="conflicting_parameters")


def _check_knowledge(attrs: dict[str, Any]) -> None:
    """Refuse adjustments of bars as they were known whose factors come from after their beginning."""
    is_long = attrs.get("resolution", Resolution.DAY) > Resolution.DAY
    if attrs.get("knowledge") == Knowledge.THEN and is_long and attrs.get("adjustment", "raw") != "raw":
        raise conflict(
            "bars longer than a day as they were known are not adjusted for actions within them: ask for 1d"
        )
