"""The bodies and documents of fetches, sources and markets."""

from typing import Any, ClassVar

from rest_framework import serializers

from jobs.serializers import JOB, RequestRangeSerializer, RequestSymbol, SubmissionSerializer, request_time
from sources.feed_serializers import SourceName
from store.datasets import BARS, QUOTES, TRADES
from store.resolutions import Resolution
from web.requests.json_fields import Text, Word

_DAY = {"source": "binance", "name": "BTC/USDT", "start": "2024-01-01", "timeframe": "1m", "preview": True}
_SOURCE: dict[str, Any] = {
    "name": "binance",
    "kind": "exchange",
    "tested": "tested",
    "terms": "binance's terms apply. Its data are for your own use: do not pass them on.",
    "needs_key": False,
    "has_key": False,
    "can_feed": True,
}
_MARKET: dict[str, Any] = {
    "name": "BTC/USDT",
    "symbol": "BTC-USDT",
    "class": "crypto",
    "long_name": "BTC in USDT",
    "currency": "USDT",
}
MARKET_STATES = ("ready", "reading", "failed")


class FetchRequestSerializer(SubmissionSerializer, RequestRangeSerializer):
    """What to fetch: the rows of a name at a source in `[start, end)`. Only what is not known yet is asked for."""

    examples: ClassVar = {"Minutes, after a look at the cost": _DAY}
    longest_ns = None

    source = SourceName()  # type: ignore[assignment]  # a field
    name = Text(max_length=100, help_text="The symbol's name at the source.")
    dataset = Word((BARS.name, TRADES.name, QUOTES.name), default=BARS.name)
    timeframe = Text(max_length=8, default="1m", help_text="The length of bars, such as 1m, 1h or 1d.")
    end = request_time(required=False, help_text="Up to when. Default: when the job runs.")
    symbol = RequestSymbol(
        max_length=32,
        required=False,
        help_text="The symbol here. Default: by the name. A symbol of another source needs another one.",
    )
    again = serializers.BooleanField(
        default=False, help_text="Ask for known times, too, and correct what changed."
    )
    preview = serializers.BooleanField(
        default=False,
        help_text="Show requests, rows, bytes and price as the job's `preview` first, and wait for its confirmation.",
    )

    def validate_timeframe(self, timeframe: str) -> str:
        try:
            return Resolution.of_bars(timeframe).value
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid_choice") from error


class MarketsRequestSerializer(serializers.Serializer[Any]):
    """The source whose markets are read."""

    source = serializers.CharField()  # type: ignore[assignment]  # a field


class SourceSerializer(serializers.Serializer[Any]):
    """A source of market data."""

    name = serializers.CharField()
    kind = serializers.CharField(
        help_text="`exchange`, or the kind of a vendor, a folder or an installation."
    )
    tested = serializers.CharField(help_text="How far it was tried: `tested`, or a text that says less.")
    terms = serializers.CharField(help_text="What its data may be used for.")
    needs_key = serializers.BooleanField(help_text="Whether it needs the setting `SOURCE_KEY_NAME`.")
    has_key = serializers.BooleanField(help_text="Whether that is set.")
    can_feed = serializers.BooleanField(help_text="Whether a feed may keep its symbols current.")


class SourcesSerializer(serializers.Serializer[Any]):
    """All sources: those of the setting `SOURCES`, then vendors and exchanges."""

    examples: ClassVar = {"Sources": {"sources": [_SOURCE]}}

    sources = SourceSerializer(many=True)


class MarketSerializer(serializers.Serializer[Any]):
    """A market of a source."""

    name = serializers.CharField(help_text="At the source.")
    symbol = serializers.CharField(help_text="Here.")
    long_name = serializers.CharField()
    currency = serializers.CharField(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        """Add `class`, which is no name in Python."""
        return {**super().get_fields(), "class": serializers.CharField()}


class SourceMarketsSerializer(serializers.Serializer[Any]):
    """Markets of a source."""

    examples: ClassVar = {
        "Markets": {
            "state": "ready",
            "message": "",
            "markets": [_MARKET],
            "more": 0,
            "job": JOB["links"]["self"],
        }
    }

    state = serializers.ChoiceField(
        MARKET_STATES,
        help_text="`reading`: a job reads them; ask again in a second. `failed`: `message` says why.",
    )
    message = serializers.CharField()
    markets = MarketSerializer(many=True)
    more = serializers.IntegerField(help_text="How many others match: search for more of the name.")
    job = serializers.CharField(help_text="The path of the job that reads them, or read them.")
