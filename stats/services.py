"""The read side's door: what other apps ask it for."""

from stats.delivery.finished import Finished
from stats.ohlc.services import bars_read, bars_read_if_held

__all__ = ["Finished", "bars_read", "bars_read_if_held"]
