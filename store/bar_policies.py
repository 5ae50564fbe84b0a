"""Which prints make a bar: policies, named and declared as data. An instrument names its policy.

A condition word has an effect on each of three things that a print may do: set the open and the close, set
the high and the low, count in the volume. The strongest effect among a print's words decides: NEVER, then
ALWAYS, then NO, then YES. A print without words, and a word that a policy does not name, count everywhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from functools import cached_property


class Effect(IntEnum):
    """What a word says about one of the three; of several words the one with the largest number decides."""

    YES = 0
    NO = 1
    ALWAYS = 2
    NEVER = 3

    @property
    def counts(self) -> bool:
        """Whether a print of which this is the strongest effect counts."""
        return self in {Effect.YES, Effect.ALWAYS}


@dataclass(frozen=True, slots=True)
class ConditionEffect:
    """What a condition word does to the three things that a print may do."""

    open_close: Effect = Effect.YES
    high_low: Effect = Effect.YES
    volume: Effect = Effect.YES


@dataclass(frozen=True, slots=True)
class PrintRole:
    """What one print does."""

    sets_open_close: bool
    sets_high_low: bool
    counts_volume: bool


@dataclass(frozen=True, slots=True)
class DailyTable:
    """How the daily bar of the regular session is made; membership is by condition, never by clock.

    opening: word of the opening auction's print; the largest print of the day with it (the first of equals)
    is the open. closing: word of the closing auction's print, whose largest is the close; without one the
    largest with `official_close`. outside: word of prints outside regular hours. Prints with an auction's
    word are inside, whatever else they say. distrusted: words that exclude a print from everything.
    """

    opening: str
    closing: str
    official_close: str
    outside: str
    distrusted: str


@dataclass(frozen=True)
class BarPolicy:
    """A named rule: the effects of condition words, and how the regular session's daily bar is made.

    None: that bar is not made at all.
    """

    name: str
    effects: Mapping[str, ConditionEffect] = field(default_factory=dict)
    daily: DailyTable | None = None

    def role(self, words: Iterable[str]) -> PrintRole:
        """What a print with these words does."""
        said = [self.effects[word] for word in words if word in self.effects]
        return PrintRole(
            sets_open_close=max((effect.open_close for effect in said), default=Effect.YES).counts,
            sets_high_low=max((effect.high_low for effect in said), default=Effect.YES).counts,
            counts_volume=max((effect.volume for effect in said), default=Effect.YES).counts,
        )

    @property
    def counts_every_print(self) -> bool:
        """Whether conditions need not be looked at."""
        return not self.effects

    @cached_property
    def key(self) -> str:
        """What tells the policy as declared now from others, and from what it was: `all-6230060e3bce`."""
        return f"{self.name}-{self.fingerprint}"

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with the policy's data, not with the order of declaration."""
        effects = {word: asdict(effect) for word, effect in self.effects.items()}
        daily = asdict(self.daily) if self.daily else None
        said = json.dumps([effects, daily], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]


_EVERYTHING = ConditionEffect()
_VOLUME_ONLY = ConditionEffect(Effect.NO, Effect.NO, Effect.YES)
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
        # Not in the days that the other lines were measured on; the tapes' own rule.
        "odd_lot": _VOLUME_ONLY,
        "suspicious": ConditionEffect(Effect.NEVER, Effect.NEVER, Effect.NEVER),
    },
    DailyTable(
        opening="opening_print",
        closing="closing_print",
        official_close="official_close",
        outside="extended_hours",
        distrusted="suspicious",
    ),
)

BAR_POLICIES = {policy.name: policy for policy in (EVERY_PRINT, US_EQUITIES)}
