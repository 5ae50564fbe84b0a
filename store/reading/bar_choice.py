"""The options of bars: which days, hours, policy and adjustment, as known when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypedDict

from store.bar_policies import BAR_POLICIES, BarPolicy
from store.reading.arguments import InstantArgument, instant_ns, is_then
from store.reading.exceptions import InvalidArgument, InvalidSession, UnknownName, UnknownPolicy
from store.rows.knowledge import Knowledge

_DAYS: dict[str, tuple[str | None, ...]] = {
    "session": (None, "utc", "exchange"),
    "hours": (None, "all", "regular", "extended"),
    "anchor": ("clock", "session"),
}
_ADJUSTMENTS = ("raw", "split", "all")
_PARTIALS = ("include", "exclude")


class BarOptions(TypedDict, total=False):
    """The options of bars by keyword; `BarChoice` has their meanings and defaults."""

    session: str | None
    hours: str | None
    anchor: str
    policy: str | BarPolicy | None
    as_of: InstantArgument | None
    knowledge: str
    known_at: InstantArgument | None
    adjustment: str
    partial: str


@dataclass(frozen=True, slots=True)
class BarChoice:
    """The options of bars.

    session: `utc` for UTC days, `exchange` for trading dates, or None for the instrument's. hours: `all`, `regular`,
    `extended`, or None for the instrument's. anchor: `clock`, or `session` for intervals that begin at the session's open. policy: None for the
    instrument's. as_of: commits made later are ignored. knowledge: `now`, or `then` for bars as they were known at
    their end; with `known_at` as they were known at that instant. adjustment: `raw`, `split`, or `all` for dividends, too; bars as they were known are never adjusted.
    partial: `include`, or `exclude` to leave out intervals that are not over. now_ns: the instant that decides what
    is over: now, or `as_of` if that is earlier. Raises `InvalidSession`, `UnknownName`, `InvalidInstant`, `InvalidArgument`.
    """

    session: str | None = None
    hours: str | None = None
    anchor: str = "clock"
    policy: str | BarPolicy | None = None
    as_of: InstantArgument | None = None
    knowledge: str = "now"
    known_at: InstantArgument | None = None
    adjustment: str = "raw"
    partial: str = "include"
    now_ns: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        _check_words((self.session, self.hours, self.anchor), self.knowledge, self.adjustment, self.partial)
        if self.known_at is not None and not self.is_then:
            raise InvalidArgument('known_at is an instant of knowledge="then": give both')
        now_ns = time.time_ns() if self.as_of is None else min(time.time_ns(), instant_ns(self.as_of))
        object.__setattr__(self, "now_ns", now_ns)

    @property
    def as_of_ns(self) -> int | None:
        """The instant of `as_of`."""
        return None if self.as_of is None else instant_ns(self.as_of)

    @property
    def known_at_ns(self) -> int | None:
        """The instant of `known_at`."""
        return None if self.known_at is None else instant_ns(self.known_at)

    @property
    def is_then(self) -> bool:
        """Whether bars are as they were known at their end, or at `known_at`."""
        return self.knowledge == Knowledge.THEN

    @property
    def is_adjusted(self) -> bool:
        """Whether bars are adjusted. No action is known before it takes effect, so bars of `then` are not."""
        return self.adjustment != "raw" and not self.is_then

    @property
    def with_partial(self) -> bool:
        """Whether intervals that are not over are included."""
        return self.partial == "include"

    @property
    def needs_resolution(self) -> bool:
        """Whether bars depend on the exchange's dates or hours, so that intervals must be resolutions of HTTP."""
        return (
            self.session == "exchange" or self.hours is not None or self.anchor != "clock" or self.is_adjusted
        )

    @property
    def given_policy(self) -> BarPolicy | None:
        """The bar policy; None for the instrument's. Raises `UnknownPolicy`."""
        policy = self.policy
        return policy_named(policy) if isinstance(policy, str) else policy


def policy_named(name: str) -> BarPolicy:
    """Return the bar policy with this name. Raises `UnknownPolicy`."""
    try:
        return BAR_POLICIES[name]
    except KeyError:
        raise UnknownPolicy("bar policy", name, BAR_POLICIES) from None


@lru_cache(maxsize=256)
def _check_words(days: tuple[str | None, ...], knowledge: str, adjustment: str, partial: str) -> None:
    """Raise the error of the first word that is not one of its option's. days: session, hours, anchor."""
    for (name, words), word in zip(_DAYS.items(), days, strict=True):
        if word not in words:
            given = ", ".join(repr(each) for each in words)
            raise InvalidSession(f"{word!r} is not a value of {name}: give {given}")
    is_then(knowledge)
    if adjustment not in _ADJUSTMENTS:
        raise UnknownName("adjustment", adjustment, _ADJUSTMENTS)
    if partial not in _PARTIALS:
        raise UnknownName("value of partial", partial, _PARTIALS)


# The choice without any option. Its bars do not depend on `now_ns`, which is that of the import.
DEFAULTS = BarChoice()
