"""The bodies and documents of feeds."""

from typing import Any, ClassVar

from rest_framework import serializers

from sources.feed_status import STATES, WANTED_BY, ShownFeed
from sources.protocol import SourceRefused
from sources.registry import kind_of
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import format_timestamp
from web.requests.json_fields import JsonObject, Pattern, Text, Word

# Of these every source has some; which ones only the feed process learns.
_TIMEFRAMES = ("1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
_FEED: dict[str, Any] = {
    "symbol": "BTC-USDT",
    "source": "binance",
    "name": "BTC/USDT",
    "dataset": "trades",
    "timeframe": "",
    "wanted_by": "setting",
    "state": "live",
    "message": "",
    "since": "2026-11-30T08:00:02Z",
    "newest": "2026-11-30T09:15:41.382Z",
    "lag_seconds": 0.4,
    "reconnects": 1,
    "holes": 2,
    "filled_rows": 1841,
}


class SourceName(Text):
    """The name of a source."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=100, help_text="A name of `GET /api/v1/sources`.", **options)

    def to_internal_value(self, data: Any) -> Any:
        name = super().to_internal_value(data)
        try:
            kind_of(name)
        except SourceRefused as error:
            raise serializers.ValidationError(str(error), code="invalid_choice") from error
        return name


class NewFeedSerializer(serializers.Serializer[Any]):
    """What to keep current: a name at a source."""

    examples: ClassVar = {"A pair of Binance, by its trades": {"source": "binance", "name": "BTC/USDT"}}

    source = SourceName()  # type: ignore[assignment]  # a field
    name = Pattern(
        r"[^\s/]+(/[^\s/]+)*",
        "a name at the source, without spaces, such as BTC/USDT",
        max_length=100,
        help_text="The symbol's name at the source.",
    )
    timeframe = Word(
        _TIMEFRAMES,
        required=False,
        help_text="Feed closed bars of this length, such as 1m. Default: trades, if the source can give missed "
        "trades again; else bars of 1m.",
    )
    symbol = Text(
        max_length=32,
        required=False,
        help_text="The symbol here. Default: by the name. A symbol of another source needs another one.",
    )

    def validate_name(self, name: str) -> str:
        # Names are written to terminals and logs.
        if not name.isprintable():
            raise serializers.ValidationError("must be printable characters", code="invalid_format")
        return name

    def validate_symbol(self, symbol: str) -> str:
        try:
            return parse_symbol(symbol)
        except InvalidSymbol as error:
            raise serializers.ValidationError(str(error), code=error.code) from error


class FeedSerializer(serializers.Serializer[Any]):
    """A feed, and how it does. Counts begin with the feed process."""

    examples: ClassVar = {"A feed of trades": _FEED}

    symbol = serializers.CharField(help_text="Here.")
    source = serializers.CharField()  # type: ignore[assignment]  # a field
    name = serializers.CharField(help_text="At the source.")
    dataset = serializers.CharField(allow_null=True, help_text="`trades` or `bars`; null until it begins.")
    timeframe = serializers.CharField(help_text="The length of the bars; empty for trades.")
    wanted_by = serializers.ChoiceField(
        WANTED_BY,
        help_text="`setting`: by the setting FEEDS. `call`: by a call. `command`: by `manage.py feed`.",
    )
    state = serializers.ChoiceField(
        STATES,
        help_text="`live`. `filling`: what was missed is fetched first. `waiting`: it begins, or the source is "
        "away and is asked again. `refused`: the source will not feed this. `down`: nothing is known of it.",
    )
    message = serializers.CharField(help_text="Why it is not live; empty also while it begins.")
    since = serializers.DateTimeField(allow_null=True, help_text="Since when it is in this state.")
    newest = serializers.DateTimeField(allow_null=True, help_text="The time of the newest stored row.")
    lag_seconds = serializers.FloatField(
        allow_null=True, help_text="From a row's time, or a bar's end, until it was stored."
    )
    reconnects = serializers.IntegerField()
    holes = serializers.IntegerField(help_text="How often rows were missed.")
    filled_rows = serializers.IntegerField(help_text="Rows that were fetched to fill holes.")


class FeedsSerializer(serializers.Serializer[Any]):
    """All feeds, by symbol."""

    examples: ClassVar = {"Feeds": {"feeds": [_FEED]}}

    feeds = FeedSerializer(many=True)


def feed_document(feed: ShownFeed) -> JsonObject:
    """Return what clients see of a feed."""
    return {
        "symbol": feed.symbol,
        "source": feed.source,
        "name": feed.name,
        "dataset": feed.dataset,
        "timeframe": feed.resolution,
        "wanted_by": feed.wanted_by,
        "state": feed.state,
        "message": feed.message,
        "since": _instant(feed.since_ns),
        "newest": _instant(feed.newest_ns),
        "lag_seconds": feed.lag_seconds,
        "reconnects": feed.reconnects,
        "holes": feed.holes,
        "filled_rows": feed.filled_rows,
    }


def _instant(instant_ns: int | None) -> str | None:
    return None if instant_ns is None else format_timestamp(instant_ns)
