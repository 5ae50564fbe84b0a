"""Bar policies: the rules, declared as data, by which trades (prints) make bars.

A print can set a bar's open and close, set its high and low, and count in its volume. Each condition word has
an effect on each of the three. If a print has several words, the strongest effect applies: NEVER, then
ALWAYS, NO, YES. A print without words counts everywhere. A word that the policy does not name has the effect
YES. An instrument names its policy.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum

from store.cached_property import cached_property


class Effect(IntEnum):
    """The effect of a condition word. If a print has several words, the largest number applies."""

    YES = 0
    NO = 1
    ALWAYS = 2
    NEVER = 3

    @property
    def counts(self) -> bool:
        """Whether a print counts if this is its strongest effect."""
        return self in {Effect.YES, Effect.ALWAYS}


@dataclass(frozen=True, slots=True)
class ConditionEffect:
    """The effects of one condition word on open and close, on high and low, and on volume."""

    open_close: Effect = Effect.YES
    high_low: Effect = Effect.YES
    volume: Effect = Effect.YES


@dataclass(frozen=True, slots=True)
class PrintRole:
    """Whether a print sets a bar's open and close, sets its high and low, and counts in its volume."""

    sets_open_close: bool
    sets_high_low: bool
    counts_volume: bool


@dataclass(frozen=True, slots=True)
class DailyTable:
    """The condition words by which the daily bar of the regular session is made.

    opening: marks prints of the opening auction. The day's largest one sets the open; if several are equally
    large, the first one does. closing: likewise for the close. official_close: if no print has `closing`, the
    largest print with this word sets the close. outside: marks prints outside regular hours. Auction prints are
    always inside. distrusted: marks prints that are excluded from everything.
    """

    opening: str
    closing: str
    official_close: str
    outside: str
    distrusted: str


@dataclass(frozen=True)
class BarPolicy:
    """The effects of condition words, and the table of the regular session's daily bar.

    daily: None if daily bars are made like all other bars. is_session: whether only the regular session's prints count, by
    the daily table; such a policy has bars of days only. is_auction: whether only prints with `AUCTION_WORDS` count.
    """

    name: str
    effects: Mapping[str, ConditionEffect] = field(default_factory=dict)
    daily: DailyTable | None = None
    is_session: bool = False
    is_auction: bool = False

    def role(self, words: Iterable[str]) -> PrintRole:
        """Return the role of a print with these condition words."""
        effects = [self.effects[word] for word in words if word in self.effects]
        return PrintRole(
            sets_open_close=max((effect.open_close for effect in effects), default=Effect.YES).counts,
            sets_high_low=max((effect.high_low for effect in effects), default=Effect.YES).counts,
            counts_volume=max((effect.volume for effect in effects), default=Effect.YES).counts,
        )

    @property
    def counts_every_print(self) -> bool:
        """Whether all prints count, so that conditions need not be read."""
        return not (self.effects or self.is_auction)

    @cached_property
    def session(self) -> "BarPolicy":
        """The policy of the regular session's daily bars."""
        return self if self.daily is None else replace(self, is_session=True)

    @cached_property
    def auctions(self) -> "BarPolicy":
        """The policy of the prints of auctions, which belong to the regular session also outside of its hours."""
        return replace(self, is_auction=True)

    @cached_property
    def key(self) -> str:
        """The name and the fingerprint, such as `all-6230060e3bce`."""
        kind = "-session" if self.is_session else "-auctions" if self.is_auction else ""
        return f"{self.name}-{self.fingerprint}{kind}"

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of a hash of the policy's data; the order of declaration does not matter."""
        effects = {word: asdict(effect) for word, effect in self.effects.items()}
        daily = asdict(self.daily) if self.daily else None
        text = json.dumps([effects, daily], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


# The words of prints that belong to the regular session of their date whenever they came, under every policy.
AUCTION_WORDS = ("opening_print", "closing_print")

_EVERYTHING = ConditionEffect()
_VOLUME_ONLY = ConditionEffect(Effect.NO, Effect.NO, Effect.YES)
_RANGE_AND_VOLUME = ConditionEffect(Effect.NO, Effect.YES, Effect.YES)
_PRICE_ONLY = ConditionEffect(Effect.YES, Effect.YES, Effect.NO)
_NOTHING = ConditionEffect(Effect.NO, Effect.NO, Effect.NO)

EVERY_PRINT = BarPolicy("all")

US_EQUITIES = BarPolicy(
    "us_equities",
    {
        "regular": _EVERYTHING,
        "intermarket_sweep": _VOLUME_ONLY,
        "opening_print": _EVERYTHING,
        "closing_print": _PRICE_ONLY,
        "derivatively_priced": _VOLUME_ONLY,
        "extended_hours": ConditionEffect(Effect.ALWAYS, Effect.ALWAYS, Effect.YES),
        "out_of_sequence": _EVERYTHING,
        "stock_option": _VOLUME_ONLY,
        "average_price": _VOLUME_ONLY,
        "cross": _PRICE_ONLY,
        "official_close": _NOTHING,
        "official_open": _PRICE_ONLY,
        "trade_through_exempt": _EVERYTHING,
        # This is the rule of the tapes (CTA, UTP). The days that the policy was derived from have no odd lots.
        "odd_lot": _VOLUME_ONLY,
        # No print of the days that the policy was derived from has the words from here on. Sale conditions follow
        # the consolidated rules of the tapes. Flags of a record (snapshot and the next two) change nothing.
        "reopening_print": _EVERYTHING,
        "automatic_execution": _EVERYTHING,
        "acquisition": _EVERYTHING,
        "distribution": _EVERYTHING,
        "bunched": _EVERYTHING,
        "split_trade": _EVERYTHING,
        "stopped_stock": _EVERYTHING,
        "rule_127_or_155": _EVERYTHING,
        "yellow_flag": _EVERYTHING,
        "sold_last": _EVERYTHING,
        "bunched_sold": _RANGE_AND_VOLUME,
        "prior_reference_price": _RANGE_AND_VOLUME,
        "seller": _RANGE_AND_VOLUME,
        "cash": _VOLUME_ONLY,
        "next_day": _VOLUME_ONLY,
        "price_variation": _VOLUME_ONLY,
        "contingent": _VOLUME_ONLY,
        "qualified_contingent": _VOLUME_ONLY,
        "corrected_close": _PRICE_ONLY,
        "snapshot": _EVERYTHING,
        "bad_receive_time": _EVERYTHING,
        "maybe_bad_book": _EVERYTHING,
        "suspicious": ConditionEffect(Effect.NEVER, Effect.NEVER, Effect.NEVER),
    },
    DailyTable(
        opening=AUCTION_WORDS[0],
        closing=AUCTION_WORDS[1],
        official_close="official_close",
        outside="extended_hours",
        distrusted="suspicious",
    ),
)

BAR_POLICIES = {policy.name: policy for policy in (EVERY_PRINT, US_EQUITIES)}
