"""Drop what is kept of a symbol. Entries are never stale; this frees memory and forces a recomputation."""

from dataclasses import dataclass

from stats.caching.tiers import Tiers, process_tiers


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many entries left Redis, and whether it could be reached; if not, they may still be there."""

    entries: int
    redis_reached: bool


def drop(symbol: str, *, tiers: Tiers | None = None) -> Dropped:
    """Void every entry of `symbol`: at once in all processes of this host, and in Redis.

    Processes of other hosts follow when their own entries end, within seconds.
    """
    at = tiers or process_tiers()
    at.epochs.advance(symbol)  # computations under way are not stored any more
    removed = at.shared.drop(symbol)
    at.epochs.advance(symbol)  # nor is what was read from Redis while it was being emptied kept
    return Dropped(entries=removed or 0, redis_reached=removed is not None)
