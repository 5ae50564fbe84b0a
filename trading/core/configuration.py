"""An account's limits, and the drawdown zones that scale them."""

from collections.abc import Collection
from decimal import Decimal
from enum import StrEnum

import msgspec


class Zone(StrEnum):
    """A drawdown zone. Each allows less than the one before."""

    NORMAL = "NORMAL"
    CAUTION = "CAUTION"
    DANGER = "DANGER"
    HALT = "HALT"

    @property
    def factor(self) -> Decimal:
        """What the risk level and the limits of exposure are multiplied by."""
        return _FACTORS[self]


ZONES = tuple(Zone)
_FACTORS = {
    Zone.NORMAL: Decimal(1),
    Zone.CAUTION: Decimal("0.5"),
    Zone.DANGER: Decimal("0.25"),
    Zone.HALT: Decimal(0),
}


HYSTERESIS = Decimal(1)
"""A zone ends so many per cent below the drawdown at which it began, or without a drawdown."""


class FillRule(StrEnum):
    """When a resting limit order fills: if the price trades through it, or if it touches it."""

    THROUGH = "through"
    TOUCH = "touch"


class RiskConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an account. All are per cent of its equity unless another unit is given.

    risk_level: what a trade may lose at its protective stop. max_risk_level: up to which a person may override it.
    max_symbol_exposure, max_gross_exposure: positions plus working orders. orders_per_minute: accepted opening orders.
    collar: how far from the reference price an order may be. daily_loss: of the equity at the day's start. total_loss:
    of the equity at the account's beginning. caution, danger, halt: drawdowns from the high-water mark at which zones
    begin; a zone ends `HYSTERESIS` below. participation: the part of a print's volume that fills orders. latency_ms:
    from an order's acceptance until it can be filled. fill: when limit orders fill. stale_after_seconds: an older mark
    changes no zone, and opens nothing. unlimited: the names of the LIMITS that do not hold. Accounts have none of them; a
    backtest has those that nobody asked for.
    """

    risk_level: Decimal = Decimal("0.30")
    max_risk_level: Decimal = Decimal(1)
    max_symbol_exposure: Decimal = Decimal(25)
    max_gross_exposure: Decimal = Decimal(100)
    orders_per_minute: int = 60
    collar: Decimal = Decimal(5)
    daily_loss: Decimal = Decimal(3)
    total_loss: Decimal = Decimal(10)
    caution: Decimal = Decimal(3)
    danger: Decimal = Decimal(6)
    halt: Decimal = Decimal(10)
    participation: Decimal = Decimal(10)
    latency_ms: int = 50
    fill: FillRule = FillRule.THROUGH
    stale_after_seconds: int = 60
    unlimited: tuple[str, ...] = ()

    def without_limits(self, but: Collection[str] = ()) -> "RiskConfig":
        """Return the configuration without limits and zones. but: the names of those that hold."""
        return msgspec.structs.replace(self, unlimited=tuple(each for each in LIMITS if each not in but))

    @property
    def zone_begins(self) -> dict[Zone, Decimal]:
        """The drawdown at which each zone begins, for those that hold."""
        begins = {Zone.CAUTION: self.caution, Zone.DANGER: self.danger, Zone.HALT: self.halt}
        if not self.unlimited:
            return begins
        return {zone: begin for zone, begin in begins.items() if zone.lower() not in self.unlimited}


# The fields of `RiskConfig` that limit what an account may risk. Its others are how orders fill.
LIMITS = (
    *("risk_level", "max_risk_level", "max_symbol_exposure", "max_gross_exposure", "orders_per_minute"),
    *("daily_loss", "total_loss", "caution", "danger", "halt"),
)


def latency_ns(config: RiskConfig) -> int:
    """Return `latency_ms` in nanoseconds."""
    return config.latency_ms * 1_000_000


def zone_after(zone: Zone, drawdown: Decimal, config: RiskConfig) -> Zone:
    """Return the zone after a mark. drawdown: per cent of the high-water mark. HALT stays until a person leaves it."""
    if zone is Zone.HALT:
        return zone
    begins = config.zone_begins
    if zone is Zone.NORMAL and all(drawdown < begin for begin in begins.values()):
        return zone
    entered = max((each for each in begins if drawdown >= begins[each]), key=ZONES.index, default=Zone.NORMAL)
    kept = max(
        (each for each in begins if drawdown > max(begins[each] - HYSTERESIS, Decimal(0))),
        key=ZONES.index,
        default=Zone.NORMAL,
    )
    return max(entered, min(zone, kept, key=ZONES.index), key=ZONES.index)
