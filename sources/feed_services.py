"""What feeds keep current: the setting `FEEDS`, and what callers ask for. Services begin and stop a feed."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from django.conf import settings
from django.db import transaction
from django.http import Http404

from sources.models import SourceSymbol
from sources.planning import FetchOrder, symbol_of
from sources.protocol import SourceRefused
from sources.registry import DECLARED, kind_of, source_named
from stats.market_data.plan import log_at
from store.datasets import BARS, QUOTES, TRADES
from store.protocol import ALL_TIME

KEPT_LIMIT = 200
Configured = tuple[str, str, str]
"""A source, a name there, and the length of bars, "" where none is said."""


class WantedFeed(NamedTuple):
    """A symbol that a feed shall keep current.

    symbol: ours. name: at the source. timeframe: the length of the bars that are fed; "" for trades, where the source can
    give them again. is_setting: whether it is in `FEEDS`.
    """

    symbol: str
    source: str
    name: str
    timeframe: str
    is_setting: bool


def wanted_feeds(configured: Sequence[Configured] | None = None) -> list[WantedFeed]:
    """Return what feeds shall keep current: first what is configured, then what callers asked for, by symbol.

    configured: None for what `FEEDS` has.
    """
    bound = {(row.source, row.name): row.symbol for row in SourceSymbol.objects.order_by("-symbol")}
    wanted = [
        WantedFeed(bound.get((source, name), usual_symbol(name)), source, name, timeframe, is_setting=True)
        for source, name, timeframe in (settings.FEEDS if configured is None else configured)
    ]
    symbols = {each.symbol for each in wanted}
    asked = [
        WantedFeed(row.symbol, row.source, row.name, row.fed_timeframe, is_setting=False)
        for row in SourceSymbol.objects.filter(is_fed=True).order_by("symbol")
        if row.symbol not in symbols
    ]
    return [*wanted, *asked]


def usual_symbol(name: str) -> str:
    """Return our symbol for a name at a source, unless somebody chose another: BTC/USDT is BTC-USDT."""
    return name.replace("/", "-", 1)


class FeedOfSetting(Exception):
    """The setting `FEEDS` has this feed: no call ends it."""

    code: ClassVar[str] = "feed_of_setting"

    def __init__(self, symbol: str) -> None:
        super().__init__(
            f"{symbol} is fed by the setting FEEDS: take it out there, and start the server anew"
        )


def feed_keep(*, source: str, name: str, timeframe: str = "", symbol: str = "") -> str:
    """Let a feed keep a symbol current; return our symbol. A feed that is there gets this length of bars.

    The feed process begins within seconds. It finds out whether the source has the name. timeframe: "" for trades, where
    the source can give them again. symbol: ours; "" for the one that follows from the name.
    Raises SourceRefused if the source has no feed, if the symbol is from another source, or if KEPT_LIMIT others are kept.
    """
    if not can_feed(source):
        raise SourceRefused(f"{source} has no feed: fetch from it again and again instead")
    symbol = symbol_of(FetchOrder(source, name, BARS, timeframe, ALL_TIME, symbol), usual_symbol(name))
    if SourceSymbol.objects.filter(is_fed=True).exclude(symbol=symbol).count() >= KEPT_LIMIT:
        raise SourceRefused(
            f"{KEPT_LIMIT} symbols are kept current already, the most by calls: stop one, or use the setting FEEDS"
        )
    SourceSymbol.objects.update_or_create(
        symbol=symbol,
        defaults={"source": source, "name": name, "is_fed": True, "fed_timeframe": timeframe},
    )
    return symbol


def can_feed(source: str) -> bool:
    """Return whether a source may be asked at all times: it has a market's newest rows, and takes no money for them.

    Raises SourceRefused, ImproperlyConfigured for a source that there is not.
    """
    return kind_of(source) not in DECLARED and not source_named(source).costs_money


@transaction.atomic
def feed_stop(*, symbol: str) -> None:
    """Let no feed keep a symbol current. Its rows stay. Raises Http404, FeedOfSetting."""
    if any(feed.symbol == symbol and feed.is_setting for feed in wanted_feeds()):
        raise FeedOfSetting(symbol)
    row = SourceSymbol.objects.select_for_update().filter(symbol=symbol, is_fed=True).first()
    if row is None:
        raise Http404
    if row.logs.exists() or not all(log_at(each, symbol).is_empty for each in (TRADES, QUOTES, BARS)):
        row.is_fed = False
        row.save(update_fields=["is_fed"])
    else:
        # Nothing came of it, so the symbol may come from any source.
        row.delete()
