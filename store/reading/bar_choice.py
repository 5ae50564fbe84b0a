"""The options of bars: which days, hours and policy, as known when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from store.bar_policies import BAR_POLICIES, BarPolicy
from store.reading.arguments import InstantArgument, check_day_words, instant_ns, is_then
from store.reading.exceptions import UnknownPolicy


class SessionBarOptions(TypedDict, total=False):
    """The options of bars of regular sessions by keyword; `BarChoice` has their meanings and defaults."""

    policy: str | BarPolicy | None
    as_of: InstantArgument | None
    knowledge: str


class BarOptions(SessionBarOptions, total=False):
    """The options of bars by keyword; `BarChoice` has their meanings and defaults."""

    session: str | None
    hours: str | None
    anchor: str


@dataclass(frozen=True, slots=True)
class BarChoice:
    """The options of bars.

    session: `utc` for UTC days, or None for the instrument's. hours: `all`, `regular`, `extended`, or None for the
    instrument's. anchor: `clock`, or `session` for intervals that begin at the session's open. policy: None for the
    instrument's. as_of: commits made later are ignored. knowledge: `now`, or `then` for bars as they were known at
    their end. Raises `InvalidSession`, `UnknownKnowledge`.
    """

    session: str | None = None
    hours: str | None = None
    anchor: str = "clock"
    policy: str | BarPolicy | None = None
    as_of: InstantArgument | None = None
    knowledge: str = "now"

    def __post_init__(self) -> None:
        check_day_words(self.session, self.hours, self.anchor)
        is_then(self.knowledge)

    @property
    def as_of_ns(self) -> int | None:
        """The instant of `as_of`. Raises `InvalidInstant`."""
        return None if self.as_of is None else instant_ns(self.as_of)

    @property
    def is_then(self) -> bool:
        """Whether bars are as they were known at their end."""
        return is_then(self.knowledge)

    @property
    def needs_resolution(self) -> bool:
        """Whether intervals depend on the exchange's hours, so they must be resolutions of HTTP."""
        return self.hours is not None or self.anchor != "clock"


def policy_named(name: str) -> BarPolicy:
    """Return the bar policy with this name. Raises `UnknownPolicy`."""
    try:
        return BAR_POLICIES[name]
    except KeyError:
        raise UnknownPolicy("bar policy", name, BAR_POLICIES) from None


# The choice without any option.
DEFAULTS = BarChoice()
