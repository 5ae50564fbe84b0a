"""The query parameters of the market-data API: their serializer fields, and the names common to all datasets."""

from functools import cache
from typing import Any

from rest_framework import serializers

from calendars.schedule import Anchor, Hours, SessionMode
from stats.parameters import (
    BoundField,
    CursorField,
    DurationField,
    FieldNamesField,
    PageLimitField,
    QueryNumberField,
    QueryTimeField,
    ResolutionField,
    SwitchField,
    SymbolsField,
    WordField,
)
from store.bar_policies import BAR_POLICIES
from store.instruments import GAP_RULES
from store.log_views.best_quotes import BEST
from store.resolutions import Resolution
from store.rows.knowledge import Knowledge
from store.timestamps import DAY_NS, SECOND_NS

DEFAULT_HORIZON_NS = 300 * SECOND_NS
_DURATIONS = "A number with a unit: `250ms`, `5s`, `1min`."
_ISO_OR_EPOCH = "ISO 8601 / RFC 3339, a date alone, or an epoch integer in s, ms, µs or ns."

# A parameter's field and its options, by the parameter's name.
PARAMETERS: dict[str, tuple[type[serializers.Field[Any, Any, Any, Any]], dict[str, Any]]] = {
    "symbols": (
        SymbolsField,
        {
            "required": True,
            "help_text": "Up to 50 symbols, separated by commas; or `@SP500`: the members of a universe, in one page.",
        },
    ),
    "start": (
        BoundField,
        {"help_text": f"First instant of the range. Pages require `start` or `last`. {_ISO_OR_EPOCH}"},
    ),
    "end": (BoundField, {"help_text": f"Exclusive end of the range. Default: now. {_ISO_OR_EPOCH}"}),
    "last": (
        PageLimitField,
        {"help_text": "Number of newest rows before `end`, for each symbol. Replaces `start`."},
    ),
    "resolution": (ResolutionField, {"help_text": "The length of bars."}),
    "limit": (PageLimitField, {"help_text": "Maximum number of rows in a page. Default: 1,000."}),
    "cursor": (CursorField, {"help_text": "`next_cursor` or `prev_cursor` of a page."}),
    "sort": (
        WordField,
        {"words": ("asc", "desc"), "schema_default": "asc", "help_text": "Order of the rows by time."},
    ),
    "fields": (FieldNamesField, {"help_text": "Only these columns, in this order, separated by commas."}),
    "as_of": (QueryTimeField, {"help_text": f"Ignore commits stored after this instant. {_ISO_OR_EPOCH}"}),
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
            "help_text": "`then`: each bar or row as it was known at its end or time, plus the instrument's `settle`.",
        },
    ),
    "coverage": (SwitchField, {"help_text": "`1`: list the intervals without a bar, each with its reason."}),
    "rule": (
        WordField,
        {
            "words": GAP_RULES,
            "help_text": "When an interval without a bar is a gap. `calendar`: always. `evidence`: if the dates before"
            " make it unlikely that nobody traded. Default: the instrument's `gap_rule`.",
        },
    ),
    "quiet": (
        SwitchField,
        {"help_text": "`1`: also list the runs without a bar that were judged to be no gaps (`no_trades`)."},
    ),
    "time": (
        WordField,
        {"words": ("rfc3339", "ms", "ns"), "help_text": "Format of times."},
    ),
    "exchange": (
        WordField,
        {
            "words": (BEST, "all"),
            "help_text": "`best`: the best bid and offer of all venues, at each change. `all`: every quote, whichever its"
            " venue. Default: `all`; with `join` `best`.",
        },
    ),
    "max_age": (
        DurationField,
        {
            "least_ns": 1,
            "help_text": f"For `exchange=best`: how long a venue's quote takes part, up to 1d. Default: 1h. {_DURATIONS}",
        },
    ),
    "roll": (
        WordField,
        {
            "words": ("volume", "open_interest", "days"),
            "schema_default": "volume",
            "help_text": "What decides a roll: the larger figure of a trading date, or the days before expiry.",
        },
    ),
    "roll_before": (
        DurationField,
        {
            "help_text": "With `roll=days`: how long before its expiry a contract is left, in days. Default: 8d."
        },
    ),
    "adjust": (
        WordField,
        {
            "words": ("none", "difference", "ratio"),
            "schema_default": "none",
            "help_text": "How prices before a roll are adjusted to those after it.",
        },
    ),
    "rate": (
        QueryNumberField,
        {"bound": 1.0, "help_text": "Continuously compounded interest rate per year, such as 0.05."},
    ),
    "dividend_yield": (
        QueryNumberField,
        {"bound": 1.0, "help_text": "Continuous dividend yield of the underlying per year, such as 0.02."},
    ),
    "expiry": (QueryTimeField, {"help_text": "Only the options that expire on this date."}),
    "at": (
        QueryTimeField,
        {
            "help_text": f"For `explain`: an instant in the bar. For `members`: the instant; default: now. {_ISO_OR_EPOCH}"
        },
    ),
    "policy": (
        WordField,
        {
            "words": tuple(BAR_POLICIES),
            "help_text": "The bar policy, instead of the instrument's. For `explain`: a policy to compare with.",
        },
    ),
    "after": (QueryTimeField, {"help_text": "Only changes by commits after this instant."}),
    "join": (
        WordField,
        {
            "words": ("quotes",),
            "help_text": "`quotes`: add the last quote before each trade, and the spreads.",
        },
    ),
    "lag": (
        DurationField,
        {
            "help_text": f"With `join`: a quote counts only if it is at least this old. Default: 0. {_DURATIONS}"
        },
    ),
    "tolerance": (
        DurationField,
        {"help_text": f"With `join`: a quote counts only if it is at most this old. {_DURATIONS}"},
    ),
    "horizon": (
        DurationField,
        {
            "least_ns": 1,
            "help_text": f"With `join`: from a trade to the midpoint of its realised spread. Default: 5min. {_DURATIONS}",
        },
    ),
    "trailer": (
        SwitchField,
        {"help_text": "`1`: append a last line with the number of rows and their SHA-256."},
    ),
}

_RANGE = ("start", "end", "as_of", "symbol_as_of")
PAGE_PARAMETERS = (*_RANGE, "last", "limit", "cursor", "sort", "fields", "time")
STREAM_PARAMETERS = (*_RANGE, "fields", "time", "sort", "trailer")
# Of pages of what holds at one instant.
INSTANT_PARAMETERS = ("at", "as_of", "limit", "cursor", "sort", "fields", "time")
EXPLAIN_PARAMETERS = (
    "at",
    "resolution",
    "session",
    "hours",
    "anchor",
    "as_of",
    "symbol_as_of",
    "policy",
    "limit",
)

GAPS_PARAMETERS = ("start", "end", "resolution", "hours", "rule", "quiet", "as_of", "symbol_as_of")

# The parameters of continuous futures.
ROLL_PARAMETERS = ("roll", "roll_before", "adjust")
# The parameters of the best bid and offer.
BEST_PARAMETERS = ("exchange", "max_age")


class RowQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of market data.

    names: the parameters. resolution: the default of the parameter `resolution`. needed: a parameter that must be given.
    """

    def __init__(
        self, names: tuple[str, ...], resolution: str | None = None, *, needed: str | None = None
    ) -> None:
        super().__init__()
        self.names, self.needed = names, needed
        # Only bars have other hours by default; a read without `resolution` is of ticks.
        self.defaults = {"resolution": resolution, "hours": None if "resolution" in names else Hours.ALL}

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields of the parameters."""
        return {
            name: _field(name, self.defaults.get(name), required=name == self.needed) for name in self.names
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "start" in attrs and "end" in attrs and attrs["start"].instant_ns >= attrs["end"].instant_ns:
            raise serializers.ValidationError("start must be before end", code="invalid_range")
        if "last" in attrs and "start" in attrs:
            raise serializers.ValidationError(
                "last is the number of rows before end: do not send start with it",
                code="conflicting_parameters",
            )
        if "last" in attrs and "limit" in attrs and "symbols" not in self.fields:
            raise serializers.ValidationError(
                "last is the number of rows in the page: send limit with it only for several symbols",
                code="conflicting_parameters",
            )
        if "cursor" in attrs and "symbols" in attrs and attrs["symbols"].universe is not None:
            raise serializers.ValidationError(
                "the answer for a universe has one page: leave out cursor", code="conflicting_parameters"
            )
        if "join" in self.fields:
            _check_join(attrs)
        _check_coverage(attrs, is_of_gaps="quiet" in self.fields)
        _check_best(attrs)
        _check_knowledge(attrs)
        if "adjust" in self.fields:
            _check_roll(attrs)
        # Datasets with `expiry` also answer for one instant (a surface), which needs no range.
        needs_range = {"start", "last"} <= set(self.fields) and "expiry" not in self.fields
        if needs_range and not {"start", "last"} & set(attrs):
            raise serializers.ValidationError("start or last is required", code="missing_parameter")
        return attrs


query_serializer = cache(RowQuerySerializer)


def report_serializer(report: str, *, several: bool) -> RowQuerySerializer:
    """Return the serializer of a report's query. several: whether the endpoint is for several symbols."""
    best = () if report == "coverage" else BEST_PARAMETERS
    names = (*(("symbols",) if several else ()), "as_of", "symbol_as_of", *best)
    return query_serializer(names)


def gaps_serializer(*, several: bool) -> RowQuerySerializer:
    """Return the serializer of a query for gaps. several: whether the endpoint is for several symbols."""
    names = (*(("symbols",) if several else ()), *GAPS_PARAMETERS)
    return query_serializer(names, Resolution.DAY.value)


def explain_serializer() -> RowQuerySerializer:
    """Return the serializer of a query for the explanation of a bar."""
    return query_serializer(EXPLAIN_PARAMETERS, Resolution.MINUTE.value, needed="at")


def universes_serializer() -> RowQuerySerializer:
    """Return the serializer of a query for the list of universes."""
    return query_serializer(("at", "as_of"))


def _field(name: str, schema_default: str | None, *, required: bool) -> serializers.Field[Any, Any, Any, Any]:
    field_class, options = PARAMETERS[name]
    default = {} if schema_default is None else {"schema_default": schema_default}
    return field_class(**{"required": required, **options, **default})


def _check_coverage(attrs: dict[str, Any], *, is_of_gaps: bool) -> None:
    if attrs.get("coverage") and attrs.get("resolution", Resolution.DAY).is_tick:
        raise serializers.ValidationError(
            "every nanosecond without a trade would be listed: ask for a resolution from 1s on",
            code="conflicting_parameters",
        )
    if "rule" in attrs and not attrs.get("coverage") and not is_of_gaps:
        raise serializers.ValidationError(
            "rule is of the reasons of missing bars: send coverage=1 with it", code="conflicting_parameters"
        )


def _check_best(attrs: dict[str, Any]) -> None:
    exchange = attrs.get("exchange", BEST if "join" in attrs else "all")
    if "max_age" in attrs and exchange != BEST:
        raise serializers.ValidationError(
            "max_age is of exchange=best: send both or neither", code="conflicting_parameters"
        )
    if attrs.get("max_age", 0) > DAY_NS:
        raise serializers.ValidationError("max_age must be at most 1d", code="invalid_duration")
    if exchange == BEST and not attrs.get("resolution", Resolution.TICK).is_tick:
        raise serializers.ValidationError(
            "exchange=best has no bars: leave out resolution", code="conflicting_parameters"
        )


def _check_knowledge(attrs: dict[str, Any]) -> None:
    """Refuse adjustments of bars as they were known whose factors come from after their beginning."""
    if attrs.get("knowledge") != Knowledge.THEN:
        return
    is_long = attrs.get("resolution", Resolution.DAY).rank > Resolution.DAY.rank
    if is_long and attrs.get("adjustment", "raw") != "raw":
        raise serializers.ValidationError(
            "weeks and months as they were known are not adjusted for actions within them: ask for 1d",
            code="conflicting_parameters",
        )
    if attrs.get("adjust", "none") != "none":
        raise serializers.ValidationError(
            "prices as they were known then know no later roll: leave out adjust",
            code="conflicting_parameters",
        )


def _check_roll(attrs: dict[str, Any]) -> None:
    if attrs.get("resolution", Resolution.DAY).rank > Resolution.DAY.rank:
        raise serializers.ValidationError(
            "continuous futures have no weeks and months, in which a roll may lie: ask for 1d",
            code="conflicting_parameters",
        )
    days_ns = attrs.get("roll_before", 0)
    if days_ns % DAY_NS or days_ns > 366 * DAY_NS:
        raise serializers.ValidationError(
            "roll_before must be whole days, such as 8d, at most 366d", code="invalid_duration"
        )
    if "roll_before" in attrs and attrs.get("roll") != "days":
        raise serializers.ValidationError(
            "roll_before is of roll=days: send both or neither", code="conflicting_parameters"
        )


def _check_join(attrs: dict[str, Any]) -> None:
    if "join" not in attrs:
        for name in ("lag", "tolerance", "horizon", "exchange", "max_age"):
            if name in attrs:
                raise serializers.ValidationError(
                    f"{name} is of a join: send join=quotes with it", code="conflicting_parameters"
                )
    elif "tolerance" in attrs and attrs["tolerance"] < attrs.get("lag", 0):
        raise serializers.ValidationError(
            "tolerance must not be shorter than lag", code="conflicting_parameters"
        )
