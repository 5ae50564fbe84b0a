"""The bodies and documents of fetches, sources and markets."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from rest_framework import serializers

from jobs.claims import PATH
from jobs.documents import JOB_ID
from jobs.serializers import RequestRangeSerializer, RequestSymbol, SubmissionSerializer, request_time
from sources.feed_serializers import SourceName
from store.datasets import BARS, QUOTES, TRADES
from store.resolutions import Resolution
from web.documents import AnswerDocument, about, like
from web.requests.json_fields import Text, Word

_DAY = {"source": "binance", "name": "BTC/USDT", "start": "2024-01-01", "timeframe": "1m", "preview": True}


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


class SourceDocument(AnswerDocument):
    """A source of market data."""

    name: Annotated[str, like("binance")]
    kind: Annotated[
        str, about("`exchange`, or the kind of a vendor, a folder or an installation.", "exchange")
    ]
    tested: Annotated[str, about("How far it was tried: `tested`, or a text that says less.", "tested")]
    terms: Annotated[str, about("What its data may be used for.", "binance's terms apply.")]
    needs_key: Annotated[bool, about("Whether it needs the setting `SOURCE_KEY_NAME`.")]
    has_key: Annotated[bool, about("Whether that is set.")]
    can_feed: Annotated[bool, about("Whether a feed may keep its symbols current.", True)]


class SourcesDocument(AnswerDocument):
    """All sources: those of the setting `SOURCES`, then vendors and exchanges."""

    sources: list[SourceDocument]


class MarketDocument(AnswerDocument):
    """A market of a source."""

    name: Annotated[str, about("At the source.", "BTC/USDT")]
    symbol: Annotated[str, about("Here.", "BTC-USDT")]
    long_name: Annotated[str, like("BTC in USDT")]
    currency: Annotated[str | None, like("USDT")]
    cls: Annotated[str, like("crypto")] = msgspec.field(name="class")


class SourceMarketsDocument(AnswerDocument):
    """Markets of a source."""

    state: Annotated[
        Literal["ready", "reading", "failed"],
        about("`reading`: a job reads them; ask again in a second. `failed`: `message` says why."),
    ]
    job: Annotated[str, about("The path of the job that reads them, or read them.", f"{PATH}/{JOB_ID}")]
    message: Annotated[str, like("")] = ""
    markets: list[MarketDocument] = []
    more: Annotated[int, about("How many others match: search for more of the name.", 0)] = 0
